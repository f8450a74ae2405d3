"""Increasing polynomials in Bernstein's basis."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from tfflows.transformers.base import checked_integer, checked_share, of_rank
from tfflows.transformers.knots import shares_of
from tfflows.transformers.monotone import MonotoneFunction


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class BernsteinPolynomial(MonotoneFunction):
    """Increasing polynomial of degree n that takes [-B, B] to itself, with straight tails.

    With u = (x + B) / (2 B), coefficients c_0 = -B < c_1 < ... < c_n = B, and Bernstein's
    polynomials b_k,n(u) = binomial(n, k) u^k (1 - u)^(n - k):

        inverse:  z = sum_k c_k b_k,n(u) in the box, the tangents at its ends beyond
        forward:  the root x of that, by Newton's method and bisection, to rounding
        log-det:  log(n sum_k (c_k+1 - c_k) b_k,n-1(u) / (2 B)), inverse; minus that, forward

    Sums are de Casteljau's: nothing but means of coefficients, so that errors do not grow.

    Parameters: n logits of the differences' shares of 2 B. Zeros give the identity. Domain and
    range are the real line.

    Args:
        degree: n, at least 2.
        bound: B > 0.
        min_share: least share of the box for a difference, in (0, 1 / n). Slopes are at least n
            times that.

    Raises:
        ValueError: if an argument is out of its range, and as `Transformer` does.

    Source: Ramasinghe, Fernando, Khan and Barnes, "Robust normalizing flows using Bernstein-type
    polynomials", 2021, https://arxiv.org/abs/2102.03509; Sick, Hothorn and Dürr, "Deep
    transformation models", 2020, https://arxiv.org/abs/2004.00464.

    Example:
        >>> polynomial = tfflows.transformers.BernsteinPolynomial(degree=2, bound=1.0)
        >>> z, log_det = polynomial.inverse([-1.0, 0.0, 2.0], [[0.0], [1.0]])
        >>> print(z.numpy().round(3), log_det.numpy().round(3))
        [-1.    -0.231  2.461] [-0.618  0.     0.379]
    """

    degree: int = 12
    bound: float = 3.0
    min_share: float = 1e-3

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "degree", checked_integer(self, "degree", 2))
        object.__setattr__(self, "min_share", checked_share(self, "min_share", 1 / self.degree))

    @property
    def num_parameters(self) -> int:
        """Number of parameters per dimension, n."""
        return self.degree

    def _function(self, parameters, rank):
        n, width = self.degree, 2 * self.bound
        shares = shares_of(tf.stack(of_rank(parameters, rank)), self.min_share)
        zeros = tf.zeros_like(shares[:1])
        sums = tf.concat([zeros, tf.cumsum(shares, axis=0)[:-1], zeros + 1], 0)
        # The slope's coefficients, of degree n - 1, as those of the same polynomial of degree n.
        raised = tf.reshape(tf.range(n + 1, dtype=shares.dtype) / n, [n + 1] + [1] * rank)
        slopes = (1 - raised) * tf.concat([shares, zeros], 0)
        slopes += raised * tf.concat([zeros, shares], 0)
        coefficients = tf.stack([sums, slopes], 1)

        def function(x):
            u, means = (x + self.bound) / width, coefficients
            for _ in range(n):  # de Casteljau's algorithm
                means = means[:-1] * (1 - u) + means[1:] * u
            value, slope = tf.unstack(means[0])
            return width * value - self.bound, tf.math.log(n * slope)

        return function
