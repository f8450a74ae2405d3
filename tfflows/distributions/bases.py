"""The contract of a base: the distribution of a flow's latent z.

TFP takes a second to load, and is loaded where it is needed, here and in what a flow consists of:
those of a normal or a logistic base compute without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from tfflows.layers.passes import Pass
from tfflows.random.noise import BatchNoise, RowNoise

if TYPE_CHECKING:
    import tensorflow_probability as tfp


class Base(keras.layers.Layer):
    """Distribution of a latent z, `[*latent_shape]`, whose weights are trained with the flow.

    A new base implements `distribution` and, if its weights depend on the shape, `build`. What is
    drawn comes from a `noise` of `tfflows.random.noise`, so that one definition serves `sample` and
    servers, whose rows have a seed each; without a `draw` of its own, TFP draws.

    It computes in `dtype`, `"float32"` (the default) or `"float64"`, that of the flow.
    """

    def __init__(self, **kwargs):
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "float32"
        super().__init__(**kwargs)

    def build(self, latent_shape: Sequence[int], part_shapes: Sequence | None = None):
        """Make the weights.

        Args:
            latent_shape: event shape of z.
            part_shapes: of the levels of an image flow, see `tfflows.layers.MultiScale`.
        """
        self.latent_shape = tuple(latent_shape)
        self.built = True

    @property
    def distribution(self) -> tfp.distributions.Distribution:
        """The distribution of one z, with its present weights; its `log_prob(z)` is in nats."""
        raise NotImplementedError(f"{type(self).__name__} has no distribution.")

    def __dir__(self):
        # As that of an InvertibleLayer.
        return [name for name in super().__dir__() if name != "distribution"]

    def log_prob(self, z: tf.Tensor, call: Pass) -> tf.Tensor:
        """Log-density of a batch of z in nats, `[batch]`.

        Args:
            z: `[batch, *latent_shape]`.
            call: what it may depend on besides, see `tfflows.layers.Pass`.
        """
        return self.distribution.log_prob(z)

    def draw(self, noise: BatchNoise | RowNoise, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        """One z a row of the noise, `[batch, *latent_shape]`.

        Args:
            noise: where the random numbers come from.
            temperature: factor on the deviation of z from the centre of the distribution, a number,
                or a tensor that broadcasts with z.
        """
        return temperature * noise.sample(self.distribution)

    def _rows(self, flat):
        return tf.reshape(flat, [-1, *self.latent_shape])

    @property
    def _size(self):
        return math.prod(self.latent_shape)

    def _summed(self, log_probs):
        """Of all dimensions, `[batch]`."""
        return tf.reduce_sum(log_probs, axis=[*range(-len(self.latent_shape), 0)])

    def _independent(self, distribution):
        import tensorflow_probability as tfp

        return tfp.distributions.Independent(distribution, len(self.latent_shape))
