"""Bases of independent dimensions, and their names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from tfflows.checks.settings import as_value
from tfflows.distributions.bases import Base
from tfflows.layers.passes import Pass

if TYPE_CHECKING:
    import tensorflow_probability as tfp


@keras.saving.register_keras_serializable(package="tfflows")
class Normal(Base):
    """Standard normal base: dimensions are independent, with mean 0 and variance 1.

    Example:
        >>> base = tfflows.distributions.Normal()
        >>> base.build((2,))
        >>> print(f"{base.distribution.log_prob([0.0, 0.0]):.4f}")  # -log(2 pi), nats
        -1.8379
    """

    @property
    def distribution(self) -> tfp.distributions.Distribution:
        import tensorflow_probability as tfp

        return self._independent(
            tfp.distributions.Normal(tf.zeros(self.latent_shape, self.compute_dtype), 1)
        )

    def log_prob(self, z: tf.Tensor, call: Pass) -> tf.Tensor:
        return self._summed(-0.5 * tf.square(z) - 0.5 * math.log(2 * math.pi))

    def draw(self, noise: tf.Tensor, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        return temperature * self._rows(noise.normal(self._size))


@keras.saving.register_keras_serializable(package="tfflows")
class Logistic(Base):
    """Standard logistic base: dimensions are independent, with mean 0 and scale 1.

        log p(z) = sum -z - 2 log(1 + exp(-z))

    Source: Dinh, Krueger and Bengio, "NICE: Non-linear independent components estimation", 2014.

    Example:
        >>> base = tfflows.distributions.Logistic()
        >>> base.build((2,))
        >>> print(f"{base.distribution.log_prob([0.0, 0.0]):.4f}")  # -4 log(2), nats
        -2.7726
    """

    @property
    def distribution(self) -> tfp.distributions.Distribution:
        import tensorflow_probability as tfp

        return self._independent(
            tfp.distributions.Logistic(tf.zeros(self.latent_shape, self.compute_dtype), 1)
        )

    def log_prob(self, z: tf.Tensor, call: Pass) -> tf.Tensor:
        return self._summed(-z - 2 * tf.math.softplus(-z))

    def draw(self, noise: tf.Tensor, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        uniform = self._rows(noise.uniform(self._size))
        return temperature * (tf.math.log(uniform) - tf.math.log1p(-uniform))


@keras.saving.register_keras_serializable(package="tfflows")
class StudentT(Base):
    """Student's t base, for data with heavy tails, which flows of bounded slope cannot make.

        p(z) proportional to prod (1 + z^2 / df)^(-(df + 1) / 2)

    Dimensions are independent, with location 0 and scale 1. A draw is
    cos(2 pi v) sqrt(df (u^(-2 / df) - 1)), u and v uniform.

    Args:
        df: degrees of freedom, positive: the tails fall as |z|^-(df + 1).
        trainable: whether the degrees of freedom are trained, one number a dimension.

    Raises:
        ValueError: if `df` is not positive and finite.

    Sources: Jaini, Kobyzev, Yu and Brubaker, "Tails of Lipschitz triangular flows", 2020; Bailey,
    "Polar generation of random variates with the t-distribution", 1994.

    Example:
        >>> base = tfflows.distributions.StudentT(df=1.0)
        >>> base.build((2,))
        >>> print(f"{base.distribution.log_prob([0.0, 0.0]):.4f}")  # of Cauchy: -2 log(pi), nats
        -2.2895
    """

    def __init__(self, df: float = 5.0, trainable: bool = False, **kwargs):
        super().__init__(trainable=trainable, **kwargs)
        if not 0 < df < math.inf:
            raise ValueError(f"StudentT needs a positive and finite df, but found {df!r}.")
        self.initial_df = float(df)

    def build(self, latent_shape, part_shapes=None):
        self.log_df = self.add_weight(
            shape=tuple(latent_shape),
            initializer=keras.initializers.Constant(math.log(self.initial_df)),
            trainable=self.trainable,
            autocast=False,
            name="log_df",
        )
        super().build(latent_shape, part_shapes)

    @property
    def df(self) -> tf.Tensor:
        """Degrees of freedom, `[*latent_shape]`."""
        return tf.exp(tf.convert_to_tensor(self.log_df))

    @property
    def distribution(self) -> tfp.distributions.Distribution:
        import tensorflow_probability as tfp

        zeros = tf.zeros(self.latent_shape, self.compute_dtype)
        return self._independent(tfp.distributions.StudentT(self.df, zeros, 1))

    def draw(self, noise: tf.Tensor, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        u, v = (self._rows(part) for part in tf.split(noise.uniform(2 * self._size), 2, axis=1))
        radius = tf.sqrt(self.df * tf.math.expm1(-2 / self.df * tf.math.log(u)))
        return temperature * tf.cos(2 * math.pi * v) * radius

    def get_config(self):
        return {**super().get_config(), "df": self.initial_df, "trainable": self.trainable}


_NAMES = {"normal": Normal, "logistic": Logistic}


def as_base(value, dtype: str, argument: str = "base") -> Base:
    """The base that an argument is: itself, a name, or a serialised form.

    Args:
        value: the argument.
        dtype: of a base that is made of its name.
        argument: its name, for errors.

    Raises:
        ValueError: if it is none of these.
    """
    if isinstance(value, str) and value in _NAMES:
        return _NAMES[value](dtype=dtype)
    expected = f"{argument} must be a tfflows.distributions.Base or one of {sorted(_NAMES)}"
    return as_value(Base, value, expected)
