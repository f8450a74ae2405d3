"""What increasing functions with straight tails have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfflows.transformers.base import Transformer, checked_bound
from tfflows.transformers.roots import increasing_root


@dataclasses.dataclass(frozen=True)
class MonotoneFunction(Transformer):
    """An increasing function g of [-B, B] as the inverse, with straight lines beyond.

        inverse:  z = g(x) in [-B, B], g(B) + g'(B) (x - B) above, and likewise below
        forward:  the root x of that, by Newton's method and bisection, to rounding
        log-det:  log g'(x), inverse; minus that, forward

    Densities, which take the inverse, thus need no search for a root. A subclass has a field
    `bound`, which is B > 0, and implements `_function(parameters, rank)`, which gives g: of x in
    the box, to g(x) and log g'(x).
    """

    def __post_init__(self):
        object.__setattr__(self, "bound", checked_bound(self, self.bound))

    def _function(self, parameters: list[tf.Tensor], rank: int) -> Callable:
        raise NotImplementedError(f"{type(self).__name__} has no function.")

    def _inverse(self, x, *parameters):
        inner = tf.clip_by_value(x, -self.bound, self.bound)
        z, log_slope = self._function(parameters, x.shape.rank)(inner)
        return z + tf.exp(log_slope) * (x - inner), log_slope

    def _forward(self, z, *parameters):
        function = self._function(parameters, z.shape.rank)
        frozen = self._function([tf.stop_gradient(p) for p in parameters], z.shape.rank)
        upper = tf.fill(tf.shape(z), tf.constant(self.bound, z.dtype))
        ends = [(end, *function(end), sign) for end, sign in ((upper, 1), (-upper, -1))]
        inner = tf.clip_by_value(z, *(tf.stop_gradient(at) for _, at, _, _ in reversed(ends)))
        x = increasing_root(function, inner, -upper, upper, frozen)
        value, log_slope = z, function(x)[1]
        # Roots beside an end are rounded, and have not quite its slope.
        for end, at, slope, sign in ends:
            is_beyond = sign * (z - at) > 0
            x, value = tf.where(is_beyond, end, x), tf.where(is_beyond, at, value)
            log_slope = tf.where(is_beyond, slope, log_slope)
        return x + tf.exp(-log_slope) * (z - value), -log_slope
