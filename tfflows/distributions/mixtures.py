"""Bases of several clusters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from tfflows.distributions.bases import Base

if TYPE_CHECKING:
    import tensorflow_probability as tfp


@keras.saving.register_keras_serializable(package="tfflows")
class GaussianMixture(Base):
    """Mixture of Gaussians base, for data in separate clusters.

        p(z) = sum_k w_k N(z | m_k, diag(s_k)^2)

    The weights w start equal, the scales s at 1, and the means m are drawn from a normal
    distribution. In a sample, `temperature` is a factor on z - m_k.

    Args:
        num_components: number of Gaussians, at least 1.
        spread: standard deviation of the first means, at least 0.
        trainable: whether w, m and s are trained.

    Raises:
        ValueError: if an argument is out of its range.

    Source: Izmailov, Kirichenko, Finzi and Wilson, "Semi-supervised learning with normalizing
    flows", 2020.

    Example:
        >>> base = tfflows.distributions.GaussianMixture(num_components=3, spread=0.0)
        >>> base.build((2,))
        >>> print(f"{base.distribution.log_prob([0.0, 0.0]):.4f}")  # -log(2 pi), nats
        -1.8379
    """

    def __init__(self, num_components: int, spread: float = 2.0, trainable: bool = True, **kwargs):
        super().__init__(trainable=trainable, **kwargs)
        if num_components < 1:
            raise ValueError(
                f"GaussianMixture needs num_components of at least 1, but found {num_components!r}."
            )
        if not 0 <= spread < math.inf:
            raise ValueError(
                f"GaussianMixture needs a finite spread of at least 0, but found {spread!r}."
            )
        self.num_components = int(num_components)
        self.spread = float(spread)

    def build(self, latent_shape, part_shapes=None):
        shape = (self.num_components, math.prod(latent_shape))
        settings = {"trainable": self.trainable, "autocast": False}
        self.logits = self.add_weight(
            shape=shape[:1], initializer="zeros", name="logits", **settings
        )
        means = keras.initializers.RandomNormal(stddev=self.spread)
        self.means = self.add_weight(shape=shape, initializer=means, name="means", **settings)
        self.log_scales = self.add_weight(
            shape=shape, initializer="zeros", name="log_scales", **settings
        )
        super().build(latent_shape, part_shapes)

    @property
    def distribution(self) -> tfp.distributions.Distribution:
        import tensorflow_probability as tfp

        shape = (self.num_components, *self.latent_shape)
        means = tf.reshape(self.means, shape)
        scales = tf.exp(tf.reshape(self.log_scales, shape))
        return tfp.distributions.MixtureSameFamily(
            tfp.distributions.Categorical(logits=tf.convert_to_tensor(self.logits)),
            self._independent(tfp.distributions.Normal(means, scales)),
        )

    def draw(self, noise: tf.Tensor, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        up_to = tf.cumsum(tf.nn.softmax(tf.convert_to_tensor(self.logits)))[:-1]
        above = noise.part(0).uniform(1) > up_to
        component = tf.reduce_sum(tf.cast(above, tf.int32), axis=1)
        means, scales = (
            self._rows(tf.gather(tf.convert_to_tensor(weight), component))
            for weight in (self.means, self.log_scales)
        )
        deviation = tf.exp(scales) * self._rows(noise.normal(self._size))
        return means + temperature * deviation

    def get_config(self):
        config = {"num_components": self.num_components, "spread": self.spread}
        return {**super().get_config(), **config, "trainable": self.trainable}
