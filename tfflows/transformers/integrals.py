"""Integrals of positive functions, by quadrature."""

from __future__ import annotations

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from tfflows.transformers.base import checked_bound, checked_integer, checked_share, of_rank
from tfflows.transformers.monotone import MonotoneFunction

_MOST_NODES = 1000


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class SumOfSquares(MonotoneFunction):
    """Integral of a positive polynomial of [-B, B], with straight tails.

    With t = x / B, and p(t) = m + (1 - m) (P(t)^2 + (1 - t^2) Q(t)^2), where P has degree n and Q
    degree n - 1:

        inverse:  z = s + B int_0^t p(v) dv in the box, the tangents at its ends beyond
        forward:  the root x of that, by Newton's method and bisection, to rounding
        log-det:  log p(t), inverse; minus that, forward

    Every polynomial of degree 2 n that is positive in the box is such a sum (Lukács). The integral
    is that of Gauss and Legendre with n + 1 nodes, which is exact.

    Parameters, in this order: the shift s; n + 1 of P(t) = t + sum_k p_k t^k; and n of
    Q(t) = 1 + sum_k q_k t^k. Zeros give the identity. Domain and range are the real line.

    Args:
        degree: n, at least 1.
        bound: B > 0.
        min_slope: m, in (0, 1).

    Raises:
        ValueError: if an argument is out of its range, and as `Transformer` does.

    Source: Jaini, Selby and Yu, "Sum-of-squares polynomial flow", 2019,
    https://arxiv.org/abs/1905.02325, whose polynomials are positive on the whole line, and which
    has one more square in place of 1 - t^2.

    Example:
        >>> transformer = tfflows.transformers.SumOfSquares(degree=1, bound=1.0)
        >>> z, log_det = transformer.inverse([-1.0, 0.0, 2.0], [[0.0], [0.0], [0.5], [0.0]])
        >>> print(z.numpy().round(3), log_det.numpy().round(3))
        [-1.413  0.     3.65 ] [0.805 0.    0.805]
    """

    degree: int = 3
    bound: float = 3.0
    min_slope: float = 1e-2

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "degree", checked_integer(self, "degree", 1))
        object.__setattr__(self, "min_slope", checked_share(self, "min_slope", 1.0))

    @property
    def num_parameters(self) -> int:
        """Number of parameters per dimension, 2 n + 2."""
        return 2 * self.degree + 2

    def _function(self, parameters, rank):
        n, m = self.degree, self.min_slope
        shift, *coefficients = of_rank(parameters, rank)
        p, q = coefficients[: n + 1], coefficients[n + 1 :]
        p[1], q[0] = p[1] + 1, q[0] + 1

        def density(t):
            squares = _polynomial(p, t) ** 2 + (1 - t) * (1 + t) * _polynomial(q, t) ** 2
            return m + (1 - m) * squares

        def function(x):
            t = x / self.bound
            value = self.bound * _integral(density, t, n + 1)
            return shift + value, tf.math.log(density(t))

        return function


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class MonotonicMLP(MonotoneFunction):
    """Integral of a positive network of one hidden layer, with straight tails.

    With the network log p(x) = c + sum_j v_j tanh(w_j x + b_j), j = 1 ... K:

        inverse:  z = s + int_0^x p(t) dt in [-B, B], the tangents at its ends beyond
        forward:  the root x of that, by Newton's method and bisection, to rounding
        log-det:  log p(x), inverse; minus that, forward

    The integral is that of Gauss and Legendre. Its number of nodes, `nodes`, follows from the
    bounds of the weights, such that the derivative of what is computed is p(x) to 1e-6 of it: the
    map certainly increases, and the log-det is its own to 1e-6.

    Parameters, in this order: the shift s; K of w = a tanh(h / a + w_0); K of b = h + b_0; K of
    v = (V / K) tanh(K h / V); and c = V tanh(h / V). w_0 and b_0 are such that w x + b is zero at a
    place of its own in the box for each unit, since equals would stay so in training. Zeros give
    the identity. Domain and range are the real line.

    Args:
        hidden: K, at least 1.
        bound: B > 0.
        weight_bound: a > 0, of w. The number of nodes grows with a B, and is at most 1000.
        log_slope_bound: V > 0, of c and of the sum that is added to it.

    Raises:
        ValueError: if an argument is out of its range, and as `Transformer` does.

    Source: Wehenkel and Louppe, "Unconstrained monotonic neural networks", 2019,
    https://arxiv.org/abs/1908.05164, where dimensions share a deeper network, which a conditioner
    gives an input in place of its weights; Trefethen, "Approximation theory and approximation
    practice", 2013, theorem 19.3, for the error.

    Example:
        >>> transformer = tfflows.transformers.MonotonicMLP(hidden=1)
        >>> parameters = [[0.0], [0.0], [0.0], [1.0], [0.0]]  # s, w, b, v and c
        >>> z, log_det = transformer.inverse([-1.0, 0.0, 1.0], parameters)
        >>> print(transformer.nodes, z.numpy().round(3), log_det.numpy().round(3))
        54 [-0.67   0.     1.566] [-0.746  0.     0.746]
    """

    hidden: int = 8
    bound: float = 3.0
    weight_bound: float = 2.0
    log_slope_bound: float = 4.0

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "hidden", checked_integer(self, "hidden", 1))
        for name in ("weight_bound", "log_slope_bound"):
            object.__setattr__(self, name, checked_bound(self, getattr(self, name), name))
        if self.nodes > _MOST_NODES:
            raise ValueError(
                f"MonotonicMLP would need {self.nodes} nodes, more than {_MOST_NODES}, for "
                f"bound={self.bound:g}, weight_bound={self.weight_bound:g} and "
                f"log_slope_bound={self.log_slope_bound:g}; make one of them smaller."
            )

    @property
    def num_parameters(self) -> int:
        """Number of parameters per dimension, 3 K + 2."""
        return 3 * self.hidden + 2

    @property
    def nodes(self) -> int:
        """Number of nodes with which the quadrature's derivative is p(x) to 1e-6 of it.

        With t = x s, the derivative is the quadrature over s in [0, 1] of p(t) + t p'(t). Where
        |Im(w t)| is at most pi / 4, |tanh| is at most 1 and its derivative at most 2, in size.
        """
        reach, most = self.weight_bound * self.bound, self.log_slope_bound
        # Logarithm of the sum of half-axes, of the ellipse around [0, 1] that is as high as that.
        log_rho = math.asinh(math.pi / 2 / reach)
        farthest = 0.5 + math.cosh(log_rho) / 2
        # Over the least p.
        log_largest = 2 * most + math.log1p(2 * most * reach * farthest)
        log_error = math.log(32 / 15 / 1e-6) + log_largest - math.log(-math.expm1(-2 * log_rho))
        return 1 + math.ceil(log_error / (2 * log_rho))

    def _function(self, parameters, rank):
        k, a, most = self.hidden, self.weight_bound, self.log_slope_bound
        shift, *others, c = of_rank(parameters, rank)
        w, b, v = (tf.stack(others[i * k : (i + 1) * k]) for i in range(3))
        first = min(1.0, a / 2)
        places = self.bound * np.linspace(-1, 1, k + 2)[1:-1].reshape([k] + [1] * rank)
        w = a * tf.tanh(w / a + math.atanh(first / a))
        b -= tf.constant(first * places, b.dtype)
        v = most / k * tf.tanh(v * k / most)
        c = most * tf.tanh(c / most)

        def log_density(x):
            # Units come right before all axes of the values.
            units = v * tf.tanh(w * tf.expand_dims(x, -1 - rank) + b)
            return c + tf.reduce_sum(units, -1 - rank)

        def function(x):
            value = _integral(lambda t: tf.exp(log_density(t)), x, self.nodes)
            return shift + value, log_density(x)

        return function


def _polynomial(coefficients, t):
    """sum_k c_k t^k, by Horner's rule."""
    *others, total = coefficients
    for coefficient in reversed(others):
        total = total * t + coefficient
    return total


def _integral(density, x, nodes):
    """Of a function from 0 to x, by Gauss and Legendre's rule."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    shape = [nodes] + [1] * x.shape.rank
    places = tf.constant((1 + places).reshape(shape) / 2, x.dtype)
    weights = tf.constant(weights.reshape(shape) / 2, x.dtype)
    return x * tf.reduce_sum(weights * density(places * x), 0)
