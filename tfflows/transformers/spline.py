"""Monotone rational-quadratic splines, of the line and of the circle."""

from __future__ import annotations

import dataclasses
import math

import keras
import tensorflow as tf

from tfflows.transformers.knots import Bin, Spline
from tfflows.transformers.roots import implicit_root


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class RationalQuadraticSpline(Spline):
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

    min_bin_width: float = 1e-3
    min_bin_height: float = 1e-3
    min_derivative: float = 1e-3

    @property
    def num_parameters(self) -> int:
        """Number of parameters per dimension, 3 K - 1."""
        return 3 * self.bins - 1

    def _bin(self, value, parameters, inverse):
        k = self.bins
        z = self._positions(self._shares(parameters[:k], self.min_bin_width))
        x = self._positions(self._shares(parameters[k : 2 * k], self.min_bin_height))
        shift = math.log(math.expm1(1 - self.min_derivative))
        derivatives = self.min_derivative + tf.math.softplus(tf.stack(parameters[2 * k :]) + shift)
        return _Bin(value, z, x, inverse, self._with_ends(derivatives))

    def _with_ends(self, derivatives):
        """Derivatives at all K + 1 knots, from those that are parameters."""
        ones = tf.ones_like(derivatives[:1])
        return tf.concat([ones, derivatives, ones], 0)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class CircularSpline(RationalQuadraticSpline):
    """Monotone rational-quadratic spline of the circle [-B, B], whose two ends are one point.

    As `RationalQuadraticSpline`, but that the derivative at the ends is free, and the same at both,
    so that densities of angles are continuous there. The ends stay where they are: a
    `tfflows.layers.CircularShift` between two layers moves the others past them. Networks that
    condition it should see angles as `tfflows.networks.PeriodicFeatures` do.

    Parameters, in this order: K of the widths and K of the heights, as logits of shares of 2 B, and
    K of the derivatives, first that at the ends. Zeros give the identity. Domain and range are
    [-B, B]; what lies outside stays as it is.

    Args:
        bins: K, at least 2.
        bound: B > 0, by default pi.
        min_bin_width, min_bin_height, min_derivative: see `RationalQuadraticSpline`.

    Raises:
        ValueError: if an argument is out of its range, and as `Transformer` does.

    Source: Rezende, Papamakarios, Racanière, Albergo, Kanwar, Shanahan and Cranmer, "Normalizing
    flows on tori and spheres", 2020, section 2.1.3, https://arxiv.org/abs/2002.02428.

    Example:
        >>> spline = tfflows.transformers.CircularSpline(bins=2)
        >>> x, log_det = spline.forward([-3.1415, 1.0, 3.1415], [*[[0.0]] * 4, [1.0], [0.0]])
        >>> print(x.numpy().round(3), log_det.numpy().round(3))
        [-3.141  0.862  3.141] [ 0.551 -0.224  0.551]
    """

    bound: float = math.pi

    @property
    def num_parameters(self) -> int:
        """Number of parameters per dimension, 3 K."""
        return 3 * self.bins

    def _with_ends(self, derivatives):
        return tf.concat([derivatives, derivatives[:1]], 0)


class _Bin(Bin):
    def __init__(self, value, z, x, inverse, derivatives):
        super().__init__(value, z, x, inverse)
        self.left, self.right = self.pick(derivatives)

    def _denominator(self, u):
        # Without a difference: u (1 - u) is at most 1/4.
        product = u * (1 - u)
        return self.slope * (1 - 2 * product) + (self.left + self.right) * product

    def value(self, u):
        numerator = self.slope * u**2 + self.left * u * (1 - u)
        return self.x + self.height * numerator / self._denominator(u)

    def log_slope(self, u):
        mixed = self.right * u**2 + 2 * self.slope * u * (1 - u) + self.left * (1 - u) ** 2
        return tf.math.log(mixed) + 2 * tf.math.log(self.slope / self._denominator(u))

    def root(self, x):
        # Newton's steps undo the cancellation in the formula, and have its gradient, of the second
        # order too; that of the formula is infinite where its square root is zero.
        u = tf.stop_gradient(self._rough_root(x))
        return implicit_root(
            lambda u: (self.value(u), self.log_slope(u) + tf.math.log(self.width)), x, u, 0, 1
        )

    def _rough_root(self, x):
        # Of a u^2 + b u + c = 0.
        rise, bend = x - self.x, self.left + self.right - 2 * self.slope
        a = self.height * (self.slope - self.left) + rise * bend
        b = self.height * self.left - rise * bend
        c = -self.slope * rise
        square_root = tf.sqrt(tf.maximum(b**2 - 4 * a * c, 0))
        return tf.clip_by_value(tf.math.divide_no_nan(-2 * c, b + square_root), 0, 1)
