"""Inverses of triangular maps: the gradient of what was found by a search or step by step."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def implicit_inverse(function: Callable, solution, value, sources, num_steps: int) -> tf.Tensor:
    """`solution` of F(solution; sources) = value, with the implicit function's gradients.

        backward:  w with J^T w = u, J the Jacobian of F and u the gradient;
                   w for the value, and -(dF / dsources)^T w for the sources

    J is triangular in some order of the dimensions, so that w is found in as many vector-Jacobian
    products as the order has steps. The second gradient is there, too.

    Args:
        function: F, of `[batch, n]` and the sources; returns its value and the logarithms of the
            diagonal of J, both `[batch, n]`.
        solution: `[batch, n]`, without a gradient of its own.
        value: `[batch, n]`.
        sources: a sequence of nests of tensors.
        num_steps: the order's.
    """

    @tf.custom_gradient
    def with_gradient(*given):
        def gradient(u):
            # Of the second order, too. Copies: without, gradients through a stack's loop miss
            # most of the weights.
            result = with_gradient(*given)
            own = tf.nest.pack_sequence_as(sources, [tf.identity(v) for v in given[1:]])
            with tf.GradientTape(persistent=True) as tape:
                tape.watch([result, *tf.nest.flatten(own)])
                back, log_slopes = function(result, *own)
            w = _solved(lambda w: tape.gradient(back, result, w), log_slopes, u, num_steps)
            return w, *tape.gradient(back, tf.nest.flatten(own), -w)

        return tf.identity(solution), gradient

    return with_gradient(value, *tf.nest.flatten(sources))


def _solved(product, log_slopes, u, num_steps):
    """w with J^T w = u, J triangular with the diagonal exp(log_slopes)."""
    inverse_slopes = tf.exp(-log_slopes)
    _, w = tf.while_loop(
        lambda i, _: i < num_steps,
        # Each step makes the entries of one more level what they should be.
        lambda i, w: (i + 1, w + (u - product(w)) * inverse_slopes),
        (tf.constant(1), u * inverse_slopes),
        maximum_iterations=num_steps,
    )
    return w
