"""Maps that have a gradient, which has none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import tensorflow as tf


def once_differentiable(function: Callable, values: Sequence[tf.Tensor], owner: str):
    """`function(*values)`, of which second derivatives are an error.

    A gradient that is found by an equation of its own, or by a search, need not have a gradient;
    a tape would take that for zero, or for what is no derivative at all.

    Args:
        function: returns a nest of tensors, and takes all that it depends on as an argument.
        values: floating tensors.
        owner: what the function is, and why it has no others, the first words of a sentence.

    Raises:
        ValueError: eagerly, from the second tape.
        tf.errors.InvalidArgumentError: within a `tf.function`, where the second derivative is
            used. XLA drops such checks, and it is NaN.

    Example:
        >>> from tfflows.layers.second_order import once_differentiable
        >>> x = tf.constant(3.0)
        >>> with tf.GradientTape() as outer, tf.GradientTape() as inner:
        ...     _ = [outer.watch(x), inner.watch(x)]
        ...     square = once_differentiable(lambda x: x**2, [x], "This square")
        ...     first = inner.gradient(square, x)
        >>> float(first)
        6.0
        >>> outer.gradient(first, x)
        Traceback (most recent call last):
        ValueError: This square has first derivatives only, but a second one was asked for.
    """
    message = f"{owner} has first derivatives only, but a second one was asked for."
    # What a gradient depends on besides the values: the gradient with respect to the results.
    upstream = []

    @tf.custom_gradient
    def enter(*values):
        return _copies(values), lambda *gradients: first_only(gradients, [*values, *upstream])

    @tf.custom_gradient
    def leave(*results):
        def gradient(*given):
            upstream[:] = given
            return _copies(given)

        return _copies(results), gradient

    def first_only(gradients, sources):
        @tf.custom_gradient
        def only(*arguments):
            def refused(*_):
                if tf.executing_eagerly():
                    raise ValueError(message)
                # Not by way of the gradients, which may be long loops.
                with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
                    nowhere = [tf.fill(tf.shape(s), tf.cast(math.nan, s.dtype)) for s in sources]
                return [None] * len(gradients) + nowhere

            return _copies(arguments[: len(gradients)]), refused

        return only(*gradients, *sources)

    results = function(*enter(*values))
    flat = tf.nest.flatten(results)
    left = iter(leave(*(result for result in flat if result.dtype.is_floating)))
    flat = [next(left) if result.dtype.is_floating else result for result in flat]
    return tf.nest.pack_sequence_as(results, flat)


def _copies(values):
    return [tf.identity(value) for value in values]
