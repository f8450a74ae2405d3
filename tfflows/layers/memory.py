"""Backward passes that do not keep the activations of the forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfflows.layers.base import zero_log_det
from tfflows.layers.passes import Pass

MEMORY_MODES = ("store", "checkpoint", "invert")


def require_memory_mode(memory: str) -> str:
    """Raise `ValueError` unless it is one of `MEMORY_MODES`, and return it."""
    if memory not in MEMORY_MODES:
        raise ValueError(f"memory must be one of {MEMORY_MODES}, but found {memory!r}.")
    return memory


def inverse_in_little_memory(layers: Sequence, x, call: Pass, memory: str):
    """The inverse pass of a chain, whose backward pass computes activations anew.

        inverse pass:   h_n = x,  h_{i-1} = f_i^-1(h_i),  z = h_0
        backward pass:  for i = 1, ..., n: the gradient of f_i^-1 at h_i = f_i(h_{i-1})

    The activations of one layer exist at a time. With `"invert"` the backward pass finds h_i as
    f_i(h_{i-1}), from z alone and up to rounding; with `"checkpoint"` the inverse pass keeps it.

    Args:
        layers: built invertible layers, base first.
        x, call: see `InvertibleLayer.inverse_pass`.
        memory: `"checkpoint"` or `"invert"`.

    Returns:
        z and the log-det.

    Source: Gomez, Ren, Urtasun and Grosse, "The reversible residual network: Backpropagation
    without storing activations", 2017.
    """
    contexts = () if call.context is None else (call.context,)

    @tf.custom_gradient
    def run(x, *contexts):
        # In here the context must be the argument, whose gradient is asked for.
        own_call = call.replace(context=contexts[0] if contexts else None)
        outputs, h, total = [], x, zero_log_det(x)
        for layer in reversed(layers):
            outputs.insert(0, h if memory == "checkpoint" else None)
            h, log_det = layer.inverse_pass(h, own_call)
            total += log_det
            # Nothing asks for the sum at this point otherwise, and what it is made of would stay.
            with tf.control_dependencies([total]):
                h = tf.identity(h)
        z = h

        def gradient(dz, d_log_det, variables=()):
            h, d_contexts = z, [tf.zeros_like(value) for value in contexts]
            d_variables = {variable.ref(): None for variable in variables}
            before = [dz]
            for layer, output in zip(layers, outputs, strict=True):
                own = [weight.value for weight in layer.trainable_weights]
                own = [variable for variable in own if variable.ref() in d_variables]
                # Nothing asks for the gradients in this order otherwise, and the activations of
                # all layers would exist at once.
                with tf.control_dependencies(before):
                    h = tf.identity(h)
                    output = None if output is None else tf.identity(output)
                h, dz, found = layer.inverse_gradients(
                    h, output, own_call, [dz, d_log_det], [*contexts, *own]
                )
                before = [dz, *found]
                d_contexts = [a + b for a, b in zip(d_contexts, found, strict=False)]
                for variable, value in zip(own, found[len(contexts) :], strict=True):
                    d_variables[variable.ref()] = value
            return (dz, *d_contexts), [d_variables[variable.ref()] for variable in variables]

        return (z, total), gradient

    return run(x, *contexts)
