"""TFP's distributions as bases."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import keras

from tfflows.distributions.bases import Base
from tfflows.layers.foreign import made_distribution, shared_weights

if TYPE_CHECKING:
    import tensorflow_probability as tfp


@keras.saving.register_keras_serializable(package="tfflows")
class DistributionBase(Base):
    """Any TFP distribution as a base, with its variables as Keras weights.

    In a sample, `temperature` is a factor on z itself.

    Args:
        make_distribution: function of the latent's shape that returns a new `tfd.Distribution`
            with that event shape and no batch shape; the `tf.Variable`s that it creates are
            trained and saved. To save a flow to `.keras`, register it with
            `keras.saving.register_keras_serializable`.

    Raises:
        ValueError: if the function returns something else, or a distribution of another shape or
            dtype.

    Example:
        >>> @keras.saving.register_keras_serializable(package="example")
        ... def laplace(latent_shape):
        ...     scale = tf.Variable(tf.ones(latent_shape))
        ...     return tfd.Independent(tfd.Laplace(0.0, scale), len(latent_shape))
        >>> base = tfflows.distributions.DistributionBase(laplace)
        >>> base.build((2,))
        >>> print(f"{base.distribution.log_prob([0.0, 0.0]):.4f}")  # -2 log(2), nats
        -1.3863
    """

    def __init__(self, make_distribution: Callable[[tuple[int, ...]], object], **kwargs):
        super().__init__(**kwargs)
        self.make_distribution = make_distribution

    def build(self, latent_shape, part_shapes=None):
        latent_shape = tuple(latent_shape)
        self._made = made_distribution(
            self.make_distribution, latent_shape, self.compute_dtype, "The base", are_events=True
        )
        self.distribution_weights = shared_weights(self._made, "The base")
        super().build(latent_shape, part_shapes)

    @property
    def distribution(self) -> tfp.distributions.Distribution:
        return self._made

    def get_config(self):
        make = keras.saving.serialize_keras_object(self.make_distribution)
        return {**super().get_config(), "make_distribution": make}

    @classmethod
    def from_config(cls, config):
        make = keras.saving.deserialize_keras_object(config["make_distribution"])
        return cls(**{**config, "make_distribution": make})
