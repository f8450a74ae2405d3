"""Functions that are called in plain Python and run as graphs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow.python.ops.gradients_util import PossibleTapeGradientTypes

_HIGHER_ORDER = 2


class CompiledCalls:
    """Functions of tensors, each traced once a kind of input and then kept.

    A kind is what tensors are given, their dtypes and event shapes, and the settings; the size of
    the batch is none of it. Gradients go through, threads may call at once, and within a
    `tf.function`, a replica or the scope of a strategy the function is called as it is.

    Args:
        is_off: tells at each call whether functions shall be called as they are, after all.

    Example:
        >>> compiled = tfflows.model.compiled.CompiledCalls()
        >>> float(compiled(tf.reduce_sum, rows=[tf.constant([3.0, 4.0])]))
        7.0
    """

    def __init__(self, is_off: Callable[[], bool] = lambda: False):
        self._is_off = is_off
        self._functions = {}
        self._lock = threading.Lock()

    def __call__(
        self,
        function: Callable,
        rows: Sequence[tf.Tensor | None] = (),
        others: Sequence[tf.Tensor | None] = (),
        **settings,
    ):
        """`function(*rows, *others, **settings)`.

        Args:
            function: of tensors, the same one at each call.
            rows: tensors with a batch dimension, or `None`.
            others: tensors of a fixed shape, or `None`.
            settings: hashable Python values.

        Raises:
            ValueError, ...: what the function raises in eager mode.
        """
        inline = not tf.executing_eagerly() or tf.distribute.has_strategy()
        if inline or self._is_off():
            return function(*rows, *others, **settings)
        specs = (*(_spec(row, free=True) for row in rows), *(_spec(o, free=False) for o in others))
        key = (function, specs, tuple(sorted(settings.items())))
        # Two threads that trace would not harm each other, but do the work twice.
        with self._lock:
            if key not in self._functions:
                self._functions[key] = _traced(function, specs, settings)
            traced = self._functions[key]
        given = [value for value in (*rows, *others) if value is not None]
        # Beside two tapes, or a persistent one, TensorFlow would make gradients of the gradients of
        # all loops, which takes minutes.
        if PossibleTapeGradientTypes([*given, *traced.captured_inputs]) == _HIGHER_ORDER:
            return function(*rows, *others, **settings)
        try:
            return traced(*given)
        except tf.errors.InvalidArgumentError:
            # A graph has no sentences with numbers in them: eager mode says what is wrong.
            return function(*rows, *others, **settings)

    def clear(self):
        """Forget all traces, after a change that they would not see."""
        with self._lock:
            self._functions.clear()


def _spec(value, free):
    if value is None:
        return None
    shape = value.shape[:1].rank and free
    return tf.TensorSpec([None, *value.shape[1:]] if shape else value.shape, value.dtype)


def _traced(function, specs, settings):
    def of_given(*given):
        given = iter(given)
        arguments = [None if spec is None else next(given) for spec in specs]
        return function(*arguments, **settings)

    given = [spec for spec in specs if spec is not None]
    return tf.function(of_given, autograph=False).get_concrete_function(*given)
