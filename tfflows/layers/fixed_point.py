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
    rough: Callable[[tf.Tensor], tf.Tensor] | None = None,
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
        max_iterations: evaluations of the function, at most, in each precision.
        what: names the problem in the error.
        rough: the function in float32, for iterations down to 2e-6 before those in b's precision.

    Raises:
        ValueError: eagerly, if the tolerance is not reached.
        tf.errors.InvalidArgumentError: for that within a `tf.function`. XLA drops such checks.

    Source: Anderson, "Iterative procedures for nonlinear integral equations", 1965; Eirola and
    Nevanlinna, "Accelerating with rank-one updates", 1989, for orthogonal changes.
    """
    to_the_end = tolerance is None
    tolerance = tolerance or _REACHABLE[b.dtype.name]
    x = _as_rows(b)
    r = tf.zeros_like(x)
    if rough is not None:
        narrow = tf.cast(b, tf.float32)
        x, r, *_ = _iterated(rough, narrow, scale, x, r, _REACHABLE["float32"], max_iterations)
    x, r, error, iterations = _iterated(
        function, b, scale, x, r, tolerance, max_iterations, to_the_end
    )
    # The last residual says where the plain step leads.
    x = tf.ensure_shape(tf.reshape(x + r, tf.shape(b)), b.shape)
    return tf.stop_gradient(_require_convergence(x, error, tolerance, iterations, what))


def _iterated(function, b, scale, x, r, tolerance, max_iterations, to_the_end=False):
    """Better x and r, the largest r relative to its scale, and the number of evaluations."""
    shape, b_rows, scale = tf.shape(b), _as_rows(b), tf.reshape(scale, [-1, 1])
    x, r, scale = (tf.cast(value, b.dtype) for value in (x, r, scale))

    def iterate(i, x, r, length, totals, changes, weights, error, goes_on):
        # Pairs lie in three arrays: p + q, q and 1 / (q . q).
        step = r - tf.reduce_sum(weights * _dot(changes, r) * totals, 0)
        moved = x + step
        new_r = b_rows - _as_rows(function(tf.reshape(moved, shape))) - moved
        new_length = _dot(new_r, new_r)
        is_plain = tf.equal(weights[-1], 0)
        accepted = is_plain | (new_length < length)
        # The first r is not this function's.
        remembered = accepted & (i > 0)
        totals, changes, weights = _with_pair(totals, changes, weights, step, new_r - r)
        weights = tf.where(remembered, weights, 0)
        x, r = tf.where(accepted, moved, x), tf.where(accepted, new_r, r)
        length = tf.where(accepted, new_length, length)
        found = tf.reduce_max(tf.math.divide_no_nan(tf.abs(r), scale))
        goes_on = found > tolerance
        if to_the_end:
            goes_on |= found < error
        return i + 1, x, r, length, totals, changes, weights, found, goes_on

    none = tf.zeros_like(scale)
    pairs, weights = tf.stack([tf.zeros_like(x)] * _MEMORY), tf.stack([none] * _MEMORY)
    error = tf.constant(np.inf, b.dtype)
    iterations, x, r, *_, error, _ = tf.while_loop(
        lambda i, *state: state[-1] & (i < max_iterations),
        iterate,
        (tf.constant(0), x, r, none, pairs, pairs, weights, error, tf.constant(True)),
    )
    return x, r, error, iterations


def _as_rows(value):
    return tf.reshape(value, [-1, math.prod(value.shape[1:])])


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


def _require_convergence(x, error, tolerance, iterations, what):
    reached = error <= tolerance
    message = f"{what} did not converge: the residual, relative to its scale, is"
    limit = f"but should be at most {tolerance:.1e}; iterations made:"
    if tf.executing_eagerly():
        if not reached:
            raise ValueError(f"{message} {float(error):.1e}, {limit} {iterations}.")
        return x
    values = [message, error, limit, iterations]
    # Raw: TensorFlow's own wrapper makes a conditional and two functions of it.
    check = tf.raw_ops.Assert(condition=reached, data=values, summarize=len(values))
    with tf.control_dependencies([check]):
        return tf.identity(x)
