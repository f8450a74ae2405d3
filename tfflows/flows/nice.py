"""NICE for vectors and flattened images."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfflows.flows.vectors import VectorFlow, coupling_layers
from tfflows.layers import Scale
from tfflows.transformers import Shift


@keras.saving.register_keras_serializable(package="tfflows")
class NICE(VectorFlow):
    """NICE: additive couplings and one diagonal scaling, with a factorial base.

        z -> diagonal scaling -> K additive couplings -> data, with x_b = z_b + t(z_a) in each
        log p(x) = log base(z) - sum(log_scale) + constants of the pixel scale

    The defaults are the paper's for MNIST: four couplings on alternating positions, networks of
    five hidden layers of 1000 ReLU, a logistic base. Events are flattened and standardised with
    `fit`'s first batch (or with what `adapt` was given); the diagonal scaling starts from it too.

    Args:
        event_shape: shape of one example, at least 2 dimensions in all.
        num_couplings: K.
        hidden: sizes of the hidden layers of each coupling's MLP, whose last layer starts at zero.
        mask: see `tfflows.layers.coupling_mask`; the couplings alternate in which part they
            transform.
        activation: of the networks.
        dropout: rate in the networks.
        base, num_bits, dtype, flow_settings: see `tfflows.Flow`, which takes `context_dim`,
            `num_classes` and more.

    Raises:
        ValueError: if an argument is out of its range or the mask does not fit the event.

    Source: Dinh, Krueger and Bengio, "NICE: Non-linear independent components estimation", 2015.

    Example:
        >>> flow = tfflows.NICE(event_shape=(8, 8, 1), hidden=(64,), num_bits=4)
        >>> flow.log_prob(np.zeros([2, 8, 8, 1], "uint8"), seed=0).shape
        TensorShape([2])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        num_couplings: int = 4,
        hidden: Sequence[int] = (1000, 1000, 1000, 1000, 1000),
        mask: str | Sequence[bool] = "alternating",
        activation: str = "relu",
        dropout: float = 0.0,
        base: str = "logistic",
        num_bits: int | None = None,
        dtype: str = "float32",
        **flow_settings,
    ):
        event_shape = tuple(event_shape)
        layers = [
            Scale(factor=10.0, dtype=dtype),
            *coupling_layers(
                Shift(),
                event_shape,
                num_couplings,
                hidden,
                mask,
                activation,
                dropout,
                dtype,
            ),
        ]
        super().__init__(layers, event_shape, num_bits, None, dtype, base=base, **flow_settings)
