"""The loop over the steps of a stack, and its gradient."""

from __future__ import annotations

import tensorflow as tf

from tfflows.layers.base import zero_log_det
from tfflows.layers.parts import seed_generators
from tfflows.layers.passes import Pass
from tfflows.layers.rows import Rows


class StackedSteps:
    """The steps of a `Stack` in one pass.

    Weights are handed to the layer that the steps have in common by `keras.StatelessScope`.

    Attributes:
        state: places, among the stack's weights, of what layers may change in training, such as
            the vectors of power iterations.
        changed: those of them that the layers did change.
    """

    def __init__(self, stack, call: Pass):
        self._stack, self._call = stack, call
        self.state = self._places(trainable=False) if call.training else []
        self.changed = set()
        # Of dropout: one seed for the pass, from which each step's follows.
        generators = seed_generators(stack.template()) if call.training else []
        self._seeds = [(generator.state, generator.next()) for generator in generators]

    def _places(self, trainable):
        return [i for i, w in enumerate(self._stack.stacked) if w.trainable == trainable]

    def _tensors(self):
        return [tf.convert_to_tensor(weight) for weight in self._stack.stacked]

    def _scope(self, index, weights):
        return self._stack.with_weights_of(index, weights, self._seeds)

    def _step(self, method, value, call, index, weights):
        """A step's result, its log-det, and its state afterwards."""
        with self._scope(index, weights) as scope:
            variables = [self._stack.variables_of_layer[i] for i in self.state]
            before = [scope.get_current_value(variable) for variable in variables]
            value, log_det = getattr(self._stack.template(), method)(
                value, self._of_step(call, index)
            )
            after = [scope.get_current_value(variable) for variable in variables]
        moved = zip(self.state, before, after, strict=True)
        self.changed |= {i for i, old, new in moved if old is not new}
        return value, log_det, after

    def _of_step(self, call, index):
        return call.replace(step=index, steps=self._stack.n)

    def written_out(self, method, value, indices):
        """Result, log-det and states, step by step without a loop."""
        total, states = zero_log_det(value), {}
        for index in indices:
            weights = self._stack.weights_of(index, self._call.constants)
            value, log_det, states[index] = self._step(method, value, self._call, index, weights)
            total += log_det
        ordered = [states[index] for index in range(self._stack.n)]
        return value, total, [tf.stack(values) for values in zip(*ordered, strict=True)]

    def loop(self, method, value, indices, call=None, tensors=None, keep_inputs=False):
        """Result, log-det, states, and on request, in a list, an array of the steps' inputs."""
        call = call or self._call
        rows = Rows(tensors or self._tensors(), self._stack.n)
        states = [_array_like(self._stack.stacked[i]) for i in self.state]
        shape = value.shape
        inputs, totals = [], [zero_log_det(value)] if call.log_dets else []
        if keep_inputs:
            # Read again by a second derivative.
            array = tf.TensorArray(
                value.dtype, self._stack.n, clear_after_read=False, element_shape=shape
            )
            inputs = [array]

        def body(i, value, totals, states, inputs):
            inputs = [array.write(i, value) for array in inputs]
            value, log_det, state = self._step(method, value, call, i, rows.read(i))
            states = [array.write(i, s) for array, s in zip(states, state, strict=True)]
            totals = [total + log_det for total in totals]
            return i + indices.step, tf.ensure_shape(value, shape), totals, states, inputs

        start = (tf.constant(indices.start), value, totals, states, inputs)
        _, value, totals, states, inputs = self._while(body, start)
        total = totals[0] if call.log_dets else 0.0
        return value, total, [array.stack() for array in states], inputs

    def _while(self, body, start):
        n = self._stack.n
        # Steps that overlap keep each other's activations.
        overlap = 10 if self._stack.memory == "store" else 1
        return tf.while_loop(
            lambda *_: True, body, start, maximum_iterations=n, parallel_iterations=overlap
        )

    def inverse_in_little_memory(self, x, indices, memory: str):
        """As `loop` for the inverse pass, but the backward pass computes activations anew.

        It goes through the steps in their order, from z to x, and finds the input of each one as
        f_i(h), with `memory="invert"`, or in an array that the inverse pass kept.

        Source: see `tfflows.layers.memory`.
        """
        trainable = self._places(trainable=True)
        contexts = () if self._call.context is None else (self._call.context,)
        stacked = self._tensors()

        @tf.custom_gradient
        def run(x, *sources):
            # In here context and weights must be the arguments, whose gradients are asked for.
            weights = sources[len(contexts) :]
            call = self._call.replace(context=sources[0] if contexts else None)
            tensors = list(stacked)
            for i, weight in zip(trainable, weights, strict=True):
                tensors[i] = weight
            keep = memory == "checkpoint"
            z, total, states, inputs = self.loop("inverse_pass", x, indices, call, tensors, keep)

            def gradient(dz, d_log_det, *_):
                return self._gradient(z, inputs, call, tensors, dz, d_log_det)

            return (z, total, *states), gradient

        z, total, *states = run(x, *contexts, *(stacked[i] for i in trainable))
        return z, total, states

    def _gradient(self, z, inputs, call, tensors, dz, d_log_det):
        """Gradients with respect to x, the context and the trainable weights."""
        trainable = self._places(trainable=True)
        rows = Rows(tensors, self._stack.n)
        contexts = [] if call.context is None else [call.context]
        d_contexts = [tf.zeros_like(context) for context in contexts]
        d_weights = [_array_like(tensors[i]) for i in trainable]

        def body(i, h, dh, d_contexts, d_weights):
            with self._scope(i, rows.read(i)) as scope:
                own = [
                    scope.get_current_value(self._stack.variables_of_layer[k]) for k in trainable
                ]
                output = inputs[0].read(i) if inputs else None
                x, dx, found = self._stack.template().inverse_gradients(
                    h, output, self._of_step(call, i), [dh, d_log_det], [*contexts, *own]
                )
            found_contexts, found = found[: len(contexts)], found[len(contexts) :]
            d_contexts = [a + b for a, b in zip(d_contexts, found_contexts, strict=True)]
            d_weights = [array.write(i, d) for array, d in zip(d_weights, found, strict=True)]
            x, dx = tf.ensure_shape(x, z.shape), tf.ensure_shape(dx, z.shape)
            return i + 1, x, dx, d_contexts, d_weights

        start = (tf.constant(0), z, dz, d_contexts, d_weights)
        *_, dx, d_contexts, d_weights = self._while(body, start)
        return (dx, *d_contexts, *(array.stack() for array in d_weights))


def _array_like(tensor):
    n, *shape = tensor.shape
    return tf.TensorArray(tensor.dtype, n, element_shape=shape, clear_after_read=False)
