"""Time-dependent networks f(z, t, context): the right-hand sides of continuous flows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfflows.checks.activations import activation_of


class _TimeDependentNetwork(keras.layers.Layer):
    """What the two networks share: how time and context act on every layer."""

    def __init__(
        self,
        output_dim: int,
        hidden: Sequence[int] = (64, 64, 64),
        activation: str | Callable = "tanh",
        squash: bool = True,
        zero_output: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.output_dim = int(output_dim)
        self.hidden = [int(units) for units in hidden]
        self.activation = activation_of(activation)
        self.squash = bool(squash)
        self.zero_output = bool(zero_output)
        kernels = ["glorot_uniform"] * len(self.hidden)
        kernels.append("zeros" if zero_output else "glorot_uniform")
        self._sizes = [*self.hidden, self.output_dim]
        self._maps = [self._map(*args) for args in zip(self._sizes, kernels, strict=True)]
        # tf.train.Checkpoint does not look into Keras's lists.
        for i, layer in enumerate(self._maps):
            setattr(self, f"map_{i}", layer)
        # One matrix for all layers, whose product costs as little as that for one.
        self._shift = self._dense(kernel_initializer="zeros", use_bias=False)
        self._gate = self._dense(activation="sigmoid") if squash else None

    def _dense(self, **settings):
        return keras.layers.Dense(sum(self._sizes), dtype=self.dtype_policy, **settings)

    def _map(self, units, kernel):
        raise NotImplementedError

    def build(self, z_shape, context_shape=None):
        size = 1 + (0 if context_shape is None else context_shape[-1])
        self._shift.build((None, size))
        if self.squash:
            self._gate.build((None, size))
        shape = tuple(z_shape)
        for layer in self._maps:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def _of_layers(self, values, rank):
        """The parts of all layers, each to broadcast over an event of a rank."""
        if rank > 1:
            values = tf.reshape(values, [-1, *[1] * (rank - 1), sum(self._sizes)])
        return tf.split(values, self._sizes, axis=-1)

    def call(self, z, t, context=None):
        s = tf.reshape(t, [-1, 1])
        if context is not None:
            s = tf.broadcast_to(s, [tf.shape(context)[0], 1])
            s = tf.concat([s, context], axis=-1)
        rank = z.shape.rank - 1
        shifts = self._of_layers(self._shift(s), rank)
        gates = self._of_layers(self._gate(s), rank) if self.squash else None
        h = z
        for i, linear in enumerate(self._maps):
            h = linear(self.activation(h) if i else h)
            h = (h * gates[i] if self.squash else h) + shifts[i]
        return h

    def compute_output_shape(self, z_shape, context_shape=None):
        return (*z_shape[:-1], self.output_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "hidden": self.hidden,
            "activation": keras.activations.serialize(self.activation),
            "squash": self.squash,
            "zero_output": self.zero_output,
        }


@keras.saving.register_keras_serializable(package="tfflows")
class TimeDependentMLP(_TimeDependentNetwork):
    """Multi-layer perceptron of a state, a time and an optional context.

        s = [t, context],  h_0 = z,  output = h_n before its activation a
        concat:         h_k = a(W_k h_{k-1} + b_k + U_k s)
        concat-squash:  h_k = a((W_k h_{k-1} + b_k) * sigmoid(G_k s + g_k) + U_k s)

    Concat is a perceptron to each of whose layers s is a further input.

    Args:
        output_dim: number of outputs, for a continuous flow that of z's entries.
        hidden: sizes of the hidden layers.
        activation: any Keras activation; a solver needs a smooth one, such as tanh, softplus or
            silu.
        squash: concat-squash; `False` for concat.
        zero_output: start the last layer at zero, so that a continuous flow starts as the identity.

    Inputs: z `[batch, n]`, t a scalar or `[batch]`, and context `[batch, c]` or `None`; output
    `[batch, output_dim]`.

    Source: Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud, "FFJORD", 2019, appendix B.1.

    Example:
        >>> network = tfflows.networks.TimeDependentMLP(3, hidden=(32, 32))
        >>> network(tf.ones([5, 3]), tf.constant(0.5), context=tf.ones([5, 10])).shape
        TensorShape([5, 3])
    """

    def _map(self, units, kernel):
        return keras.layers.Dense(units, kernel_initializer=kernel, dtype=self.dtype_policy)


@keras.saving.register_keras_serializable(package="tfflows")
class TimeDependentConvNetwork(_TimeDependentNetwork):
    """Convolutional network of an image, a time and an optional context.

    The maths of `TimeDependentMLP`, with a 3x3 convolution and zero padding for each W_k, and with
    time and context acting on each channel alike at all pixels.

    Args:
        output_dim: number of output channels, for a continuous flow those of z.
        hidden: channels of the hidden layers.
        activation, squash, zero_output: see `TimeDependentMLP`.

    Inputs: z `[batch, height, width, n]`, t a scalar or `[batch]`, and context `[batch, c]` or
    `None`; output `[batch, height, width, output_dim]`.

    Source: Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud, "FFJORD", 2019, appendix B.1.

    Example:
        >>> network = tfflows.networks.TimeDependentConvNetwork(4, hidden=(8,), squash=False)
        >>> network(tf.ones([2, 6, 6, 4]), tf.constant(0.5)).shape
        TensorShape([2, 6, 6, 4])
    """

    def _map(self, units, kernel):
        return keras.layers.Conv2D(
            units, 3, padding="same", kernel_initializer=kernel, dtype=self.dtype_policy
        )
