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
    shape, rows, scale = tf.shape(b), _as_rows(b), tf.reshape(scale, [-1, 1])

    def of_rows(function):
        return lambda x: _as_rows(function(tf.reshape(x, shape)))

    if rough is None:
        x, r = rows, tf.zeros_like(rows)
    else:
        b_32, goal = tf.cast(rows, tf.float32), _REACHABLE["float32"]
        none = tf.zeros_like(b_32)
        x, r, _ = _iterated(of_rows(rough), b_32, scale, b_32, none, goal, max_iterations)
        x, r = tf.cast(x, b.dtype), tf.cast(r, b.dtype)
    x, r, error = _iterated(
        of_rows(function), rows, scale, x, r, tolerance, max_iterations, to_the_end
    )
    # The last residual says where the plain step leads.
    x = tf.ensure_shape(tf.reshape(x + r, shape), b.shape)
    return tf.stop_gradient(_require_convergence(x, error, tolerance, max_iterations, what))


def _iterated(function, b, scale, x, r, tolerance, max_iterations, to_the_end=False):
    """Better x and r, and the largest r relative to its scale."""
    scale = tf.cast(scale, b.dtype)

    def iterate(x, r, pairs, weights, error):
        # Pairs are p + q and q, weights 1 / (q . q), each for the last steps, oldest first.
        totals, changes = tf.unstack(pairs)
        axis = tf.constant(-1)  # one for all, as in all of this: each operation is traced
        step = r - tf.reduce_sum(weights * _dot(changes, r, axis) * totals, 0)
        moved = x + step
        new_r = b - function(moved) - moved
        *_, newest = tf.unstack(weights)
        # A step without pairs is a plain one.
        accepted = tf.equal(newest, 0) | (_dot(new_r, new_r, axis) < _dot(r, r, axis))
        pairs, weights = _with_pair(pairs, changes, weights, step, new_r - r, axis)
        # The first r is not this function's.
        weights = tf.where(accepted & tf.math.is_finite(error), weights, 0)
        x, r = tf.where(accepted, moved, x), tf.where(accepted, new_r, r)
        found = tf.reduce_max(tf.math.divide_no_nan(tf.abs(r), scale))
        if to_the_end:
            # A 0 ends it, and so does NaN.
            found = tf.where((found <= tolerance) & (found >= error), tf.zeros_like(found), found)
        return x, r, pairs, weights, found

    pairs = tf.stack([tf.stack([tf.zeros_like(x)] * _MEMORY)] * 2)
    weights = tf.stack([tf.zeros_like(scale)] * _MEMORY)
    start = x, r, pairs, weights, tf.constant(np.inf, b.dtype)
    limit = 0 if to_the_end else tolerance
    x, r, *_, error = tf.while_loop(
        lambda *state: state[-1] > limit, iterate, start, maximum_iterations=max_iterations
    )
    return x, r, error


def _as_rows(value):
    return tf.reshape(value, [-1, math.prod(value.shape[1:])])


def _dot(u, v, axis):
    return tf.reduce_sum(u * v, axis, keepdims=True)


def _with_pair(pairs, changes, weights, step, change, axis):
    """The pairs and weights with a new one, orthogonal to all, for the oldest."""
    shares = weights * _dot(changes, change, axis)
    pair = tf.stack([step + change, change]) - tf.reduce_sum(shares * pairs, 1)
    _, change = tf.unstack(pair)
    weight = tf.math.reciprocal_no_nan(_dot(change, change, axis))
    pairs = tf.stack([*tf.unstack(pairs, axis=1)[1:], pair], 1)
    return pairs, tf.stack([*tf.unstack(weights)[1:], weight])


def _require_convergence(x, error, tolerance, max_iterations, what):
    reached = error <= tolerance
    message = f"{what} did not converge: the residual, relative to its scale, is"
    limit = f"but should be at most {tolerance:.1e} within {max_iterations} iterations."
    if tf.executing_eagerly():
        if not reached:
            raise ValueError(f"{message} {float(error):.1e}, {limit}")
        return x
    values = [message, error, limit]
    # Raw: TensorFlow's own wrapper makes a conditional and two functions of it.
    check = tf.raw_ops.Assert(condition=reached, data=values, summarize=len(values))
    with tf.control_dependencies([check]):
        return tf.identity(x)
