"""Solution of x + G(x) = b for a contraction G."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

# What rounding lets every well-made contraction reach.
_REACHABLE = {"float32": 2e-6, "float64": 1e-13}


def solve_contraction(
    function: Callable[[tf.Tensor], tf.Tensor],
    b: tf.Tensor,
    scale: tf.Tensor,
    tolerance: float | None,
    max_iterations: int,
    what: str,
    start: tf.Tensor | None = None,
) -> tf.Tensor:
    """x with `x + function(x) = b`, by the fixed-point iteration `x <- b - function(x)`.

    It ends when no element of the residual `b - x - function(x)`, which is the step of x, is
    larger than `tolerance * scale`; without a tolerance, when that holds for 2e-6 in float32 and
    1e-13 in float64, and rounding lets the largest residual shrink no more. With a Lipschitz
    constant c of the function, the error of x is at most 1 / (1 - c) times the residual, in the
    norm in which c holds. No gradient goes through.

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
    """
    b, scale = tf.stop_gradient(b), tf.stop_gradient(scale)
    axes = list(range(1, b.shape.rank))
    to_the_end = tolerance is None
    tolerance = tolerance or _REACHABLE[b.dtype.name]
    bound = tolerance * scale

    def goes_on(i, x, step, excess, shrinks):
        return (excess > 1) | shrinks if to_the_end else excess > 1

    def iterate(i, x, step, excess, shrinks):
        x = x + step
        step = tf.ensure_shape(b - x - function(x), b.shape)
        largest = tf.reduce_max(tf.abs(step), axes)
        found = tf.reduce_max(tf.math.divide_no_nan(largest, bound))
        return i + 1, x, step, found, found < excess

    x = tf.zeros_like(b) if start is None else tf.stop_gradient(start)
    step = b if start is None else tf.zeros_like(b)
    iterations, x, step, excess, _ = tf.while_loop(
        goes_on,
        iterate,
        (0, x, step, tf.constant(np.inf, b.dtype), True),
        maximum_iterations=max_iterations,
    )
    x = _require_convergence(x + step, excess, tolerance, iterations, what)
    return tf.stop_gradient(x)


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
