"""Planar and radial layers: maps that change one direction, or the distance to one point."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer
from tfflows.layers.vectors import require_vectors
from tfflows.transformers.roots import increasing_root

# Of the map, along its direction or its radius.
_LEAST_SLOPE = 0.01


class LowRankLayer(InvertibleLayer):
    """A layer for vectors with one vector of parameters, which a context may shift.

    Its formula maps z to x, or, where a density takes one evaluation of it, x to z. A subclass has
    it as `_formula(value, call)`, and its inverse as `_solution(value, call)`, each returning the
    result and its log-det.

    Args:
        one_pass: the direction of the formula, `"forward"` or `"inverse"`.

    Raises:
        ValueError: if it is none of these.
    """

    def __init__(self, one_pass: str = "forward", **kwargs):
        super().__init__(**kwargs)
        if one_pass not in ("inverse", "forward"):
            raise ValueError(
                f"{type(self).__name__}'s one_pass is 'inverse' or 'forward', but found "
                f"{one_pass!r}."
            )
        self.one_pass = one_pass

    def build(self, z_shape, context_shape=None):
        require_vectors(self, z_shape)
        self._sizes = self._parameter_sizes(z_shape[-1])
        self.parameters = self.add_weight(
            shape=(sum(self._sizes),), initializer=self._start, autocast=False, name="parameters"
        )
        if context_shape is not None:
            self.kernel = self.add_weight(
                shape=(context_shape[-1], sum(self._sizes)),
                initializer="zeros",
                autocast=False,
                name="kernel",
            )
        super().build(z_shape, context_shape)

    def _parameter_sizes(self, dim):
        raise NotImplementedError

    def _start(self, shape, dtype=None):
        raise NotImplementedError

    def _formula(self, value, call):
        raise NotImplementedError

    def _solution(self, value, call):
        raise NotImplementedError

    def _forward(self, z, call):
        return (self._formula if self.one_pass == "forward" else self._solution)(z, call)

    def _inverse(self, x, call):
        return (self._formula if self.one_pass == "inverse" else self._solution)(x, call)

    def _parts(self, call, dtype):
        """The parameters, each `[batch, size]` or `[1, size]`."""
        parameters = tf.cast(self.parameters, dtype)[tf.newaxis]
        if call.context is not None:
            parameters += tf.matmul(tf.cast(call.context, dtype), tf.cast(self.kernel, dtype))
        return tf.split(parameters, self._sizes, -1)

    def get_config(self):
        return {**super().get_config(), "one_pass": self.one_pass}


@keras.saving.register_keras_serializable(package="tfflows")
class Planar(LowRankLayer):
    """Planar layer: all points move in one direction, as far as one projection of them says.

        forward:  x = z + v tanh(w . z + b)
        inverse:  z = x - v tanh(t + b), t the root of t + (v . w) tanh(t + b) = w . x
        log-det:  log(1 + (v . w) (1 - tanh(w . z + b)^2)), forward; minus that, inverse

    It is invertible for v . w > -1. For that v is u + (m - w . u) w / |w|^2, where
    m = softplus(w . u + c) - 0.99, which is v . w, is 0 at w . u = 0. u starts at zero, where the
    map is the identity, and w in a random direction. The root is found by Newton's method and
    bisection, to rounding, which slopes of down to 0.01 magnify, and has the implicit function's
    gradient.

    The parameters, a vector (u, w, b) of 2 D + 1 numbers, are weights that a linear function of the
    context is added to. Many such layers are needed for what a few couplings do.

    Args:
        one_pass: the direction that the formula of forward is of: with `"inverse"` it maps x to z,
            as a density needs it, and the root is what samples take.

    Raises:
        ValueError: if events are no vectors, or `one_pass` is none of the two.

    Source: Rezende and Mohamed, "Variational inference with normalizing flows", 2015, section 4.1
    and appendix A.1, https://arxiv.org/abs/1505.05770, where m = softplus(w . u) - 1.

    Example:
        >>> layer = tfflows.layers.Planar()
        >>> layer.build((None, 2))
        >>> _ = layer.parameters.assign([1.0, 0.0, 1.0, 0.0, 0.0])  # u, w and b
        >>> x, log_det = layer.forward_and_log_det(tf.constant([[0.5, 3.0]]))
        >>> print(x.numpy().round(3), log_det.numpy().round(3))
        [[0.838 3.   ]] [0.455]
    """

    def _parameter_sizes(self, dim):
        return [dim, dim, 1]

    def _start(self, shape, dtype=None):
        dim = self._sizes[0]
        direction = keras.random.normal([dim], dtype=dtype) / math.sqrt(dim)
        return tf.concat([tf.zeros([dim], dtype), direction, tf.zeros([1], dtype)], 0)

    def _plane(self, call, dtype):
        """v, w, b and v . w."""
        u, w, b = self._parts(call, dtype)
        product = _dot(u, w)
        gain = _above_minus_one(product)
        return u + tf.math.divide_no_nan(gain - product, _dot(w, w)) * w, w, b, gain

    def _formula(self, z, call):
        v, w, b, gain = self._plane(call, z.dtype)
        bend = tf.tanh(_dot(w, z) + b)
        return z + v * bend, _log_slope(gain, bend)

    def _solution(self, x, call):
        v, w, b, gain = self._plane(call, x.dtype)

        def along(t):
            bend = tf.tanh(t + b)
            return t + gain * bend, tf.math.log1p(gain * (1 - bend**2))

        target = _dot(w, x)
        reach = tf.abs(gain) + tf.zeros_like(target)
        bend = tf.tanh(increasing_root(along, target, target - reach, target + reach) + b)
        return x - v * bend, -_log_slope(gain, bend)


@keras.saving.register_keras_serializable(package="tfflows")
class Radial(LowRankLayer):
    """Radial layer: points move towards a centre, or away from it, the more the nearer they are.

        forward:  x = z + k (z - z_0), k = beta / (alpha + r), r = |z - z_0|
        inverse:  z = z_0 + (x - z_0) / (1 + k), r the positive root of
                  r^2 + (alpha + beta - y) r - alpha y = 0, y = |x - z_0|
        log-det:  (D - 1) log(1 + k) + log(1 + alpha beta / (alpha + r)^2), forward; minus that,
                  inverse

    It is invertible for beta > -alpha. For that beta is alpha (softplus(h + c) - 0.99), and 0 at
    h = 0, where the map is the identity; alpha is softplus(a).

    The parameters, a vector (z_0, a, h) of D + 2 numbers, are weights that a linear function of the
    context is added to. The centre starts at random near zero, a and h at zero.

    Args:
        one_pass: the direction that the formula of forward is of: with `"inverse"` it maps x to z,
            and that of inverse z to x.

    Raises:
        ValueError: if events are no vectors, or `one_pass` is none of the two.

    Source: Rezende and Mohamed, "Variational inference with normalizing flows", 2015, section 4.1
    and appendix A.2, https://arxiv.org/abs/1505.05770.

    Example:
        >>> layer = tfflows.layers.Radial()
        >>> layer.build((None, 2))
        >>> _ = layer.parameters.assign([0.0, 0.0, 0.0, 2.0])  # centre, a and h
        >>> x, log_det = layer.forward_and_log_det(tf.constant([[0.5, 3.0]]))
        >>> print(x.numpy().round(3), log_det.numpy().round(3))
        [[0.65  3.898]] [0.316]
    """

    def _parameter_sizes(self, dim):
        return [dim, 1, 1]

    def _start(self, shape, dtype=None):
        centre = 0.1 * keras.random.normal([self._sizes[0]], dtype=dtype)
        return tf.concat([centre, tf.zeros([2], dtype)], 0)

    def _ball(self, call, dtype):
        """The centre, alpha and beta."""
        centre, a, h = self._parts(call, dtype)
        alpha = tf.math.softplus(a)
        return centre, alpha, alpha * _above_minus_one(h)

    def _formula(self, z, call):
        centre, alpha, beta = self._ball(call, z.dtype)
        return self._moved(z, centre, alpha, beta, _length(z - centre))

    def _moved(self, z, centre, alpha, beta, r):
        factor = beta / (alpha + r)
        log_det = (z.shape[-1] - 1) * tf.math.log1p(factor)
        log_det += tf.math.log1p(factor * alpha / (alpha + r))
        return z + factor * (z - centre), _of_batch(log_det, z)

    def _solution(self, x, call):
        centre, alpha, beta = self._ball(call, x.dtype)
        y = _length(x - centre)
        p = alpha + beta - y
        size = tf.abs(p) + tf.sqrt(p**2 + 4 * alpha * y)
        r = tf.where(p > 0, 2 * alpha * y / size, size / 2)
        z = centre + (x - centre) / (1 + beta / (alpha + r))
        return z, -self._moved(z, centre, alpha, beta, r)[1]


def _dot(u, v):
    return tf.reduce_sum(u * v, -1, keepdims=True)


def _length(value):
    # The root has no gradient at 0.
    squared = tf.reduce_sum(value**2, -1, keepdims=True)
    return tf.sqrt(tf.maximum(squared, tf.constant(1e-30, value.dtype)))


def _above_minus_one(h):
    """An increasing function of h that is 0 at 0 and above -1."""
    limit = 1 - _LEAST_SLOPE
    return tf.math.softplus(h + math.log(math.expm1(limit))) - limit


def _log_slope(gain, bend):
    return tf.squeeze(tf.math.log1p(gain * (1 - bend**2)), -1)


def _of_batch(log_det, value):
    return tf.squeeze(log_det, -1) + tf.zeros(tf.shape(value)[:1], value.dtype)
