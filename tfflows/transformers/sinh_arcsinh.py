"""A transformer that sets skewness and tail weight in closed form."""

from __future__ import annotations

import dataclasses
import math

import keras
import tensorflow as tf

from tfflows.transformers.base import Transformer, checked_bound


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class SinhArcsinh(Transformer):
    """Sinh-arcsinh map, which skews z and makes its tails heavier or lighter.

        forward:  x = sinh((asinh(z) + e) / d)
        inverse:  z = sinh(d asinh(x) - e)
        log-det:  log cosh(asinh(x)) - log cosh(asinh(z)) - log d, forward; minus that, inverse

    The paper's H(x; e, d) is the inverse. Where z is normal, e > 0 skews x to the right, and its
    tails are heavier than those of the normal for d < 1, lighter for d > 1.

    Parameters, in this order: the skewness's h, e = b tanh(h / b), and the tail weight's k,
    d = exp(b tanh(k / b)). Zeros give the identity. Domain and range are the real line.

    Args:
        bound: b > 0, the largest |e| and |log d|. For |z| < 1e4, |asinh(z)| < 10, so that
            |x| < exp((10 + b) exp(b)) / 2. In float32 that and its square, which losses and
            their gradients take, stay finite up to b = 1.3.

    Raises:
        ValueError: if `bound` is not a positive finite number, and as `Transformer` does.

    Source: Jones and Pewsey, "Sinh-arcsinh distributions", Biometrika 96(4), 2009, pages 761-780,
    https://doi.org/10.1093/biomet/asp053.

    Example:
        >>> transformer = tfflows.transformers.SinhArcsinh()
        >>> x, log_det = transformer.forward([-2.0, 0.0, 2.0], [0.0, -1.0])
        >>> print(x.numpy().round(2), log_det.numpy().round(2))
        [-10.99   0.    10.99] [2.36 0.76 2.36]
    """

    num_parameters = 2

    bound: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "bound", checked_bound(self, self.bound))

    def _bounded(self, h):
        return self.bound * tf.tanh(h / self.bound)

    def _forward(self, z, skewness, tail_weight):
        e, log_d = self._bounded(skewness), self._bounded(tail_weight)
        u = tf.asinh(z)
        v = (u + e) * tf.exp(-log_d)
        return tf.sinh(v), _log_cosh(v) - _log_cosh(u) - log_d

    def _inverse(self, x, skewness, tail_weight):
        e, log_d = self._bounded(skewness), self._bounded(tail_weight)
        v = tf.asinh(x)
        u = v * tf.exp(log_d) - e
        return tf.sinh(u), _log_cosh(u) - _log_cosh(v) + log_d


def _log_cosh(u):
    # Does not overflow, and is smooth at 0.
    return tf.math.softplus(2.0 * u) - u - math.log(2.0)
