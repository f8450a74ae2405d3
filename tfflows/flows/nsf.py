"""Neural spline flows for vectors and flattened images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from tfflows.flows.vectors import VectorFlow, autoregressive_layer, repeated_layers
from tfflows.layers import Conv1x1, Coupling, coupling_mask
from tfflows.networks import MLP
from tfflows.transformers import RationalQuadraticSpline


@keras.saving.register_keras_serializable(package="tfflows")
class NSF(VectorFlow):
    """Neural spline flow: rational-quadratic splines, and a linear layer after each.

        z -> K times (spline layer, linear layer) -> data

    The spline layers are couplings, whose even positions condition the odd ones, or with
    `autoregressive=True` masked autoregressive layers. The linear layers are dense, as LU factors,
    and start as rotations. Networks are MLPs whose last layer starts at zero, where splines are the
    identity. Events are flattened and standardised with the mean and standard deviation of `fit`'s
    first batch (or of what `adapt` was given); images pass through a logit before that.

    Args:
        event_shape: shape of one example, at least 2 dimensions in all for couplings.
        num_layers: K.
        autoregressive: whether the splines are autoregressive.
        hidden: sizes of the hidden layers of each network; for masked ones at least the number of
            dimensions.
        bins, bound: of the splines, see `tfflows.transformers.RationalQuadraticSpline`.
        activation: of the networks.
        dropout: rate in the networks of couplings.
        logit_alpha: for images, see `tfflows.layers.Logit`.
        num_bits, dtype, flow_settings: see `tfflows.Flow`, which takes `base`, `context_dim`,
            `num_classes` and more.

    Raises:
        ValueError: if an argument is out of its range, or dropout is asked for with masked
            networks.

    Source: Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows", 2019,
    https://arxiv.org/abs/1906.04032, whose networks are residual.

    Example:
        >>> flow = tfflows.NSF(event_shape=(2,), num_layers=3, hidden=(32, 32), bins=6)
        >>> flow.sample(3, seed=0).shape
        TensorShape([3, 2])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        num_layers: int = 5,
        autoregressive: bool = False,
        hidden: Sequence[int] = (128, 128),
        bins: int = 8,
        bound: float = 3.0,
        activation: str = "relu",
        dropout: float = 0.0,
        logit_alpha: float = 0.05,
        num_bits: int | None = None,
        dtype: str = "float32",
        **flow_settings,
    ):
        event_shape = tuple(event_shape)
        if autoregressive and dropout:
            raise ValueError(
                f"An autoregressive NSF has no dropout, but found dropout={dropout}; its inverse "
                "needs the same network in each of its steps."
            )
        spline = RationalQuadraticSpline(bins, bound)
        if autoregressive:
            layer = autoregressive_layer(spline, hidden, activation, dtype)
        else:
            conditions = coupling_mask("alternating", math.prod(event_shape))
            network = MLP(
                spline.num_parameters * int((~conditions).sum()),
                hidden,
                activation,
                dropout,
                zero_output=True,
                # A float64 flow has float64 networks; others follow Keras's global policy.
                dtype=dtype if dtype == "float64" else None,
            )
            layer = Coupling(spline, network, "alternating", dtype=dtype)
        layers = repeated_layers([layer, Conv1x1(dtype=dtype)], num_layers, dtype)
        super().__init__(layers, event_shape, num_bits, logit_alpha, dtype, **flow_settings)
