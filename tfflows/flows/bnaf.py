"""Block neural autoregressive flows."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfflows.flows.vectors import VectorFlow, repeated_layers
from tfflows.layers import BlockAutoregressive, Reverse


@keras.saving.register_keras_serializable(package="tfflows")
class BNAF(VectorFlow):
    """Block neural autoregressive flow: one triangular network a layer, without a conditioner.

        z -> K block autoregressive layers -> data

    Each layer has the order of the last one reversed, see `tfflows.layers.BlockAutoregressive`.
    Densities take one pass with few parameters, and samples a search for a root in each dimension,
    with the whole network each time. Events are flattened and standardised with the mean and
    standard deviation of `fit`'s first batch (or of what `adapt` was given); images pass through a
    logit before that.

    Args:
        event_shape: shape of one example.
        num_layers: K.
        width: number of hidden units for each dimension.
        depth: number of hidden layers of each network.
        logit_alpha: for images, see `tfflows.layers.Logit`.
        num_bits, dtype, flow_settings: see `tfflows.Flow`, which takes `base`, `context_dim`,
            `num_classes` and more.

    Raises:
        ValueError: if an argument is out of its range.

    Source: De Cao, Titov and Aziz, "Block neural autoregressive flow", 2019,
    https://arxiv.org/abs/1904.04676.

    Example:
        >>> flow = tfflows.BNAF(event_shape=(2,), num_layers=2, width=8)
        >>> x = flow.sample(3, seed=0)
        >>> bool(tf.reduce_max(tf.abs(flow.decode(flow.encode(x)) - x)) < 1e-4)
        True
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        num_layers: int = 5,
        width: int = 16,
        depth: int = 2,
        logit_alpha: float = 0.05,
        num_bits: int | None = None,
        dtype: str = "float32",
        **flow_settings,
    ):
        event_shape = tuple(event_shape)
        layer = BlockAutoregressive(width, depth, dtype=dtype)
        layers = repeated_layers([layer, Reverse(dtype=dtype)], num_layers, dtype)
        super().__init__(layers, event_shape, num_bits, logit_alpha, dtype, **flow_settings)
