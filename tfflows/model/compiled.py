"""Functions that are called in plain Python and run as graphs."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import tensorflow as tf
from tensorflow.core.protobuf.config_pb2 import ConfigProto
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.eager.context import FunctionCallOptions
from tensorflow.python.eager.context import context as eager_context
from tensorflow.python.eager.record import could_possibly_record
from tensorflow.python.ops.gradients_util import PossibleTapeGradientTypes
from tensorflow.python.ops.resource_variable_ops import variable_accessed

# What TensorFlow's tapes may ask of a call: nothing, gradients, or gradients of gradients.
_NONE, _HIGHER_ORDER = 0, 2

_Method = TypeVar("_Method", bound=Callable)


def not_converted(method: _Method) -> _Method:
    """The method, with its type, which AutoGraph leaves as it is.

    It has nothing to convert there, and takes three times as long as the tracing itself.

    Example:
        >>> from tfflows.model.compiled import not_converted
        >>> not_converted(abs)(-2)
        2
    """
    return tf.autograph.experimental.do_not_convert(method)


class CompiledCalls:
    """Functions of tensors, each traced once a kind of input and then kept.

    A kind is what tensors are given, their dtypes and event shapes, and the settings; the size of
    the batch is none of it. Gradients go through, and threads may call at once. The function is
    called as it is within a `tf.function`, a replica or the scope of a strategy, and where
    `is_off` or `tf.config.run_functions_eagerly` says so.

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
        if not tf.executing_eagerly() or self._is_inline():
            return function(*rows, *others, **settings)
        specs = (*(_spec(row, free=True) for row in rows), *(_spec(o, free=False) for o in others))
        # A trace keeps the device that it was made under.
        device = eager_context().device_name
        key = (function, specs, device, tuple(sorted(settings.items())))
        traced = self._functions.get(key)
        if traced is None:
            # Two threads that trace would not harm each other, but do the work twice.
            with self._lock:
                traced = self._functions.get(key)
                if traced is None:
                    traced = self._functions[key] = _Traced(function, specs, settings)
        try:
            result = traced([value for value in (*rows, *others) if value is not None])
        except tf.errors.InvalidArgumentError:
            result = None
        # A graph has no sentences with numbers in them: eager mode says what is wrong.
        return function(*rows, *others, **settings) if result is None else result

    def clear(self):
        """Forget all traces, after a change that they would not see."""
        with self._lock:
            self._functions.clear()

    def _is_inline(self):
        eager = self._is_off() or tf.config.functions_run_eagerly()
        return eager or tf.distribute.has_strategy()


class _Traced:
    """A function as a graph."""

    def __init__(self, function, specs, settings):
        def of_given(*given):
            given = iter(given)
            arguments = [None if spec is None else next(given) for spec in specs]
            return function(*arguments, **settings)

        given = [spec for spec in specs if spec is not None]
        self._graph = tf.function(of_given, autograph=False).get_concrete_function(*given)
        self._has_gradient = False
        self._lock = threading.Lock()

    def __call__(self, given):
        """What the function returns, or `None` where the graph is not to be used."""
        with _optimized_for_flows():
            return self._called(given)

    def _called(self, given):
        if not could_possibly_record():
            return self._graph(*given)
        for variable in self._graph.graph.variables:
            variable_accessed(variable)  # so that tapes watch it before they are asked
        kind = PossibleTapeGradientTypes([*given, *self._graph.captured_inputs])
        if kind == _HIGHER_ORDER:
            # Beside two tapes, or a persistent one, TensorFlow would make gradients of the
            # gradients of all loops, which takes minutes.
            return None
        if kind == _NONE or self._has_gradient:
            return self._graph(*given)
        # The first call beside a tape adds to the graph what its gradient needs.
        with self._lock:
            result = self._graph(*given)
            self._has_gradient = True
        return result


@contextlib.contextmanager
def _optimized_for_flows():
    """What TensorFlow shall do to a graph at its first call."""
    context = eager_context()
    before = context.function_call_options
    context.function_call_options = _options(before.config_proto_serialized, before.executor_type)
    try:
        yield
    finally:
        context.function_call_options = before


@functools.cache
def _options(config: bytes, executor_type):
    config = ConfigProto.FromString(config)
    options = config.graph_options.rewrite_options
    # By default there are two rounds, and one for memory. They take up to a fifth of a flow's first
    # call, and save no time in the calls that follow.
    options.meta_optimizer_iterations = RewriterConfig.ONE
    options.memory_optimization = RewriterConfig.NO_MEM_OPT
    # In loops and branches it makes an empty tensor of y + y + 1.0 (TensorFlow 2.21). One round was
    # not seen to do that, but its rewriting is the same, and is not missed.
    options.arithmetic_optimization = RewriterConfig.OFF
    return FunctionCallOptions(executor_type, config)


def _spec(value, free):
    if value is None:
        return None
    shape = value.shape
    return tf.TensorSpec([None, *shape[1:]] if free and shape.rank else shape, value.dtype)
