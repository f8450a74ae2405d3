"""Gaussianization flows, which data set without a step of training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from tfflows.flows.vectors import VectorFlow, repeated_layers
from tfflows.layers import Conv1x1, MarginalGaussianization


@keras.saving.register_keras_serializable(package="tfflows")
class Gaussianization(VectorFlow):
    """Rotation-based iterative Gaussianization, which training goes on from.

        z -> K times (rotation, mixtures of each dimension) -> data

    Seen from the data, each of the K steps makes every dimension by itself normal, by a mixture's
    distribution function, and rotates at random, so that the next step finds other marginals.
    `flow.adapt(x)` sets the mixtures step by step from the quantiles of what the steps before make
    of x: that alone is a fit. `flow.fit` does it with its first batch, so that `adapt` with more
    data comes before it; it then trains mixtures and rotations, as a Gaussianization flow.

    Events are flattened and standardised with the mean and standard deviation of what `adapt` was
    given; images pass through a logit before that. Events of one dimension are welcome.

    Args:
        event_shape: shape of one example.
        num_layers: K.
        components: of each mixture, see `tfflows.layers.MarginalGaussianization`.
        logit_alpha: for images, see `tfflows.layers.Logit`.
        num_bits, dtype, flow_settings: see `tfflows.Flow`, which takes `base` and more.

    Raises:
        ValueError: if an argument is out of its range, or for a flow with a context.

    Source: Laparra, Camps-Valls and Malo, "Iterative Gaussianization: from ICA to random
    rotations", 2011, https://arxiv.org/abs/1602.00229; Meng, Song, Song and Ermon,
    "Gaussianization flows", 2020, https://arxiv.org/abs/2003.01941, where kernels take the place of
    quantiles.

    Example:
        >>> x = tfflows.data.load("moons").train.x
        >>> flow = tfflows.Gaussianization(event_shape=(2,), num_layers=10)
        >>> flow.adapt(x[:10000])
        >>> bool(np.mean(flow.log_prob(x[10000:20000])) > -2.8)  # nats; a Gaussian's is -3.3
        True
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        num_layers: int = 10,
        components: int = 16,
        logit_alpha: float = 0.05,
        num_bits: int | None = None,
        dtype: str = "float32",
        **flow_settings,
    ):
        event_shape = tuple(event_shape)
        conditional = {"context_dim", "num_classes"} & {k for k, v in flow_settings.items() if v}
        if conditional:
            raise ValueError(
                f"A Gaussianization flow has no layers that a context changes, but found "
                f"{sorted(conditional)}."
            )
        step = [MarginalGaussianization(components, dtype=dtype)]
        if math.prod(event_shape) > 1:
            step.insert(0, Conv1x1("orthogonal", dtype=dtype))
        layers = repeated_layers(step, num_layers, dtype)
        super().__init__(layers, event_shape, num_bits, logit_alpha, dtype, **flow_settings)
