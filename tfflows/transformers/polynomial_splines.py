"""Monotone splines of lines, parabolas and cubics."""

from __future__ import annotations

import copy
import dataclasses
import math

import keras
import tensorflow as tf

from tfflows.transformers.knots import Bin, Spline
from tfflows.transformers.roots import increasing_root

# Of a cubic spline's derivatives at the ends: of the largest with which it is monotone.
_LEAST_SHARE = 1e-3


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class LinearSpline(Spline):
    """Monotone piecewise linear function in [-B, B], the identity outside of it.

    K bins of equal widths w = 2 B / K, with heights h_k that sum to 2 B:

        forward:  x = x_k + h_k (z - z_k) / w
        inverse:  z = z_k + w (x - x_k) / h_k
        log-det:  log(h_k / w), forward; minus that, inverse

    As a density it is a histogram: slopes jump at the knots, where a knot belongs to the bin above.

    Parameters: K logits of the heights' shares of 2 B. Zeros give the identity. Domain and range
    are the real line.

    Args:
        bins: K, at least 2.
        bound: B > 0.
        min_bin_height: least share of the box for a bin, in (0, 1 / K).

    Raises:
        ValueError: if an argument is out of its range, and as `Transformer` does.

    Source: Müller, McWilliams, Rousselle, Gross and Novák, "Neural importance sampling", 2019,
    section 4.1, https://arxiv.org/abs/1808.03856.

    Example:
        >>> spline = tfflows.transformers.LinearSpline(bins=2, bound=1.0)
        >>> x, log_det = spline.forward([-0.5, 0.5, 2.0], [[0.0], [1.0]])
        >>> print(x.numpy().round(3), log_det.numpy().round(3))
        [-0.731  0.269  2.   ] [-0.618  0.379  0.   ]
    """

    min_bin_height: float = 1e-3

    @property
    def num_parameters(self) -> int:
        """Number of parameters per dimension, K."""
        return self.bins

    def _bin(self, value, parameters, inverse):
        x = self._positions(self._shares(parameters, self.min_bin_height))
        z = self._positions(tf.fill(tf.shape(x[1:]), tf.constant(1 / self.bins, x.dtype)))
        return _Linear(value, z, x, inverse)


class _Linear(Bin):
    def value(self, u):
        return self.x + self.height * u

    def log_slope(self, u):
        return tf.math.log(self.slope)

    def root(self, x):
        return (x - self.x) / self.height


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class QuadraticSpline(Spline):
    """Monotone piecewise quadratic function in [-B, B], the identity outside of it.

    Its slope is piecewise linear: p_k at the K + 1 knots, 1 at both ends. In a bin of width w, with
    u = (z - z_k) / w:

        forward:  x = x_k + w (p_k u + (p_k+1 - p_k) u^2 / 2)
        inverse:  u = t (p_k + p_k+1) / (p_k + sqrt((1 - t) p_k^2 + t p_k+1^2)), where t is
                  (x - x_k) / h, h the bin's height;  z = z_k + w u
        log-det:  log(p_k + (p_k+1 - p_k) u), forward; minus that, inverse

    Parameters, in this order: K of the widths, as logits of shares of 2 B, and K - 1 of the slopes
    at inner knots, which are `min_slope + (1 - min_slope) sigmoid(h)`, times what makes the spline
    end at (B, B). Zeros give the identity. Domain and range are the real line.

    Args:
        bins: K, at least 3: with two of them nothing of the slope in the middle would be free.
        bound: B > 0.
        min_bin_width: least share of the box for a bin, in (0, 1 / K).
        min_slope: least ratio of two slopes at inner knots, in (0, 1).

    Raises:
        ValueError: if an argument is out of its range, and as `Transformer` does.

    Source: Müller, McWilliams, Rousselle, Gross and Novák, "Neural importance sampling", 2019,
    section 4.2, https://arxiv.org/abs/1808.03856, whose slopes at the ends are free.

    Example:
        >>> spline = tfflows.transformers.QuadraticSpline(bins=3, bound=1.0)
        >>> x, log_det = spline.forward([-0.5, 0.5, 2.0], [*[[0.0]] * 3, [0.0], [1.0]])
        >>> print(x.numpy().round(3), log_det.numpy().round(3))
        [-0.535  0.465  2.   ] [-0.149  0.13   0.   ]
    """

    least_bins = 3

    min_bin_width: float = 1e-3
    min_slope: float = 1e-2

    @property
    def num_parameters(self) -> int:
        """Number of parameters per dimension, 2 K - 1."""
        return 2 * self.bins - 1

    def _bin(self, value, parameters, inverse):
        widths = self._shares(parameters[: self.bins], self.min_bin_width)
        logits = tf.stack(parameters[self.bins :])
        inner = self.min_slope + (1 - self.min_slope) * tf.sigmoid(logits)
        # The ends' slopes of 1 have a part of the height, the others share what is left.
        half = widths / 2
        left = 1 - half[:1] - half[-1:]
        ones = tf.ones_like(left + inner[:1])
        area = tf.reduce_sum(inner * (half[:-1] + half[1:]), 0, keepdims=True)
        slopes = tf.concat([ones, inner * left / area, ones], 0)
        x = self._positions(half * (slopes[:-1] + slopes[1:]))
        return _Quadratic(value, self._positions(widths), x, inverse, slopes)


class _Quadratic(Bin):
    def __init__(self, value, z, x, inverse, slopes):
        super().__init__(value, z, x, inverse)
        # Relative to their mean, which is the slope of the bin, up to rounding.
        left, right = self.pick(slopes)
        self.left, self.right = 2 * left / (left + right), 2 * right / (left + right)

    def value(self, u):
        return self.x + self.height * u * (self.left + (self.right - self.left) * u / 2)

    def log_slope(self, u):
        return tf.math.log(self.slope * (self.left * (1 - u) + self.right * u))

    def root(self, x):
        t = (x - self.x) / self.height
        slope = tf.sqrt((1 - t) * self.left**2 + t * self.right**2)
        return 2 * t / (self.left + slope)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class CubicSpline(Spline):
    """Monotone piecewise cubic function in [-B, B], the identity outside of it.

    Its K + 1 knots (z_k, x_k) rise from (-B, -B) to (B, B). With the bin's width w, height h and
    slope s = h / w, derivatives d_k at the knots, and u = (z - z_k) / w:

        forward:  x = x_k + w (d_k u + (3 s - 2 d_k - d_k+1) u^2 + (d_k + d_k+1 - 2 s) u^3)
        inverse:  the root u in [0, 1] of that equation, by Newton's method and bisection
        log-det:  log(d_k (1 - u)^2 + (6 s - 2 d_k - 2 d_k+1) u (1 - u) + d_k+1 u^2), forward;
                  minus that, inverse

    At inner knots the derivative is Steffen's, 2 min(s_k-1, s_k, p / 2), where p is the mean of
    both slopes, each with the other bin's width for its weight; at the ends it is free, so that
    slopes jump to 1 there.

    Parameters, in this order: K of the widths and K of the heights, as logits of shares of 2 B, and
    two of the ends' derivatives, as logits of their shares of 3 s, of which they have at least a
    thousandth. Zeros give the identity. Domain and range are the real line.

    Args:
        bins: K, at least 2.
        bound: B > 0.
        min_bin_width, min_bin_height: least share of the box for a bin, in (0, 1 / K).

    Raises:
        ValueError: if an argument is out of its range, and as `Transformer` does.

    Source: Durkan, Bekasov, Murray and Papamakarios, "Cubic-spline flows", 2019,
    https://arxiv.org/abs/1906.02145; Steffen, "A simple method for monotonic interpolation in one
    dimension", 1990.

    Example:
        >>> spline = tfflows.transformers.CubicSpline(bins=2, bound=1.0)
        >>> x, log_det = spline.forward([-0.5, 0.5, 2.0], [[0.0], [0.0], [1.0], *[[0.0]] * 3])
        >>> print(x.numpy().round(3), log_det.numpy().round(3))
        [-0.212  0.788  2.   ] [ 0.455 -0.859  0.   ]
    """

    min_bin_width: float = 1e-3
    min_bin_height: float = 1e-3

    @property
    def num_parameters(self) -> int:
        """Number of parameters per dimension, 2 K + 2."""
        return 2 * self.bins + 2

    def _bin(self, value, parameters, inverse):
        k = self.bins
        widths = self._shares(parameters[:k], self.min_bin_width)
        heights = self._shares(parameters[k : 2 * k], self.min_bin_height)
        slopes = heights / widths
        lower, upper = slopes[:-1], slopes[1:]
        mean = (lower * widths[1:] + upper * widths[:-1]) / (widths[:-1] + widths[1:])
        inner = 2 * tf.minimum(tf.minimum(lower, upper), mean / 2)
        # Such that zeros give s.
        shift = math.log((1 / 3 - _LEAST_SHARE) / (1 - 1 / 3))
        shares = tf.sigmoid(tf.stack(parameters[2 * k :]) + shift)
        shares = _LEAST_SHARE + (1 - _LEAST_SHARE) * shares
        ends = 3 * tf.stack([slopes[0], slopes[-1]]) * shares
        derivatives = tf.concat([ends[:1], inner, ends[1:]], 0)
        z, x = self._positions(widths), self._positions(heights)
        return _Cubic(value, z, x, inverse, derivatives, slopes)


class _Cubic(Bin):
    def __init__(self, value, z, x, inverse, derivatives, slopes):
        super().__init__(value, z, x, inverse)
        # In units of the bin's slope.
        (self.left, self.right) = (d / self.slope for d in self.pick(derivatives))

    def value(self, u):
        square = 3 - 2 * self.left - self.right
        cube = self.left + self.right - 2
        return self.x + self.height * u * (self.left + u * (square + u * cube))

    def log_slope(self, u):
        mixed = 6 - 2 * self.left - 2 * self.right
        slope = self.left * (1 - u) ** 2 + mixed * u * (1 - u) + self.right * u**2
        return tf.math.log(self.slope * slope)

    def root(self, x):
        zeros, frozen = tf.zeros_like(x), copy.copy(self)
        for name, value in vars(self).items():
            setattr(frozen, name, tf.nest.map_structure(tf.stop_gradient, value))
        return increasing_root(self._scaled, x, zeros, zeros + 1, frozen._scaled)

    def _scaled(self, u):
        """x, and log dx/du."""
        return self.value(u), self.log_slope(u) + tf.math.log(self.width)
