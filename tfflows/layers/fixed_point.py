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
    what: str,
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
        what: names the problem in the error.
        start: of x, by default 0.

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

    def goes_on(i, x, r, length, pairs, excess, shrinks):
        return (excess > 1) | shrinks if to_the_end else excess > 1

    def iterate(i, x, r, length, pairs, excess, shrinks):
        step = r
        for total, q, weight in pairs:
            step -= weight * _dot(q, r) * total
        moved = x + step
        new_r = residual(moved)
        new_length = _dot(new_r, new_r)
        is_plain = tf.equal(pairs[-1][2], 0)
        accepted = is_plain | (new_length < length)
        # At first there is no r from which the new one differs.
        remembered = accepted & (i > 0)
        pairs = [
            (total, q, tf.where(remembered, weight, 0))
            for total, q, weight in _with_pair(pairs, step, new_r - r)
        ]
        x, r = tf.where(accepted, moved, x), tf.where(accepted, new_r, r)
        length = tf.where(accepted, new_length, length)
        found = tf.reduce_max(tf.math.divide_no_nan(tf.abs(r), bound))
        return i + 1, x, r, length, pairs, found, found < excess

    x = tf.reshape(b if start is None else tf.stop_gradient(start), [-1, size])
    zeros, none = tf.zeros_like(x), tf.zeros_like(bound)
    pairs = [(zeros, zeros, none)] * _MEMORY
    iterations, x, r, *_, excess, _ = tf.while_loop(
        goes_on,
        iterate,
        (0, x, zeros, none, pairs, tf.constant(np.inf, b.dtype), True),
        maximum_iterations=max_iterations,
    )
    # The last residual says where the plain step leads.
    x = tf.ensure_shape(tf.reshape(x + r, shape), b.shape)
    x = _require_convergence(x, excess, tolerance, iterations, what)
    return tf.stop_gradient(x)


def _dot(u, v):
    return tf.reduce_sum(u * v, -1, keepdims=True)


def _with_pair(pairs, step, change):
    """The pairs p + q, q and 1 / (q . q), with a new one, orthogonal to all, for the oldest."""
    total = step + change
    for other, q, weight in pairs:
        share = weight * _dot(q, change)
        total, change = total - share * other, change - share * q
    weight = tf.math.divide_no_nan(tf.ones([], change.dtype), _dot(change, change))
    return [*pairs[1:], (total, change, weight)]


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
