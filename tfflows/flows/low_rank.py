"""Planar and Sylvester flows, of many layers of low rank each."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfflows.flows.vectors import VectorFlow, repeated_layers
from tfflows.layers import Planar, Sylvester


@keras.saving.register_keras_serializable(package="tfflows")
class PlanarFlow(VectorFlow):
    """Planar flow: each of many layers moves all points in one direction.

        data -> K times x + v tanh(w . x + b) -> z

    Densities take one pass, and samples a search for a root in each layer, see
    `tfflows.layers.Planar`. Flows of this kind were made for variational inference, which takes the
    formula from z to x (`tfflows.layers.Planar()` in a `tfflows.layers.Stack`); data take it from x
    to z. A layer has 2 D + 1 parameters. Events are flattened and standardised with the mean and
    standard deviation of `fit`'s first batch (or of what `adapt` was given); images pass through a
    logit before that.

    Args:
        event_shape: shape of one example.
        num_layers: K.
        logit_alpha: for images, see `tfflows.layers.Logit`.
        num_bits, dtype, flow_settings: see `tfflows.Flow`, which takes `base`, `context_dim`,
            `num_classes` and more.

    Raises:
        ValueError: if an argument is out of its range.

    Source: Rezende and Mohamed, "Variational inference with normalizing flows", 2015,
    https://arxiv.org/abs/1505.05770.

    Example:
        >>> flow = tfflows.PlanarFlow(event_shape=(2,), num_layers=8)
        >>> x = flow.sample(3, seed=0)
        >>> bool(tf.reduce_max(tf.abs(flow.decode(flow.encode(x)) - x)) < 1e-4)
        True
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        num_layers: int = 32,
        logit_alpha: float = 0.05,
        num_bits: int | None = None,
        dtype: str = "float32",
        **flow_settings,
    ):
        layers = repeated_layers([Planar("inverse", dtype=dtype)], num_layers, dtype)
        event_shape = tuple(event_shape)
        super().__init__(layers, event_shape, num_bits, logit_alpha, dtype, **flow_settings)


@keras.saving.register_keras_serializable(package="tfflows")
class SylvesterFlow(VectorFlow):
    """Sylvester flow: each of many layers moves points in a few directions at once.

        data -> K times x + Q R tanh(S Q^T x + b) -> z

    Densities take one pass, and samples the solution of an equation in each layer, see
    `tfflows.layers.Sylvester`. As `PlanarFlow`, of which it is a generalisation, it was made for
    variational inference, which takes the formula from z to x. Events are flattened and
    standardised with the mean and standard deviation of `fit`'s first batch (or of what `adapt` was
    given); images pass through a logit before that.

    Args:
        event_shape: shape of one example.
        num_layers: K.
        rank: number of directions of each layer, at most the number of dimensions.
        logit_alpha: for images, see `tfflows.layers.Logit`.
        num_bits, dtype, flow_settings: see `tfflows.Flow`, which takes `base`, `context_dim`,
            `num_classes` and more.

    Raises:
        ValueError: if an argument is out of its range.

    Source: van den Berg, Hasenclever, Tomczak and Welling, "Sylvester normalizing flows for
    variational inference", 2018, https://arxiv.org/abs/1803.05649; of its three kinds the one with
    Householder reflections.

    Example:
        >>> flow = tfflows.SylvesterFlow(event_shape=(3,), num_layers=4, rank=2)
        >>> x = flow.sample(3, seed=0)
        >>> bool(tf.reduce_max(tf.abs(flow.decode(flow.encode(x)) - x)) < 1e-4)
        True
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        num_layers: int = 16,
        rank: int = 2,
        logit_alpha: float = 0.05,
        num_bits: int | None = None,
        dtype: str = "float32",
        **flow_settings,
    ):
        layers = repeated_layers([Sylvester(rank, "inverse", dtype=dtype)], num_layers, dtype)
        event_shape = tuple(event_shape)
        super().__init__(layers, event_shape, num_bits, logit_alpha, dtype, **flow_settings)
