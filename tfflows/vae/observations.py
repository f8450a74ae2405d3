"""Observation models of an autoencoder: what its decoder's outputs say about x."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.checks.settings import Settings, set_positive
from tfflows.model.config import loadable_function
from tfflows.vae.discretized_logistic import DiscretizedLogistic

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class Observation(Settings):
    """The distribution p(x|z) of one x, made of what the decoder returns for z, as a value.

    A new one is a frozen dataclass, registered with Keras, that implements `_distribution` and says
    how many numbers it needs for each dimension of x.

    Attributes:
        num_parameters: numbers for each dimension of x, or `None` if any outputs will do.
        pixel_bits: bits of a pixel, for integers x in [0, 2**pixel_bits); `None` for real numbers.
    """

    @property
    def num_parameters(self) -> int | None:
        """Numbers that the decoder returns for each dimension of x."""
        return 1

    @property
    def pixel_bits(self) -> int | None:
        """Bits of each integer of x; `None` for real numbers."""
        return None

    def output_shape(self, event_shape: Sequence[int]) -> tuple[int, ...] | None:
        """What the decoder has to return for one z: as x, with the numbers in the last axis."""
        if self.num_parameters is None:
            return None
        return (*event_shape[:-1], event_shape[-1] * self.num_parameters)

    def as_input(self, x: tf.Tensor, dtype: str) -> tf.Tensor:
        """x as the encoder sees it: pixels between -1 and 1, other numbers as they are."""
        x = tf.cast(x, dtype)
        return x if self.pixel_bits is None else 2 * x / (2**self.pixel_bits - 1) - 1

    def distribution(self, outputs: tf.Tensor, event_shape: Sequence[int]) -> tfd.Distribution:
        """p(x|z) of a batch of the decoder's outputs, of event shape `event_shape`."""
        parameters = tf.reshape(outputs, [-1, *event_shape, self.num_parameters])
        return tfd.Independent(self._distribution(parameters), len(event_shape))

    def _distribution(self, parameters):
        """Distributions of single numbers, of parameters `[batch, *event_shape, k]`."""
        raise NotImplementedError(f"{type(self).__name__} has no distribution.")

    def mean(self, outputs: tf.Tensor, event_shape: Sequence[int]) -> tf.Tensor:
        """E[x|z], `[batch, *event_shape]`."""
        return self.distribution(outputs, event_shape).mean()


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Bernoulli(Observation):
    """Binary x, of independent dimensions: 1 with probability sigmoid(h), h the decoder's output.

    x is 0 or 1, of an integer dtype. Grey values between 0 and 1 have no likelihood under it:
    binarise them, `(x > 0.5).astype("uint8")`, or draw them.

    Example:
        >>> outputs = tf.constant([[0.0, np.log(3.0)]])
        >>> observation = tfflows.vae.Bernoulli()
        >>> print(observation.mean(outputs, (2,)).numpy())
        [[0.5  0.75]]
    """

    @property
    def pixel_bits(self) -> int | None:
        return 1

    def _distribution(self, parameters):
        return tfd.Bernoulli(parameters[..., 0], dtype=tf.int32)

    def mean(self, outputs: tf.Tensor, event_shape: Sequence[int]) -> tf.Tensor:
        return tf.sigmoid(tf.reshape(outputs, [-1, *event_shape]))


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Categorical(Observation):
    """Pixels with a probability for each of their values: p(x = v) = softmax(h)_v.

    It knows nothing of the order of values, and the decoder returns 2**num_bits numbers a pixel.

    Args:
        num_bits: bits per pixel, 1 to 8.

    Example:
        >>> observation = tfflows.vae.Categorical(num_bits=2)
        >>> observation.output_shape((8, 8, 3))
        (8, 8, 12)
        >>> print(observation.mean(tf.zeros([1, 4]), (1,)).numpy())
        [[1.5]]
    """

    num_bits: int = 8

    def __post_init__(self):
        require_bits(self)

    @property
    def pixel_bits(self) -> int | None:
        return self.num_bits

    @property
    def num_parameters(self) -> int:
        return 2**self.num_bits

    def _distribution(self, parameters):
        return tfd.Categorical(parameters, dtype=tf.int32)

    def mean(self, outputs: tf.Tensor, event_shape: Sequence[int]) -> tf.Tensor:
        values = tf.range(self.num_parameters, dtype=outputs.dtype)
        logits = tf.reshape(outputs, [-1, *event_shape, self.num_parameters])
        return tf.reduce_sum(tf.nn.softmax(logits) * values, -1)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class DiscretizedLogisticMixture(Observation):
    """Pixels as mixtures of logistic distributions, rounded to the values that pixels have.

        P(x = v) = sum_k w_k (F_k(v + 1/2) - F_k(v - 1/2)),  F_k(t) = sigmoid((t - m_k) / s_k)

    The lowest value has all that is below it, and the highest all that is above. Colours are
    independent given z. The decoder returns logits of the weights w, means m and logarithms of the
    scales s of a pixel's K components, in units of half the range of values around its middle.

    Args:
        num_components: K, at least 1.
        num_bits: bits per pixel, 1 to 8.

    Source: Salimans, Karpathy, Chen and Kingma, "PixelCNN++", 2017, section 2.1,
    https://arxiv.org/abs/1701.05517, whose colours depend on each other; log-scales are at least -7
    as in its code.

    Example:
        >>> observation = tfflows.vae.DiscretizedLogisticMixture(num_components=5)
        >>> observation.output_shape((8, 8, 1))
        (8, 8, 15)
        >>> p = observation.distribution(tf.zeros([1, 15]), (1,))
        >>> log_probs = [p.log_prob([[value]])[0] for value in range(256)]
        >>> print(f"{np.exp(log_probs).sum():.4f}")
        1.0000
    """

    num_components: int = 10
    num_bits: int = 8

    def __post_init__(self):
        set_positive(self, "num_components", integers=True)
        require_bits(self)

    @property
    def pixel_bits(self) -> int | None:
        return self.num_bits

    @property
    def num_parameters(self) -> int:
        return 3 * self.num_components

    def _distribution(self, parameters):
        logits, means, log_scales = tf.split(parameters, 3, -1)
        half = (2**self.num_bits - 1) / 2
        scales = half * tf.exp(tf.maximum(log_scales, -7.0))
        components = DiscretizedLogistic(half * (means + 1), scales, 2**self.num_bits)
        return tfd.MixtureSameFamily(tfd.Categorical(logits), components)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Gaussian(Observation):
    """Real x, of independent dimensions: N(x | m, s^2), with a fixed scale s or a learned one.

    With `scale=None` the decoder returns, for each dimension, m and h, and s = s_0 + softplus(h),
    s_0 the `min_scale`.

    A learned scale has no bounded likelihood: where the decoder reproduces an x, log p(x|z) grows
    without limit as s falls, and training would spend all it has on that. `min_scale` is the guard:
    no dimension has a log-density above -log(s_0 sqrt(2 pi)). It is in units of x, and below the
    resolution of the data it only measures how well their rounding was memorised. A fixed scale is
    a choice of how much error counts: the ELBO of two scales cannot be compared by how small the
    errors are.

    Args:
        scale: s for all dimensions, or `None` for a learned one.
        min_scale: s_0, positive.

    Raises:
        ValueError: if one of them is not positive.

    Source: Mattei and Frellsen, "Leveraging the exact likelihood of deep latent variable models",
    2018, section 2, https://arxiv.org/abs/1802.04826, on likelihoods without a bound.

    Example:
        >>> p = tfflows.vae.Gaussian(scale=0.5).distribution(tf.constant([[1.0, 2.0]]), (2,))
        >>> print(p.mean().numpy(), p.stddev().numpy())
        [[1. 2.]] [[0.5 0.5]]
        >>> tfflows.vae.Gaussian().output_shape((3,))
        (6,)
    """

    scale: float | None = None
    min_scale: float = 1e-2

    def __post_init__(self):
        set_positive(self, "min_scale")
        if self.scale is not None:
            set_positive(self, "scale")

    @property
    def num_parameters(self) -> int:
        return 2 if self.scale is None else 1

    def _distribution(self, parameters):
        mean = parameters[..., 0]
        if self.scale is not None:
            return tfd.Normal(mean, tf.constant(self.scale, mean.dtype))
        return tfd.Normal(mean, self.min_scale + tf.math.softplus(parameters[..., 1]))


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class DistributionObservation(Observation):
    """Any TFP distribution of x, made by a function of the decoder's outputs.

    `tfflows.VAE(..., observation=function)` makes one of a function.

    Args:
        make_distribution: function of what the decoder returns, `[batch, ...]` of any shape, that
            returns a `tfd.Distribution` of x's event shape and batch shape `[batch]`. To save the
            autoencoder, register it with `keras.saving.register_keras_serializable`.

    Raises:
        ValueError: from `VAE`, if the distribution has other shapes.

    Example:
        >>> @keras.saving.register_keras_serializable(package="example")
        ... def counts(outputs):
        ...     return tfd.Independent(tfd.Poisson(log_rate=outputs), 1)
        >>> vae = tfflows.VAE(
        ...     (3,), 2, decoder=keras.layers.Dense(3), observation=counts
        ... )
        >>> vae.elbo(np.ones([5, 3]), seed=0).shape
        TensorShape([5])
    """

    make_distribution: Callable

    @property
    def num_parameters(self) -> None:
        return None

    def distribution(self, outputs: tf.Tensor, event_shape: Sequence[int]) -> tfd.Distribution:
        made = self.make_distribution(outputs)
        if not isinstance(made, tfd.Distribution):
            raise ValueError(
                "An observation model's function must return a tfd.Distribution, but it returned "
                f"{made!r}."
            )
        if tuple(made.event_shape) != tuple(event_shape) or made.batch_shape.rank != 1:
            raise ValueError(
                f"An observation model needs a distribution of event shape {tuple(event_shape)} "
                f"and batch shape ('batch',), but for outputs of shape {tuple(outputs.shape)} the "
                f"function made one of {tuple(made.event_shape)} and {tuple(made.batch_shape)}; "
                "tfd.Independent makes events of batches."
            )
        return made

    def get_config(self) -> dict:
        return {"make_distribution": loadable_function(self.make_distribution)}

    @classmethod
    def from_config(cls, config: dict) -> DistributionObservation:
        return cls(keras.activations.get(config["make_distribution"]))


def require_bits(observation):
    """Raise `ValueError` unless an observation model's `num_bits` is from 1 to 8."""
    if observation.num_bits not in range(1, 9):
        raise ValueError(
            f"{type(observation).__name__} needs num_bits from 1 to 8, but found "
            f"{observation.num_bits!r}."
        )
