"""Solution of x + G(x) = b for a contraction G."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

# What rounding lets every well-made contraction reach.
_REACHABLE = {"float32": 2e-6, "float64": 1e-13}
# How many of the last steps are combined; more of them save few evaluations in residual blocks.
_MEMORY = 2


def solve_contraction(
    function: Callable[[tf.Tensor], tf.Tensor],
    b: tf.Tensor,
    scale: tf.Tensor,
    tolerance: float | None,
    max_iterations: int,
    what: str | None,
    start: tf.Tensor | None = None,
) -> tf.Tensor:
    """x with `x + function(x) = b`, by an accelerated fixed-point iteration.

        x <- x + r - sum_j (q_j . r) / (q_j . q_j) (p_j + q_j),  r = b - x - function(x)

    Each pair p, q says how x and the residual r changed in one of the last two steps, combined such
    that the q are orthogonal: were the function linear, what they span of r would be undone, and
    what is left makes the plain step `x <- x + r` of a contraction. Where such a step does not make
    |r| smaller, an example stays where it was and forgets its pairs, and a plain step follows.

    It ends when no element of the residual is larger than `tolerance * scale`; without a
    tolerance, when that holds for 2e-6 in float32 and 1e-13 in float64, and the largest residual
    shrinks no more. The plain step from there is returned. With a Lipschitz constant c of the
    function, the error of x is at most 1 / (1 - c) times the residual, in the norm in which c
    holds. No gradient goes through.

    Args:
        function: of a tensor of b's shape, a contraction.
        b: `[batch, ...]`.
        scale: `[batch]`, in the units of b.
        tolerance: relative to the scale, or `None`.
        max_iterations: evaluations of the function, at most.
        what: names the problem in the error; `None` for none, where more iterations follow.
        start: of x, by default b.

    Raises:
        ValueError: eagerly, if the tolerance is not reached.
        tf.errors.InvalidArgumentError: for that within a `tf.function`. XLA drops such checks.

    Source: Anderson, "Iterative procedures for nonlinear integral equations", 1965; Eirola and
    Nevanlinna, "Accelerating with rank-one updates", 1989, for orthogonal changes.
    """
    b, scale = tf.stop_gradient(b), tf.stop_gradient(scale)
    to_the_end = tolerance is None
    tolerance = tolerance or _REACHABLE[b.dtype.name]
    bound = tf.reshape(tolerance * scale, [-1, 1])
    shape, size = tf.shape(b), math.prod(b.shape[1:])

    def residual(x):
        return tf.reshape(b - function(tf.reshape(x, shape)), [-1, size]) - x

    def iterate(i, x, r, length, totals, changes, weights, excess, goes_on):
        # Pairs lie in three arrays: p + q, q and 1 / (q . q).
        step = r - tf.reduce_sum(weights * _dot(changes, r) * totals, 0)
        moved = x + step
        new_r = residual(moved)
        new_length = _dot(new_r, new_r)
        is_plain = tf.equal(weights[-1], 0)
        accepted = is_plain | (new_length < length)
        # At first there is no r from which the new one differs.
        remembered = accepted & (i > 0)
        totals, changes, weights = _with_pair(totals, changes, weights, step, new_r - r)
        weights = tf.where(remembered, weights, 0)
        x, r = tf.where(accepted, moved, x), tf.where(accepted, new_r, r)
        length = tf.where(accepted, new_length, length)
        found = tf.reduce_max(tf.math.divide_no_nan(tf.abs(r), bound))
        goes_on = (found > 1) | (found < excess) if to_the_end else found > 1
        return i + 1, x, r, length, totals, changes, weights, found, goes_on

    x = tf.reshape(b if start is None else tf.stop_gradient(start), [-1, size])
    pairs, none = tf.stack([tf.zeros_like(x)] * _MEMORY), tf.zeros_like(bound)
    weights, excess = tf.stack([none] * _MEMORY), tf.constant(np.inf, b.dtype)
    iterations, x, r, *_, excess, _ = tf.while_loop(
        lambda i, *state: state[-1] & (i < max_iterations),
        iterate,
        (
            tf.constant(0),
            x,
            tf.zeros_like(x),
            none,
            pairs,
            pairs,
            weights,
            excess,
            tf.constant(True),
        ),
    )
    # The last residual says where the plain step leads.
    x = tf.ensure_shape(tf.reshape(x + r, shape), b.shape)
    if what is not None:
        x = _require_convergence(x, excess, tolerance, iterations, what)
    return tf.stop_gradient(x)


def _dot(u, v):
    return tf.reduce_sum(u * v, -1, keepdims=True)


def _with_pair(totals, changes, weights, step, change):
    """The pairs with a new one, orthogonal to all, for the oldest."""
    shares = weights * _dot(changes, change)
    total = step + change - tf.reduce_sum(shares * totals, 0)
    change -= tf.reduce_sum(shares * changes, 0)
    weight = tf.math.reciprocal_no_nan(_dot(change, change))
    news = ((totals, total), (changes, change), (weights, weight))
    return [tf.stack([*tf.unstack(old)[1:], new]) for old, new in news]


def _require_convergence(x, excess, tolerance, iterations, what):
    reached = excess <= 1
    message = f"{what} did not converge: the residual, relative to its scale, is"
    limit = f"but should be at most {tolerance:.1e}; iterations made:"
    if tf.executing_eagerly():
        if not reached:
            raise ValueError(f"{message} {float(excess) * tolerance:.1e}, {limit} {iterations}.")
        return x
    values = [message, excess * tolerance, limit, iterations]
    with tf.control_dependencies([tf.debugging.Assert(reached, values)]):
        return tf.identity(x)
