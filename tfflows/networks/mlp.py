"""Fully connected conditioner networks for vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import ops

from tfflows.checks.activations import activation_of
from tfflows.networks.precision import output_dtype


class _DenseNetwork(keras.layers.Layer):
    """What the two networks share: the context joins the input, the last layer is linear."""

    def __init__(
        self,
        output_dim: int,
        activation: str | Callable,
        dropout: float,
        zero_output: bool,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.output_dim = int(output_dim)
        self.activation = activation_of(activation)
        self.dropout = float(dropout)
        self.zero_output = bool(zero_output)
        self._dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self._output = keras.layers.Dense(
            output_dim,
            kernel_initializer="zeros" if zero_output else "glorot_uniform",
            dtype=output_dtype(self),
        )

    def _dense(self, units, initializer="glorot_uniform"):
        return keras.layers.Dense(units, kernel_initializer=initializer, dtype=self.dtype_policy)

    def _exposed(self, name, layers):
        # tf.train.Checkpoint does not look into Keras's lists.
        for i, layer in enumerate(layers):
            setattr(self, f"{name}_{i}", layer)
        return layers

    def _input_size(self, x_shape, context_shape):
        return x_shape[-1] + (0 if context_shape is None else context_shape[-1])

    def _joined(self, x, context):
        return x if context is None else ops.concatenate([x, context], axis=-1)

    def compute_output_shape(self, x_shape, context_shape=None):
        return (*x_shape[:-1], self.output_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "zero_output": self.zero_output,
        }


@keras.saving.register_keras_serializable(package="tfflows")
class MLP(_DenseNetwork):
    """Multi-layer perceptron with an optional context.

        h_0 = [x, context],  h_k = activation(W_k h_{k-1} + b_k),  output = W h_n + b

    Args:
        output_dim: number of outputs.
        hidden: sizes of the hidden layers.
        activation: any Keras activation.
        dropout: rate after each hidden layer, 0 for none.
        zero_output: start the last layer at zero, so that a coupling starts as the identity.

    Inputs: x `[batch, n]` and context `[batch, c]` or `None`; output `[batch, output_dim]`.
    Hidden layers compute in the dtype policy's compute dtype, the last one in float32 at least.

    Example:
        >>> network = tfflows.networks.MLP(6, hidden=(32, 32))
        >>> network(tf.ones([5, 3]), context=tf.ones([5, 10])).shape
        TensorShape([5, 6])
    """

    def __init__(
        self,
        output_dim: int,
        hidden: Sequence[int] = (256, 256),
        activation: str | Callable = "relu",
        dropout: float = 0.0,
        zero_output: bool = False,
        **kwargs,
    ):
        super().__init__(output_dim, activation, dropout, zero_output, **kwargs)
        self.hidden = [int(units) for units in hidden]
        self._hidden = self._exposed(
            "hidden", [self._dense(units, "he_normal") for units in self.hidden]
        )

    def build(self, x_shape, context_shape=None):
        size = self._input_size(x_shape, context_shape)
        for layer in [*self._hidden, self._output]:
            layer.build((None, size))
            size = layer.units
        self.built = True

    def call(self, x, context=None, training=False):
        h = self._joined(x, context)
        for layer in self._hidden:
            h = self._dropout(self.activation(layer(h)), training=training)
        return self._output(h)

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden}


@keras.saving.register_keras_serializable(package="tfflows")
class ResidualMLP(_DenseNetwork):
    """Pre-activation residual perceptron with an optional context.

        h_0 = W_0 [x, context] + b_0
        h_k = h_{k-1} + V_k a(U_k a(h_{k-1})),  a the activation; biases left out
        output = W a(h_n) + b

    Args:
        output_dim: number of outputs.
        width: size of every hidden layer.
        num_blocks: number of residual blocks, two hidden layers each.
        activation: any Keras activation.
        dropout: rate inside each block, 0 for none.
        zero_output: start the last layer at zero, so that a coupling starts as the identity.

    Inputs: x `[batch, n]` and context `[batch, c]` or `None`; output `[batch, output_dim]`.
    Hidden layers compute in the dtype policy's compute dtype, the last one in float32 at least.

    Source: He et al., "Identity mappings in deep residual networks", 2016; used in couplings by
    Durkan et al., "Neural spline flows", 2019.

    Example:
        >>> network = tfflows.networks.ResidualMLP(6, width=32)
        >>> network(tf.ones([5, 3])).shape
        TensorShape([5, 6])
    """

    def __init__(
        self,
        output_dim: int,
        width: int = 256,
        num_blocks: int = 2,
        activation: str | Callable = "relu",
        dropout: float = 0.0,
        zero_output: bool = False,
        **kwargs,
    ):
        super().__init__(output_dim, activation, dropout, zero_output, **kwargs)
        self.width = int(width)
        self.num_blocks = int(num_blocks)
        self._first = self._dense(width)
        blocks = range(num_blocks)
        self._inner = self._exposed("inner", [self._dense(width, "he_normal") for _ in blocks])
        # Zero, so that every block starts as the identity.
        self._outer = self._exposed("outer", [self._dense(width, "zeros") for _ in blocks])

    def build(self, x_shape, context_shape=None):
        self._first.build((None, self._input_size(x_shape, context_shape)))
        for layer in [*self._inner, *self._outer, self._output]:
            layer.build((None, self.width))
        self.built = True

    def call(self, x, context=None, training=False):
        h = self._first(self._joined(x, context))
        for inner, outer in zip(self._inner, self._outer, strict=True):
            residual = self.activation(inner(self.activation(h)))
            h = h + outer(self._dropout(residual, training=training))
        return self._output(self.activation(h))

    def get_config(self):
        return {**super().get_config(), "width": self.width, "num_blocks": self.num_blocks}
