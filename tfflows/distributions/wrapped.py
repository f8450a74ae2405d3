"""TFP's distributions as bases."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.distributions.bases import Base

tfd = tfp.distributions


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
        made = self.make_distribution(latent_shape)
        if not isinstance(made, tfd.Distribution):
            raise ValueError(
                f"make_distribution must return a tfd.Distribution, but it returned {made!r}."
            )
        shapes = tuple(made.event_shape), tuple(made.batch_shape)
        if shapes != (latent_shape, ()):
            raise ValueError(
                f"The base needs a distribution of event shape {latent_shape} and batch shape (), "
                f"but '{made.name}' has {shapes[0]} and {shapes[1]}; tfd.Independent and "
                "tfd.Sample make events of batches and of single numbers."
            )
        if made.dtype != self.compute_dtype:
            raise ValueError(
                f"The base computes in {self.compute_dtype}, but '{made.name}' has dtype "
                f"{tf.as_dtype(made.dtype).name}; give both the same dtype."
            )
        self._made = made
        # Keras trains and saves variables of its own make; these share their storage.
        self.distribution_weights = [
            keras.Variable(v, dtype=v.dtype.name, trainable=v.trainable, name=f"weight_{i}")
            for i, v in enumerate(made.variables)
        ]
        super().build(latent_shape, part_shapes)

    @property
    def distribution(self):
        return self._made

    def get_config(self):
        make = keras.saving.serialize_keras_object(self.make_distribution)
        return {**super().get_config(), "make_distribution": make}

    @classmethod
    def from_config(cls, config):
        make = keras.saving.deserialize_keras_object(config["make_distribution"])
        return cls(**{**config, "make_distribution": make})
