"""The normal distribution's function under a logit, with digits left in both tails."""

from __future__ import annotations

import math

import tensorflow as tf

from tfflows.transformers.roots import implicit_root

# From here on the normal distribution's tail is that of its asymptotic series, to rounding.
_TAIL = {tf.float32: 8.0, tf.float64: 24.0}
# Of a logit.
_FAR = 9.0


def logit_of_normal(z):
    """logit(Phi(z)), and the logarithm of its derivative."""
    sign = _sign(z)
    a = sign * z
    tail = _TAIL[z.dtype]
    near, far = tf.minimum(a, tail), tf.maximum(a, tail)
    # log(phi(a) / Phi(-a)), whose first form has no digits left far out.
    log_normal = -0.5 * near**2 - 0.5 * math.log(2 * math.pi)
    hazard = tf.where(
        a < tail,
        log_normal - tf.math.log(0.5 * tf.math.erfc(near / math.sqrt(2))),
        tf.math.log(far) - _series(far),
    )
    negative_log = hazard + 0.5 * a**2 + 0.5 * math.log(2 * math.pi)  # of Phi(-a)
    complement = tf.math.log1p(-tf.exp(-negative_log))
    return sign * (negative_log + complement), hazard - complement


def _series(a):
    """log(1 - 1 / a^2 + 3 / a^4 - 15 / a^6 + 105 / a^8 - ...), for large a."""
    s = a**-2
    return tf.math.log1p(-s * (1 - s * (3 - s * (15 - s * (105 - s * 945)))))


def normal_of_logit(logit):
    """Phi^-1(sigmoid(logit)), and the logarithm of its derivative."""
    sign = _sign(logit)
    size = sign * logit
    # XLA's quantile of the normal distribution is wrong far out, where its series is a start.
    near, far = tf.minimum(size, _FAR), tf.maximum(size, _FAR)
    start = tf.where(
        size < _FAR,
        -tf.math.ndtri(tf.sigmoid(-near)),
        tf.sqrt(2 * far - tf.math.log(4 * math.pi * far)),
    )
    start = tf.stop_gradient(sign * start)
    for _ in range(2):
        value, log_slope = logit_of_normal(start)
        start += (tf.stop_gradient(logit) - value) * tf.exp(-log_slope)
    start = tf.stop_gradient(start)
    largest = tf.fill(tf.shape(logit), tf.constant(logit.dtype.max, logit.dtype))
    z = implicit_root(logit_of_normal, logit, start, -largest, largest)
    return z, -logit_of_normal(z)[1]


def _sign(value):
    # Of 0, too: its absolute value has no gradient there.
    return tf.where(value < 0, -tf.ones_like(value), tf.ones_like(value))
