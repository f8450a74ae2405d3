"""Monotone splines within a box, and the identity outside of it."""

from __future__ import annotations

import dataclasses
import math
import numbers

import keras
import numpy as np
import tensorflow as tf

from tfflows.transformers.base import Transformer, checked_bound


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class RationalQuadraticSpline(Transformer):
    """Monotone rational-quadratic spline in [-B, B], the identity outside of it.

    Its K + 1 knots (z_k, x_k) rise from (-B, -B) to (B, B), with derivatives d_k that are 1 at both
    ends. With the bin's width w, height h and slope s = h / w, and u = (z - z_k) / w in it:

        forward:  x = x_k + h (s u^2 + d_k u (1 - u)) / (s + (d_k + d_k+1 - 2 s) u (1 - u))
        inverse:  the root u in [0, 1] of the quadratic equation that this makes; z = z_k + w u
        log-det:  log(d_k+1 u^2 + 2 s u (1 - u) + d_k (1 - u)^2)
                  + 2 log(s / (s + (d_k + d_k+1 - 2 s) u (1 - u))), forward; minus that, inverse

    Parameters, in this order: K of the widths and K of the heights, as logits of shares of 2 B, and
    K - 1 of the derivatives at inner knots, which are `min_derivative + softplus(h + c)`. c is such
    that zeros give the identity. Domain and range are the real line.

    Args:
        bins: K, at least 2.
        bound: B > 0. Standardised data are mostly within 3.
        min_bin_width, min_bin_height: least share of the box for a bin, in (0, 1 / K).
        min_derivative: least derivative at a knot, in (0, 1).

    Raises:
        ValueError: if an argument is out of its range, and as `Transformer` does.

    Source: Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows", 2019, section 3,
    https://arxiv.org/abs/1906.04032; Gregory and Delbourgo, "Piecewise rational quadratic
    interpolation to monotonic data", 1982.

    Example:
        >>> spline = tfflows.transformers.RationalQuadraticSpline(bins=2, bound=1.0)
        >>> x, log_det = spline.forward([-0.5, 0.5, 2.0], [[0.0], [0.0], [1.0], [0.0], [0.0]])
        >>> print(x.numpy().round(3), log_det.numpy().round(3))
        [-0.269  0.731  2.   ] [ 0.551 -0.975  0.   ]
    """

    bins: int = 8
    bound: float = 3.0
    min_bin_width: float = 1e-3
    min_bin_height: float = 1e-3
    min_derivative: float = 1e-3

    def __post_init__(self):
        if not isinstance(self.bins, numbers.Integral) or self.bins < 2:
            raise ValueError(
                f"RationalQuadraticSpline needs an integer of at least 2 bins, but found "
                f"{self.bins!r}."
            )
        object.__setattr__(self, "bins", int(self.bins))
        object.__setattr__(self, "bound", checked_bound(self, self.bound))
        for name, limit in (
            ("min_bin_width", 1 / self.bins),
            ("min_bin_height", 1 / self.bins),
            ("min_derivative", 1.0),
        ):
            value = getattr(self, name)
            if not (isinstance(value, numbers.Real) and 0 < value < limit):
                raise ValueError(
                    f"RationalQuadraticSpline of {self.bins} bins needs a {name} between 0 and "
                    f"{limit:g}, but found {value!r}."
                )
            object.__setattr__(self, name, float(value))

    @property
    def num_parameters(self) -> int:
        """Number of parameters per dimension, 3 K - 1."""
        return 3 * self.bins - 1

    def _forward(self, z, *parameters):
        inside, inner = self._clipped(z)
        at = _Bin(inner, *self._knots(parameters, z.shape.rank))
        u = (inner - at.z) / at.width
        return tf.where(inside, at.value(u), z), tf.where(inside, at.log_slope(u), 0.0)

    def _inverse(self, x, *parameters):
        inside, inner = self._clipped(x)
        z, knots, derivatives = self._knots(parameters, x.shape.rank)
        at = _Bin(inner, z, knots, derivatives, inverse=True)
        u = tf.stop_gradient(at.root(inner))
        # Newton's steps undo the cancellation in the root's formula, and have its gradient, of the
        # second order too; that of the formula is infinite where its square root is zero.
        for _ in range(2):
            u += (inner - at.value(u)) / (at.width * tf.exp(at.log_slope(u)))
            u += tf.stop_gradient(tf.clip_by_value(u, 0, 1) - u)
        return (
            tf.where(inside, at.z + at.width * u, x),
            tf.where(inside, -at.log_slope(u), 0.0),
        )

    def _clipped(self, value):
        """Whether a value is in the box, and one that is, for both to have finite gradients."""
        return tf.abs(value) < self.bound, tf.clip_by_value(value, -self.bound, self.bound)

    def _knots(self, parameters, rank):
        """Knots z and x, and derivatives, each `[K + 1, ...]` for values of a rank."""
        # Bins come before all axes of the values.
        parameters = [
            p if p.shape.rank == rank else p[(tf.newaxis,) * (rank - p.shape.rank)]
            for p in parameters
        ]
        k, limits = self.bins, (self.min_bin_width, self.min_bin_height)
        groups = parameters[:k], parameters[k : 2 * k]
        z, x = (self._positions(tf.stack(g), m) for g, m in zip(groups, limits, strict=True))
        shift = math.log(math.expm1(1 - self.min_derivative))
        derivatives = self.min_derivative + tf.math.softplus(tf.stack(parameters[2 * k :]) + shift)
        ones = tf.ones_like(derivatives[:1])
        return z, x, tf.concat([ones, derivatives, ones], 0)

    def _positions(self, logits, minimum):
        # A softmax over the first axis, which TensorFlow's own would transpose.
        powers = tf.exp(logits - tf.stop_gradient(tf.reduce_max(logits, 0)))
        shares = minimum + (1 - self.bins * minimum) * powers / tf.reduce_sum(powers, 0)
        sums = np.tri(self.bins - 1, self.bins, dtype=shares.dtype.as_numpy_dtype)
        inner = tf.tensordot(2 * self.bound * sums, shares, 1) - self.bound
        ends = tf.fill(tf.shape(inner[:1]), tf.constant(self.bound, inner.dtype))
        return tf.concat([-ends, inner, ends], 0)


class _Bin:
    """The bin that each value lies in: its corner, sizes, slope, and derivatives at its ends.

    Bins are along the first axis, where sums over them add whole arrays.
    """

    def __init__(self, value, z, x, derivatives, inverse=False):
        knots = (x if inverse else z)[1:-1]
        beyond = tf.cast(value >= knots, value.dtype)
        ones = tf.ones_like(beyond[:1])
        zeros = tf.zeros_like(ones)
        chosen = tf.concat([ones, beyond], 0) - tf.concat([beyond, zeros], 0)
        below, above = tf.concat([chosen, zeros], 0), tf.concat([zeros, chosen], 0)

        def pick(values):
            return tf.reduce_sum(below * values, 0), tf.reduce_sum(above * values, 0)

        # Sizes are those of the knots as they were rounded, so that values of the bin stay in it.
        (self.z, upper_z), (self.x, upper_x) = pick(z), pick(x)
        self.width, self.height = upper_z - self.z, upper_x - self.x
        self.slope = self.height / self.width
        self.left, self.right = pick(derivatives)

    def _denominator(self, u):
        # Without a difference: u (1 - u) is at most 1/4.
        product = u * (1 - u)
        return self.slope * (1 - 2 * product) + (self.left + self.right) * product

    def value(self, u):
        """x at u in [0, 1]."""
        numerator = self.slope * u**2 + self.left * u * (1 - u)
        return self.x + self.height * numerator / self._denominator(u)

    def log_slope(self, u):
        """log dx/dz at u."""
        mixed = self.right * u**2 + 2 * self.slope * u * (1 - u) + self.left * (1 - u) ** 2
        return tf.math.log(mixed) + 2 * tf.math.log(self.slope / self._denominator(u))

    def root(self, x):
        """u at x, from a u^2 + b u + c = 0; roughly, where slopes differ by much."""
        rise, bend = x - self.x, self.left + self.right - 2 * self.slope
        a = self.height * (self.slope - self.left) + rise * bend
        b = self.height * self.left - rise * bend
        c = -self.slope * rise
        square_root = tf.sqrt(tf.maximum(b**2 - 4 * a * c, 0))
        return tf.clip_by_value(tf.math.divide_no_nan(-2 * c, b + square_root), 0, 1)
