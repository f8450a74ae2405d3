"""What monotone splines within a box have in common."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfflows.transformers.base import (
    Transformer,
    checked_bound,
    checked_integer,
    checked_share,
    of_rank,
)


@dataclasses.dataclass(frozen=True)
class Spline(Transformer):
    """A monotone function in K bins of the box [-B, B], and the identity outside of it.

    A subclass adds settings `min_...`, shares of the box (`min_bin_...`) or of a slope of 1, and
    implements `_bin(value, parameters, inverse)`: the bin that each value lies in, with the
    functions `forward(z)` and `inverse(x)` for values in it.

    Attributes:
        least_bins: least number of them.
        bins: K.
        bound: B > 0.
    """

    least_bins: ClassVar[int] = 2

    bins: int = 8
    bound: float = 3.0

    def __post_init__(self):
        object.__setattr__(self, "bins", checked_integer(self, "bins", self.least_bins))
        object.__setattr__(self, "bound", checked_bound(self, self.bound))
        for field in dataclasses.fields(self):
            if field.name.startswith("min_"):
                limit = 1 / self.bins if field.name.startswith("min_bin_") else 1.0
                object.__setattr__(self, field.name, checked_share(self, field.name, limit))

    def _bin(self, value, parameters, inverse):
        raise NotImplementedError(f"{type(self).__name__} has no bins.")

    def _forward(self, z, *parameters):
        return self._within("forward", z, parameters)

    def _inverse(self, x, *parameters):
        return self._within("inverse", x, parameters)

    def _within(self, direction, value, parameters):
        # Outside of the box a value of it, for both choices to have finite gradients.
        inside, inner = tf.abs(value) < self.bound, tf.clip_by_value(value, -self.bound, self.bound)
        # Bins come before all axes of the values.
        at = self._bin(inner, of_rank(parameters, value.shape.rank), direction == "inverse")
        result, log_det = getattr(at, direction)(inner)
        return tf.where(inside, result, value), tf.where(inside, log_det, 0.0)

    def _shares(self, logits, minimum):
        """Of the box, each at least a minimum, `[K, ...]`, from K logits."""
        return shares_of(tf.stack(logits), minimum)

    def _positions(self, shares):
        """Knots from -B to B, `[K + 1, ...]`, of bins of these shares."""
        sums = np.tri(self.bins - 1, self.bins, dtype=shares.dtype.as_numpy_dtype)
        inner = tf.tensordot(2 * self.bound * sums, shares, 1) - self.bound
        ends = tf.fill(tf.shape(inner[:1]), tf.constant(self.bound, inner.dtype))
        return tf.concat([-ends, inner, ends], 0)


class Bin:
    """The bin that each value lies in: its lower corner, width, height, and slope.

    Bins are along the first axis, where sums over them add whole arrays.

    Args:
        value: where it is looked for.
        z, x: the knots, `[K + 1, ...]`.
        inverse: whether the value is an x.
    """

    def __init__(self, value, z, x, inverse):
        knots = (x if inverse else z)[1:-1]
        beyond = tf.cast(value >= knots, value.dtype)
        ones = tf.ones_like(beyond[:1])
        zeros = tf.zeros_like(ones)
        chosen = tf.concat([ones, beyond], 0) - tf.concat([beyond, zeros], 0)
        self._ends = tf.concat([chosen, zeros], 0), tf.concat([zeros, chosen], 0)
        # Sizes are those of the knots as they were rounded, so that values of the bin stay in it.
        (self.z, upper_z), (self.x, upper_x) = self.pick(z), self.pick(x)
        self.width, self.height = upper_z - self.z, upper_x - self.x
        self.slope = self.height / self.width

    def pick(self, values):
        """What values at the knots, `[K + 1, ...]`, are at the bin's lower and upper end."""
        return [tf.reduce_sum(chosen * values, 0) for chosen in self._ends]

    def forward(self, z):
        """x and log dx/dz at z."""
        u = (z - self.z) / self.width
        return self.value(u), self.log_slope(u)

    def inverse(self, x):
        """z and log dz/dx at x."""
        u = self.root(x)
        return self.z + self.width * u, -self.log_slope(u)

    def value(self, u):
        """x at u in [0, 1], the place within the bin."""
        raise NotImplementedError

    def log_slope(self, u):
        """log dx/dz at u."""
        raise NotImplementedError

    def root(self, x):
        """u at x."""
        raise NotImplementedError


def shares_of(logits, minimum):
    """Shares that sum to 1, each at least a minimum, along the first axis."""
    # A softmax over the first axis, which TensorFlow's own would transpose.
    powers = tf.exp(logits - tf.stop_gradient(tf.reduce_max(logits, 0)))
    return minimum + (1 - logits.shape[0] * minimum) * powers / tf.reduce_sum(powers, 0)
