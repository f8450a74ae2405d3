"""A map from the normal distribution to any other that has a distribution function."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer
from tfflows.layers.elementwise import summed
from tfflows.layers.foreign import made_distribution, shared_weights
from tfflows.transformers.normal import normal_of_logit
from tfflows.transformers.roots import increasing_root

# Its sinh is nearly the largest number.
_FARTHEST = {tf.float32: 80.0, tf.float64: 700.0}


@keras.saving.register_keras_serializable(package="tfflows")
class InverseCDF(InvertibleLayer):
    """Each dimension by itself from a normal distribution to one of TFP's, by their quantiles.

        forward:  x = F^-1(Phi(z)), by Newton's method and bisection, to rounding
        inverse:  z = Phi^-1(F(x))
        log-det:  sum(log phi(z) - log f(x)), forward; minus that, inverse

    F is the distribution's function and f its density, Phi and phi those of the standard normal. Of
    a standard normal base the layer makes the distribution itself; of a flow before it, whatever
    has its support, such as positive numbers of a gamma distribution.

    Beyond the median the complement of F is taken, where TFP has it: elsewhere float32 rounds F to
    1 at z = 5.4. Densities are right there all the same, but z is not, nor are gradients of x, nor
    of samples that are rounded to the end of a support, at |z| > 5 for the uniform distribution.

    Args:
        make_distribution: function of the event shape that returns a new `tfd.Distribution` of
            numbers, of that batch shape, with `cdf`; the `tf.Variable`s that it creates are trained
            and saved. To save a model to `.keras`, register it with
            `keras.saving.register_keras_serializable`.

    Raises:
        ValueError: if the function returns something else, or a distribution of another shape or
            dtype, of integers, or without a distribution function.

    Source: Devroye, "Non-uniform random variate generation", 1986, section II.2.

    Example:
        >>> @keras.saving.register_keras_serializable(package="example")
        ... def exponential(event_shape):
        ...     return tfd.Exponential(tf.ones(event_shape))
        >>> layer = tfflows.layers.InverseCDF(exponential)
        >>> x, log_det = layer.forward_and_log_det(tf.constant([[-1.0], [0.0], [1.0]]))
        >>> print(x.numpy().ravel().round(3), log_det.numpy().round(3))
        [0.173 0.693 1.841] [-1.246 -0.226  0.422]
    """

    def __init__(self, make_distribution: Callable[[tuple[int, ...]], object], **kwargs):
        super().__init__(**kwargs)
        self.make_distribution = make_distribution

    def build(self, z_shape, context_shape=None):
        event_shape = tuple(z_shape[1:])
        made = made_distribution(
            self.make_distribution, event_shape, self.compute_dtype, "InverseCDF", are_events=False
        )
        parts = getattr(made, "components_distribution", made)  # of a mixture
        support = parts.experimental_default_event_space_bijector()
        if support is None:
            raise ValueError(
                f"InverseCDF needs a continuous distribution, but '{made.name}' is discrete."
            )
        try:
            made.cdf(support.forward(tf.zeros(event_shape, made.dtype)))
        except NotImplementedError as error:
            raise ValueError(
                f"InverseCDF needs a distribution with a distribution function, but '{made.name}' "
                "has no cdf."
            ) from error
        self._made, self._support = made, support
        self.distribution_weights = shared_weights(made, "InverseCDF")
        super().build(z_shape, context_shape)

    def _inverse(self, x, call):
        z = self._normal(x)
        return z, summed(self._made.log_prob(x) - _log_normal(z))

    def _forward(self, z, call):
        def along(t):
            # All numbers that have a place in the dtype are within reach of sinh.
            y = tf.sinh(t)
            x = self._support.forward(y)
            value = self._normal(x)
            log_slope = self._made.log_prob(x) - _log_normal(value)
            log_slope += self._support.forward_log_det_jacobian(y, 0) + tf.math.log(tf.cosh(t))
            # Where F is rounded to 0 or 1, z stays the same.
            is_flat = tf.abs(value) >= flat
            return value, tf.where(is_flat, tf.constant(-1e4, t.dtype), log_slope)

        least = tf.math.log(_least(z.dtype))
        flat = -normal_of_logit(least + 1)[0]
        far = tf.fill(tf.shape(z), tf.constant(_FARTHEST[z.dtype], z.dtype))
        x = self._support.forward(tf.sinh(increasing_root(along, z, -far, far)))
        # A new tensor: TFP remembers which y an x came from.
        x = tf.identity(x)
        return x, summed(_log_normal(z) - self._made.log_prob(x))

    def _normal(self, x):
        """Phi^-1(F(x)), from F and its complement."""
        below, above = self._made.cdf(x), self._made.survival_function(x)
        logs = [tf.math.log(tf.maximum(value, _least(x.dtype))) for value in (below, above)]
        return normal_of_logit(logs[0] - logs[1])[0]

    def get_config(self):
        make = keras.saving.serialize_keras_object(self.make_distribution)
        return {**super().get_config(), "make_distribution": make}

    @classmethod
    def from_config(cls, config):
        make = keras.saving.deserialize_keras_object(config["make_distribution"])
        return cls(**{**config, "make_distribution": make})


def _least(dtype):
    """Number of a dtype above 0, which stands for all that is rounded to 0."""
    return tf.constant(np.finfo(dtype.as_numpy_dtype).tiny, dtype)


def _log_normal(z):
    return -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
