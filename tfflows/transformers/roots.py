"""Roots of increasing functions, elementwise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

# Halving alone takes an interval of floats to one of them in as many steps as they have bits; as
# many steps again may be Newton's.
_MAX_ITERATIONS = {tf.float32: 100, tf.float64: 200}


def increasing_root(
    function: Callable,
    target: tf.Tensor,
    lower: tf.Tensor,
    upper: tf.Tensor,
    frozen: Callable | None = None,
) -> tf.Tensor:
    """u in [lower, upper] where an increasing function has the value `target`.

        u <- u + (target - f(u)) / f'(u), or the middle of the bracket where that leaves it, or is
        more than half of the last step

    Steps of Newton's method thus end or become halvings, which do. It ends when a step, or the
    difference to the target, is a rounding error, or the bracket is. The gradient is that of the
    implicit function, for the target and all that the function depends on; so is the second one.

    Args:
        function: of u; returns f(u) and log f'(u), of u's shape.
        target: of a floating dtype. Where it is not within the function's values at the ends, the
            nearer end is returned.
        lower, upper: of the target's shape and dtype.
        frozen: the function of what it depends on behind `tf.stop_gradient`, for the search. It
            spares a tape the derivatives of the loop, which are traced though nothing takes them.

    Example:
        >>> cube = lambda u: (u**3, tf.math.log(3 * u**2))
        >>> roots = tfflows.transformers.roots.increasing_root(
        ...     cube, tf.constant([1.0, 8.0]), tf.constant([0.5, 0.5]), tf.constant([4.0, 4.0])
        ... )
        >>> print(roots.numpy())
        [1. 2.]

    Source: Press, Teukolsky, Vetterling and Flannery, "Numerical recipes", section 9.4, for the
    safeguard.
    """
    eps = np.finfo(target.dtype.as_numpy_dtype).eps
    goal, low, high = (tf.stop_gradient(value) for value in (target, lower, upper))
    searched = frozen or function

    def step(u, low, high, last, _):
        value, log_slope = searched(u)
        missing = goal - value
        low, high = tf.where(missing >= 0, u, low), tf.where(missing <= 0, u, high)
        move = missing * _inverse_slope(log_slope)
        small = eps * tf.maximum(tf.abs(u), tf.cast(1e-3, u.dtype))
        ends = (tf.abs(missing) <= eps * tf.abs(goal)) | (tf.abs(move) <= small)
        ends |= high - low <= small
        is_newton = (u + move > low) & (u + move < high) & (tf.abs(move) <= 0.5 * last)
        move = tf.where(is_newton, move, low + 0.5 * (high - low) - u)
        # Who has ended waits for the others: rounding errors would make a step of any size.
        move = tf.where(ends, tf.zeros_like(move), move)
        last = tf.where(ends, last, tf.where(is_newton, tf.abs(move), 0.5 * (high - low)))
        return u + move, low, high, last, tf.reduce_any(~ends)

    u, *_ = tf.while_loop(
        lambda *state: state[-1],
        step,
        (low + 0.5 * (high - low), low, high, high - low, tf.constant(True)),
        maximum_iterations=_MAX_ITERATIONS[target.dtype],
    )
    return implicit_root(function, target, tf.stop_gradient(u), low, high)


def implicit_root(function: Callable, target, u, lower, upper):
    """u, near a root, after two steps of Newton's method, which give it the root's gradients.

    The first of them has the first derivatives of the implicit function, the second the second
    ones. They stay within the bracket, whose ends have these derivatives, too.
    """
    for _ in range(2):
        value, log_slope = function(u)
        u += (target - value) * _inverse_slope(log_slope)
        u += tf.stop_gradient(tf.clip_by_value(u, lower, upper) - u)
    return u


def _inverse_slope(log_slope):
    # Where it would overflow, a step leaves any bracket, and an infinite one could not be undone.
    largest = 0.6 * np.log(np.finfo(log_slope.dtype.as_numpy_dtype).max)
    return tf.exp(tf.minimum(-log_slope, tf.constant(largest, log_slope.dtype)))
