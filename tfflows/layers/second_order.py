"""Maps that have a gradient, which has none."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf


def once_differentiable(values: Sequence[tf.Tensor], owner: str) -> list[tf.Tensor]:
    """The values themselves, of which second derivatives are an error.

    A gradient that is found by an equation of its own, or by a search, need not have a gradient;
    a tape would take that for zero, or for what is no derivative at all.

    Args:
        values: floating tensors, what a map depends on.
        owner: the map and why it has no others, the first words of a sentence.

    Raises:
        ValueError: eagerly, from the second tape.
        tf.errors.InvalidArgumentError: within a `tf.function`, where the second derivative is
            used. XLA drops such checks, and it is NaN.

    Example:
        >>> from tfflows.layers.second_order import once_differentiable
        >>> x = tf.constant(3.0)
        >>> with tf.GradientTape() as outer, tf.GradientTape() as inner:
        ...     _ = [outer.watch(x), inner.watch(x)]
        ...     first = inner.gradient(once_differentiable([x], "This map")[0] ** 2, x)
        >>> float(first)
        6.0
        >>> outer.gradient(first, x)
        Traceback (most recent call last):
        ValueError: This map has first derivatives only, but a second one was asked for.
    """
    message = f"{owner} has first derivatives only, but a second one was asked for."

    @tf.custom_gradient
    def once(*values):
        return _copies(values), lambda *gradients: first_only(gradients, values)

    def first_only(gradients, values):
        @tf.custom_gradient
        def only(*arguments):
            def refused(*_):
                if tf.executing_eagerly():
                    raise ValueError(message)
                # Not by way of the gradients, which may be long loops.
                with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
                    nowhere = [tf.fill(tf.shape(v), tf.cast(math.nan, v.dtype)) for v in values]
                return [None] * len(gradients) + nowhere

            return _copies(arguments[: len(gradients)]), refused

        return only(*gradients, *values)

    return once(*values)


def _copies(values):
    return [tf.identity(value) for value in values]
