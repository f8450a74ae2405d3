"""The distribution function of a mixture, as a map of the real line."""

from __future__ import annotations

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from tfflows.transformers.base import Transformer, checked_bound, checked_integer, of_rank
from tfflows.transformers.roots import increasing_root

# Of the means of the components that zeros give.
_SPREAD = 1.5


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class LogisticMixture(Transformer):
    """Map that takes a mixture of K logistic distributions to a single one.

    With F the distribution function of the mixture, of weights w_k, means m_k and scales e^s_k, and
    S its complement,

        inverse:  z = log F(x) - log S(x),  F = sum_k w_k sigmoid((x - m_k) / e^s_k)
        forward:  x = F^-1(sigmoid(z)), by Newton's method and bisection, to rounding
        log-det:  log F'(x) - log F(x) - log S(x), inverse; minus that, forward

    A few components make a density of as many modes. Seen from the other side, the inverse is a
    deep sigmoidal flow of K hidden units: sums of sigmoids of increasing lines, under a logit.

    Parameters, in this order: K logits of the weights; K of the means, m = b tanh(h / b + m_0); and
    K of the log-scales, s = c tanh(h / c + s_0). Domain and range are the real line. Zeros give
    means that are evenly spaced in [-1.5, 1.5], and scales with which the mixture has a single
    one's variance, as far as the bounds allow. Components that started as equals would stay so in
    training; the price is that zeros give the identity but roughly.

    Args:
        components: K, at least 2.
        bound: b > 0, of the means. Standardised data are mostly within 3.
        log_scale_bound: c > 0. Midway between two narrow components far from each other, slopes
            are down to about exp(-b exp(c)), which float32 should hold.

    Raises:
        ValueError: if an argument is out of its range, and as `Transformer` does.

    Source: Ho, Chen, Srinivas, Duan and Abbeel, "Flow++", 2019, section 3.2,
    https://arxiv.org/abs/1902.00275; Huang, Krueger, Lacoste and Courville, "Neural autoregressive
    flows", 2018, section 3.1, https://arxiv.org/abs/1804.00779.

    Example:
        >>> mixture = tfflows.transformers.LogisticMixture(components=2)
        >>> parameters = [[0.0], [0.0], [-2.0], [2.0], [0.0], [0.0]]  # of two modes
        >>> z, log_det = mixture.inverse([-2.0, 0.0, 2.0], parameters)
        >>> print(z.numpy().round(3), log_det.numpy().round(3))
        [-0.268  0.     0.268] [-0.869 -3.475 -0.869]
    """

    zeros_are_identity = False

    components: int = 8
    bound: float = 5.0
    log_scale_bound: float = 2.0

    def __post_init__(self):
        object.__setattr__(self, "components", checked_integer(self, "components", 2))
        for name in ("bound", "log_scale_bound"):
            object.__setattr__(self, name, checked_bound(self, getattr(self, name), name))

    @property
    def num_parameters(self) -> int:
        """Number of parameters per dimension, 3 K."""
        return 3 * self.components

    def _inverse(self, x, *parameters):
        return _Mixture(self, parameters, x.shape.rank).logit(x)

    def _forward(self, z, *parameters):
        mixture = _Mixture(self, parameters, z.shape.rank)
        # The quantile of the mixture is between those of its components.
        quantiles = mixture.means + z * tf.exp(mixture.log_scales)
        lower, upper = tf.reduce_min(quantiles, 0), tf.reduce_max(quantiles, 0)
        frozen = _Mixture(self, [tf.stop_gradient(p) for p in parameters], z.shape.rank)
        x = increasing_root(mixture.logit, z, lower, upper, frozen.logit)
        return x, -mixture.logit(x)[1]


class _Mixture:
    """Components along the first axis, before all axes of the values."""

    def __init__(self, transformer, parameters, rank):
        parameters = of_rank(parameters, rank)
        k, b, c = transformer.components, transformer.bound, transformer.log_scale_bound
        logits, means, log_scales = (tf.stack(parameters[i * k : (i + 1) * k]) for i in range(3))
        _, self.log_weights = log_sum(logits, axis=0)
        starts, log_scale = mixture_starts(k, b, c)
        shifts = tf.constant(np.arctanh(starts / b).reshape([k] + [1] * rank), means.dtype)
        self.means = b * tf.tanh(means / b + shifts)
        self.log_scales = c * tf.tanh(log_scales / c + math.atanh(log_scale / c))

    def logit(self, x):
        """z at x, and log dz/dx."""
        u = (x - self.means) * tf.exp(-self.log_scales)
        return logit_of_mixture(self.log_weights, u, -self.log_scales, axis=0)


def mixture_starts(components: int, bound: float, log_scale_bound: float):
    """Means and a log-scale with which a mixture is nearly a single logistic distribution."""
    spread = min(_SPREAD, bound / 2)
    means = np.linspace(-spread, spread, components)
    # A logistic distribution's variance is pi^2 / 3 times its squared scale.
    log_scale = 0.5 * math.log(1 - np.var(means) / (math.pi**2 / 3))
    return means, max(log_scale, -log_scale_bound / 2)


def logit_of_mixture(log_weights, u, log_du, axis: int):
    """logit(sum_k w_k sigmoid(u_k)) and the logarithm of its derivative, for du_k / dx > 0."""
    below, above = tf.math.log_sigmoid(u), tf.math.log_sigmoid(-u)
    log_f, shares_of_f = log_sum(log_weights + below, axis)
    log_s, shares_of_s = log_sum(log_weights + above, axis)
    z = log_f - log_s
    # F' / (F S) without a quotient of small numbers, on either side.
    lower = log_sum(shares_of_f + above + log_du, axis)[0] - log_s
    upper = log_sum(shares_of_s + below + log_du, axis)[0] - log_f
    return z, tf.where(z < 0, lower, upper)


def log_sum(logs, axis: int):
    """Logarithm of the sum along an axis, and of each one's share of it."""
    largest = tf.stop_gradient(tf.reduce_max(logs, axis, keepdims=True))
    logs -= largest
    total = tf.math.log(tf.reduce_sum(tf.exp(logs), axis, keepdims=True))
    return tf.squeeze(largest + total, axis), logs - total
