"""Each dimension to a normal distribution, by a mixture that data give."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from tfflows.layers.data_dependent import DataDependentLayer
from tfflows.layers.elementwise import summed
from tfflows.layers.scale import mean_and_stddev
from tfflows.transformers.mixture import log_sum, logit_of_mixture
from tfflows.transformers.normal import logit_of_normal, normal_of_logit
from tfflows.transformers.roots import increasing_root

# Of a component's scale: of the distance between its neighbours; for the first and the last, of
# that from the inner neighbour to the end of the data; and of the standard deviation, at least. On
# moons, chains of thirty layers had the best density with these, of some in [0.1, 0.5].
_SHARE_OF_DISTANCE, _SHARE_OF_END, _LEAST_SHARE = 0.25, 0.15, 1e-3


@keras.saving.register_keras_serializable(package="tfflows")
class MarginalGaussianization(DataDependentLayer):
    """Each dimension by itself from a mixture of K logistic distributions to a normal one.

        forward:  x = F^-1(Phi(z)), by Newton's method and bisection, to rounding
        inverse:  z = Phi^-1(F(x)), F(x) = sum_k w_k sigmoid((x - m_k) / e^s_k)
        log-det:  sum(log phi(z) - log F'(x)), forward; minus that, inverse

    The logits of w, m and s are weights, `[K, *event_shape]`. They start as evenly spread
    components; `adapt` sets them from the quantiles of a batch, whose z are then nearly normal in
    each dimension. With rotations in between, a chain of such layers that is adapted to data is
    their rotation-based iterative Gaussianization, without a step of training; trained, it is a
    Gaussianization flow.

    Args:
        components: K, at least 2.

    Raises:
        ValueError: if `components` is below 2.

    Source: Laparra, Camps-Valls and Malo, "Iterative Gaussianization: from ICA to random
    rotations", 2011, https://arxiv.org/abs/1602.00229; Meng, Song, Song and Ermon,
    "Gaussianization flows", 2020, https://arxiv.org/abs/2003.01941.

    Example:
        >>> layer = tfflows.layers.MarginalGaussianization(components=20)
        >>> x = np.random.default_rng(0).exponential(size=[1000, 1]).astype("float32")
        >>> z = layer.adapt(x)
        >>> print(np.quantile(z, [0.16, 0.5, 0.84]).round(1))
        [-1.  0.  1.]
    """

    def __init__(self, components: int = 16, **kwargs):
        super().__init__(**kwargs)
        if components < 2:
            raise ValueError(
                f"MarginalGaussianization needs at least 2 components, but found {components}."
            )
        self.components = int(components)

    def build(self, z_shape, context_shape=None):
        shape = (self.components, *z_shape[1:])
        settings = {"shape": shape, "autocast": False}
        self.logits = self.add_weight(name="logits", initializer="zeros", **settings)
        self.means = self.add_weight(name="means", initializer=self._places, **settings)
        self.log_scales = self.add_weight(name="log_scales", initializer=self._widths, **settings)
        super().build(z_shape, context_shape)

    def _places(self, shape, dtype=None):
        places = np.linspace(-2, 2, shape[0]).reshape([-1] + [1] * (len(shape) - 1))
        return tf.constant(np.broadcast_to(places, shape), dtype)

    def _widths(self, shape, dtype=None):
        return tf.fill(shape, tf.constant(math.log(2.0 / shape[0]), dtype))

    def _set_from(self, x):
        k = self.components
        ordered = tf.sort(x, axis=0)
        last = tf.cast(tf.shape(x)[0] - 1, tf.float64)
        shares = (np.arange(k) + 0.5) / k
        means = tf.gather(ordered, tf.cast(tf.round(shares * last), tf.int32))
        # A component is as wide as its place among the others says.
        scales = tf.concat(
            [
                _SHARE_OF_END * (means[1:2] - ordered[:1]),
                _SHARE_OF_DISTANCE * (means[2:] - means[:-2]),
                _SHARE_OF_END * (ordered[-1:] - means[-2:-1]),
            ],
            0,
        )
        least = _LEAST_SHARE * mean_and_stddev(x)[1]
        log_scales = tf.math.log(tf.maximum(scales, least))
        # A column that is constant says nothing of its width.
        is_constant = ordered[-1:] - ordered[:1] <= 1e-6 * tf.reduce_max(tf.abs(x), 0)
        places = ordered[:1] + self._places(means.shape, means.dtype)
        widths = self._widths(means.shape, means.dtype)
        self.means.assign(tf.where(is_constant, places, means))
        self.log_scales.assign(tf.where(is_constant, widths, log_scales))
        self.logits.assign(tf.zeros_like(means))

    def _mixture(self, dtype):
        """logit(F) and the logarithm of its derivative, a function; means; and log-scales."""
        weights = (self.logits, self.means, self.log_scales)
        logits, means, log_scales = (tf.cast(w, dtype)[:, tf.newaxis] for w in weights)
        _, log_weights = log_sum(logits, axis=0)

        def function(x):
            u = (x - means) * tf.exp(-log_scales)
            return logit_of_mixture(log_weights, u, -log_scales, axis=0)

        return function, means, log_scales

    def _inverse(self, x, call):
        function, *_ = self._mixture(x.dtype)
        logit, log_slope = function(x)
        z, probit_log_slope = normal_of_logit(logit)
        return z, summed(log_slope + probit_log_slope)

    def _forward(self, z, call):
        function, means, log_scales = self._mixture(z.dtype)
        logit, log_slope = logit_of_normal(z)
        # The quantile of the mixture is between those of its components.
        quantiles = means + logit * tf.exp(log_scales)
        lower, upper = tf.reduce_min(quantiles, 0), tf.reduce_max(quantiles, 0)
        x = increasing_root(function, logit, lower, upper)
        return x, summed(log_slope - function(x)[1])

    def get_config(self):
        return {**super().get_config(), "components": self.components}
