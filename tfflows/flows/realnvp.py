"""RealNVP for vectors and flattened images."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfflows.flows.vectors import VectorFlow, coupling_layers
from tfflows.transformers import Affine


@keras.saving.register_keras_serializable(package="tfflows")
class RealNVP(VectorFlow):
    """RealNVP: a stack of affine couplings whose parts take turns.

        z -> K affine couplings -> data, with x_b = z_b * exp(s(z_a)) + t(z_a) in each

    Events are flattened and standardised with the mean and standard deviation of `fit`'s first
    batch (or of what `adapt` was given); images pass through a logit before that.

    Args:
        event_shape: shape of one example, at least 2 dimensions in all.
        num_couplings: K.
        hidden: sizes of the hidden layers of each conditioner, an MLP whose last layer starts at
            zero, so that the flow starts as the identity.
        mask: see `tfflows.layers.coupling_mask`; the couplings alternate in which part they
            transform.
        activation: of the conditioners.
        dropout: rate in the conditioners.
        log_scale_bound: largest |s|.
        logit_alpha: for images, see `tfflows.layers.Logit`.
        num_bits, dtype, flow_settings: see `tfflows.Flow`, which takes `base`, `context_dim`,
            `num_classes` and more.

    Raises:
        ValueError: if an argument is out of its range or the mask does not fit the event.

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017.

    Example:
        >>> flow = tfflows.RealNVP(event_shape=(2,), num_couplings=4, hidden=(32, 32))
        >>> flow.sample(3, seed=0).shape
        TensorShape([3, 2])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        num_couplings: int = 8,
        hidden: Sequence[int] = (256, 256),
        mask: str | Sequence[bool] = "alternating",
        activation: str = "relu",
        dropout: float = 0.0,
        log_scale_bound: float = 2.0,
        logit_alpha: float = 0.05,
        num_bits: int | None = None,
        dtype: str = "float32",
        **flow_settings,
    ):
        event_shape = tuple(event_shape)
        layers = coupling_layers(
            Affine(log_scale_bound),
            event_shape,
            num_couplings,
            hidden,
            mask,
            activation,
            dropout,
            dtype,
        )
        super().__init__(layers, event_shape, num_bits, logit_alpha, dtype, **flow_settings)
