"""The distribution function of a mixture, as a map of the real line."""

from __future__ import annotations

import dataclasses
import math
import numbers

import keras
import numpy as np
import tensorflow as tf

from tfflows.transformers.base import Transformer, checked_bound, of_rank
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
        if not isinstance(self.components, numbers.Integral) or self.components < 2:
            raise ValueError(
                f"LogisticMixture needs an integer of at least 2 components, but found "
                f"{self.components!r}."
            )
        object.__setattr__(self, "components", int(self.components))
        for name in ("bound", "log_scale_bound"):
            object.__setattr__(self, name, checked_bound(self, getattr(self, name)))

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
        x = increasing_root(mixture.logit, z, lower, upper)
        return x, -mixture.logit(x)[1]


class _Mixture:
    """Components along the first axis, before all axes of the values."""

    def __init__(self, transformer, parameters, rank):
        parameters = of_rank(parameters, rank)
        k, b, c = transformer.components, transformer.bound, transformer.log_scale_bound
        logits, means, log_scales = (tf.stack(parameters[i * k : (i + 1) * k]) for i in range(3))
        _, self.log_weights = _log_sum(logits)
        spread = min(_SPREAD, b / 2)
        starts = np.linspace(-spread, spread, k)
        # A logistic distribution's variance is pi^2 / 3 times its squared scale.
        log_scale = max(0.5 * math.log(1 - np.var(starts) / (math.pi**2 / 3)), -c / 2)
        shifts = tf.constant(np.arctanh(starts / b).reshape([k] + [1] * rank), means.dtype)
        self.means = b * tf.tanh(means / b + shifts)
        self.log_scales = c * tf.tanh(log_scales / c + math.atanh(log_scale / c))

    def logit(self, x):
        """z at x, and log dz/dx."""
        u = (x - self.means) * tf.exp(-self.log_scales)
        below, above = tf.math.log_sigmoid(u), tf.math.log_sigmoid(-u)
        log_f, shares_of_f = _log_sum(self.log_weights + below)
        log_s, shares_of_s = _log_sum(self.log_weights + above)
        z = log_f - log_s
        # F' / (F S) without a quotient of small numbers, on either side.
        lower = _log_sum(shares_of_f + above - self.log_scales)[0] - log_s
        upper = _log_sum(shares_of_s + below - self.log_scales)[0] - log_f
        return z, tf.where(z < 0, lower, upper)


def _log_sum(logs):
    """Logarithm of the sum along the first axis, and of each one's share of it."""
    largest = tf.stop_gradient(tf.reduce_max(logs, 0))
    logs -= largest
    total = tf.math.log(tf.reduce_sum(tf.exp(logs), 0))
    return largest + total, logs - total
