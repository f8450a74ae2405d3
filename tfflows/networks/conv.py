"""Convolutional conditioner networks for images."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops

from tfflows.checks.activations import activation_of
from tfflows.networks.precision import output_dtype, summed_in_float32


class _Conv2D(keras.layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return summed_in_float32(super().convolution_op, inputs, kernel)


class _ConvNetwork(keras.layers.Layer):
    """What the two networks share: the context is added as one bias per channel."""

    def __init__(
        self, output_dim: int, width: int, activation: str | Callable, zero_output: bool, **kwargs
    ):
        super().__init__(**kwargs)
        self.output_dim = int(output_dim)
        self.width = int(width)
        self.activation = activation_of(activation)
        self.zero_output = bool(zero_output)

    def _conv(self, filters, size, initializer="he_normal"):
        return _Conv2D(
            filters, size, padding="same", kernel_initializer=initializer, dtype=self.dtype_policy
        )

    def _output_conv(self, size):
        # Adam moves all weights of the last layer at the same pace, and the more of them there are
        # the farther the output goes: without 1 / sqrt(width) deep stacks of 3x3 convolutions
        # diverge within ten steps, and with it alone those of 1x1 learn slowly.
        self._output_factor = (3 / size) ** 2 * self.width**-0.5
        # With stride 1 a transposed convolution is a convolution, whose training step is twice as
        # fast on CPUs for few output channels.
        return keras.layers.Conv2DTranspose(
            self.output_dim,
            size,
            padding="same",
            kernel_initializer="zeros" if self.zero_output else "glorot_uniform",
            dtype=output_dtype(self),
        )

    def _build_context(self, context_shape):
        self._context = None
        if context_shape is not None:
            self._context = keras.layers.Dense(self.width, use_bias=False, dtype=self.dtype_policy)
            self._context.build((None, context_shape[-1]))

    def _with_context(self, h, context):
        if context is None:
            return h
        return h + self._context(context)[:, None, None, :]

    def compute_output_shape(self, x_shape, context_shape=None):
        return (*x_shape[:-1], self.output_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "width": self.width,
            "activation": keras.activations.serialize(self.activation),
            "zero_output": self.zero_output,
        }


@keras.saving.register_keras_serializable(package="tfflows")
class ConvNetwork(_ConvNetwork):
    """Glow's conditioner: 3x3, 1x1 and 3x3 convolutions.

        h_1 = a(conv3x3(x) + U context),  h_2 = a(conv1x1(h_1)),  output = c conv3x3(h_2)

    a is the activation, c = 1 / sqrt(width) keeps Adam's steps small, and every convolution has a
    bias and zero padding. OpenAI's code normalises h_1 and h_2 by an actnorm each, which is an
    affine map that the convolutions before them can represent.

    Args:
        output_dim: number of output channels.
        width: channels of h_1 and h_2.
        activation: any Keras activation.
        zero_output: start the last layer at zero, so that a coupling starts as the identity.
        edge_bias: let the first and last convolution see where the image ends, as a learned bias
            for each of the positions that padding reaches (OpenAI's `edge_bias`).

    Inputs: x `[batch, height, width, n]` and context `[batch, c]` or `None`; output
    `[batch, height, width, output_dim]`. Hidden layers compute in the dtype policy's compute dtype,
    the last one in float32 at least.

    Source: Kingma and Dhariwal, "Glow", 2018, section 3.3.

    Example:
        >>> network = tfflows.networks.ConvNetwork(12, width=32)
        >>> network(tf.ones([2, 8, 8, 6]), context=tf.ones([2, 10])).shape
        TensorShape([2, 8, 8, 12])
    """

    def __init__(
        self,
        output_dim: int,
        width: int = 512,
        activation: str | Callable = "relu",
        zero_output: bool = False,
        edge_bias: bool = False,
        **kwargs,
    ):
        super().__init__(output_dim, width, activation, zero_output, **kwargs)
        self.edge_bias = bool(edge_bias)
        self._first = self._conv(width, 3)
        self._middle = self._conv(width, 1)
        self._last = self._output_conv(3)

    def build(self, x_shape, context_shape=None):
        self._first.build(x_shape)
        hidden_shape = (*x_shape[:-1], self.width)
        self._middle.build(hidden_shape)
        self._last.build(hidden_shape)
        self._build_context(context_shape)
        if self.edge_bias:
            self._inside = ops.ones((1, *x_shape[1:-1], 1))
            self.first_edge = self._edge_weight("first_edge", self.width)
            self.last_edge = self._edge_weight("last_edge", self.output_dim)
        self.built = True

    def _edge_weight(self, name, filters):
        settings = {"shape": (3, 3, 1, filters), "initializer": "zeros", "autocast": False}
        return self.add_weight(name=name, **settings)

    def _with_edge(self, h, edge):
        kernel = tf.cast(edge, h.dtype)
        inside = ops.cast(self._inside, kernel.dtype)
        # The kernel's sum over the positions outside of the image.
        return h + ops.sum(kernel, (0, 1, 2)) - ops.conv(inside, kernel, padding="same")

    def call(self, x, context=None, training=False):
        h = self._with_context(self._first(x), context)
        if self.edge_bias:
            h = self._with_edge(h, self.first_edge)
        h = self._last(self.activation(self._middle(self.activation(h)))) * self._output_factor
        return self._with_edge(h, self.last_edge) if self.edge_bias else h

    def get_config(self):
        return {**super().get_config(), "edge_bias": self.edge_bias}


@keras.saving.register_keras_serializable(package="tfflows")
class ResidualConvNetwork(_ConvNetwork):
    """RealNVP's conditioner: pre-activation residual blocks of two 3x3 convolutions.

        h_0 = conv3x3(x) + U context
        h_k = h_{k-1} + conv3x3(a(conv3x3(a(h_{k-1}))))
        output = c conv1x1(a(h_n)),  a the activation, c = 9 / sqrt(width)

    The paper's batch and weight normalisation are left out: the second convolution of each block
    starts at zero instead, so that deep networks start as shallow ones.

    Args:
        output_dim: number of output channels.
        width: channels of all h.
        num_blocks: number of residual blocks.
        activation: any Keras activation.
        zero_output: start the last layer at zero, so that a coupling starts as the identity.

    Inputs: x `[batch, height, width, n]` and context `[batch, c]` or `None`; output
    `[batch, height, width, output_dim]`. Hidden layers compute in the dtype policy's compute dtype,
    the last one in float32 at least.

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017,
    section 3.3 and appendix E.

    Example:
        >>> network = tfflows.networks.ResidualConvNetwork(12, width=32, num_blocks=1)
        >>> network(tf.ones([2, 8, 8, 6])).shape
        TensorShape([2, 8, 8, 12])
    """

    def __init__(
        self,
        output_dim: int,
        width: int = 64,
        num_blocks: int = 4,
        activation: str | Callable = "relu",
        zero_output: bool = False,
        **kwargs,
    ):
        super().__init__(output_dim, width, activation, zero_output, **kwargs)
        self.num_blocks = int(num_blocks)
        self._first = self._conv(width, 3)
        self._inner = [self._conv(width, 3) for _ in range(num_blocks)]
        self._outer = [self._conv(width, 3, "zeros") for _ in range(num_blocks)]
        self._last = self._output_conv(1)
        # tf.train.Checkpoint does not look into Keras's lists.
        for i, (inner, outer) in enumerate(zip(self._inner, self._outer, strict=True)):
            setattr(self, f"inner_{i}", inner)
            setattr(self, f"outer_{i}", outer)

    def build(self, x_shape, context_shape=None):
        self._first.build(x_shape)
        for layer in [*self._inner, *self._outer, self._last]:
            layer.build((*x_shape[:-1], self.width))
        self._build_context(context_shape)
        self.built = True

    def call(self, x, context=None, training=False):
        h = self._with_context(self._first(x), context)
        for inner, outer in zip(self._inner, self._outer, strict=True):
            h = h + outer(self.activation(inner(self.activation(h))))
        return self._last(self.activation(h)) * self._output_factor

    def get_config(self):
        return {**super().get_config(), "num_blocks": self.num_blocks}


@keras.saving.register_keras_serializable(package="tfflows")
class PriorConvolution(keras.layers.Layer):
    """One 3x3 convolution that sees where the image ends, and starts at zero.

        output = conv3x3([x, 1])

    The channel of ones ends where the zero padding starts, so that each position that the padding
    reaches has a bias of its own. A context is taken and not used.

    Args:
        output_dim: number of output channels.

    Inputs: x `[batch, height, width, n]`; output `[batch, height, width, output_dim]`.

    Source: OpenAI's code of Kingma and Dhariwal's "Glow", 2018 (`split2d_prior`).

    Example:
        >>> tfflows.networks.PriorConvolution(12)(tf.ones([2, 8, 8, 6])).shape
        TensorShape([2, 8, 8, 12])
    """

    def __init__(self, output_dim: int, **kwargs):
        super().__init__(**kwargs)
        self.output_dim = int(output_dim)
        self.conv = keras.layers.Conv2D(
            output_dim, 3, padding="same", kernel_initializer="zeros", dtype=output_dtype(self)
        )

    def build(self, x_shape, context_shape=None):
        self.conv.build((*x_shape[:-1], x_shape[-1] + 1))
        self.built = True

    def call(self, x, context=None, training=False):
        return self.conv(tf.concat([x, tf.ones_like(x[..., :1])], axis=-1))

    def compute_output_shape(self, x_shape, context_shape=None):
        return (*x_shape[:-1], self.output_dim)

    def get_config(self):
        return {**super().get_config(), "output_dim": self.output_dim}
