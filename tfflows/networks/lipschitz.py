"""Networks with a Lipschitz constant below 1, for residual flows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfflows.networks.lipschitz_layers import (
    LipschitzConv2D,
    LipschitzDense,
    require_coefficient,
    require_precision,
)


def _lipswish(h, beta):
    # The largest slope of swish is 1.0998, whatever beta.
    return h * tf.sigmoid(tf.nn.softplus(beta) * h) / 1.1


def _lipmish(h, beta):
    # The largest slope of mish is 1.0885, whatever beta.
    return h * tf.tanh(tf.nn.softplus(tf.nn.softplus(beta) * h)) / 1.089


# Of slope at most 1 everywhere.
_ACTIVATIONS = {
    "lipswish": _lipswish,
    "lipmish": _lipmish,
    "elu": lambda h, beta: tf.nn.elu(h),
    "softplus": lambda h, beta: tf.nn.softplus(h),
    "tanh": lambda h, beta: tf.tanh(h),
    "relu": lambda h, beta: tf.nn.relu(h),
}


@keras.saving.register_keras_serializable(package="tfflows")
class LipschitzNetwork(keras.layers.Layer):
    """Network g of x's own shape with |g(x) - g(y)| <= c |x - y|, c < 1.

        h_0 = x,  h_k = a(A_k h_{k-1} + b_k),  g = A h_n + b;  U context is added to A_1 x

    The n + 1 linear maps A are `LipschitzDense` or `LipschitzConv2D` layers of coefficient
    c^(1 / (n + 1)) each, and a has slopes of at most 1. LipSwish, `h sigmoid(beta h) / 1.1` with a
    learned positive beta for each layer, has a second derivative that does not vanish where the
    slope is large, so that log-dets have something to learn from; so does LipMish, `h
    tanh(softplus(beta h)) / 1.089`. The context is not bounded.

    The norm is one for all maps. Of the norms of maps from one normed space into another only those
    from the 1-norm and into the infinity-norm are computed in closed form, and no sequence of these
    ends in the norm that it starts from, as an inverse needs; others would be estimated from below,
    without a certificate.

    Args:
        hidden: sizes of the hidden layers, or their channels.
        kernel_sizes: for images, of all n + 1 convolutions, e.g. `(3, 1, 3)`; `None` for vectors.
        activation: `"lipswish"`, `"lipmish"`, `"elu"`, `"softplus"`, `"tanh"` or `"relu"`.
        coefficient: c, in (0, 1).
        norm, tolerance: see `LipschitzDense`.

    Inputs: x `[batch, n]` or `[batch, height, width, n]`, and context `[batch, k]` or `None`;
    output of x's shape. It computes in `dtype` (float32 unless said otherwise), whatever Keras's
    global policy says.

    Raises:
        ValueError: if an argument is out of its range, or x is no vector (or no image).

    Source: Chen, Behrmann, Duvenaud and Jacobsen, "Residual flows for invertible generative
    modeling", 2019, sections 3.3 and 4 (each of its maps has the coefficient c).

    Example:
        >>> network = tfflows.networks.LipschitzNetwork(hidden=(16, 16), coefficient=0.9)
        >>> network(tf.ones([5, 3])).shape
        TensorShape([5, 3])
        >>> network.lipschitz_bound() <= 0.9001
        True
    """

    def __init__(
        self,
        hidden: Sequence[int] = (64, 64),
        kernel_sizes: Sequence[int] | None = None,
        activation: str = "lipswish",
        coefficient: float = 0.97,
        norm: int | str = 2,
        tolerance: float = 1e-3,
        **kwargs,
    ):
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        require_precision(self)
        require_coefficient("LipschitzNetwork", coefficient)
        if activation not in _ACTIVATIONS:
            raise ValueError(
                f"LipschitzNetwork knows the activations {[*_ACTIVATIONS]}, whose slopes are at "
                f"most 1, but found {activation!r}."
            )
        self.hidden = [int(units) for units in hidden]
        self.kernel_sizes = None if kernel_sizes is None else [int(size) for size in kernel_sizes]
        if kernel_sizes is not None and len(self.kernel_sizes) != len(self.hidden) + 1:
            raise ValueError(
                f"LipschitzNetwork has {len(self.hidden)} hidden layers and so needs "
                f"{len(self.hidden) + 1} kernel_sizes, but found {self.kernel_sizes}."
            )
        self.activation = activation
        self.coefficient = float(coefficient)
        self.norm = norm
        self.tolerance = float(tolerance)

    def build(self, x_shape, context_shape=None):
        rank = 2 if self.kernel_sizes is None else 4
        if len(x_shape) != rank:
            expected = "vectors" if rank == 2 else "images (height, width, channels)"
            raise ValueError(
                f"LipschitzNetwork '{self.name}' expected {expected}, but found x of event shape "
                f"{tuple(x_shape[1:])}; kernel_sizes are for images, and for them alone."
            )
        units = [*self.hidden, x_shape[-1]]
        settings = {
            "coefficient": self.coefficient ** (1 / len(units)),
            "norm": self.norm,
            "tolerance": self.tolerance,
            "dtype": self.dtype_policy,
        }
        if self.kernel_sizes is None:
            self.layers = [LipschitzDense(size, **settings) for size in units]
        else:
            sizes = zip(units, self.kernel_sizes, strict=True)
            self.layers = [LipschitzConv2D(*size, **settings) for size in sizes]
        shape = tuple(x_shape)
        for i, layer in enumerate(self.layers):
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
            # tf.train.Checkpoint does not look into Keras's lists.
            setattr(self, f"layer_{i}", layer)
        self.beta = self.context_kernel = None
        if self.activation in ("lipswish", "lipmish") and self.hidden:
            self.beta = self.add_weight(
                shape=(len(self.hidden),),
                initializer=keras.initializers.Constant(0.5),
                autocast=False,
                name="beta",
            )
        if context_shape is not None:
            self.context_kernel = self.add_weight(
                shape=(context_shape[-1], units[0]),
                initializer="glorot_uniform",
                autocast=False,
                name="context_kernel",
            )
        self.built = True

    def parameters(self, training: bool = False) -> dict:
        """All that `evaluate` needs, as tensors: kernels are normalised once for many calls."""
        found = {"layers": [layer.parameters(training) for layer in self.layers]}
        for name in ("beta", "context_kernel"):
            weight = getattr(self, name)
            if weight is not None:
                found[name] = tf.convert_to_tensor(weight)
        return found

    def evaluate(self, parameters: dict, x, context=None):
        """g(x) for what `parameters` returned."""
        activation = _ACTIVATIONS[self.activation]
        beta = parameters.get("beta")
        h = x
        for i, (layer, values) in enumerate(zip(self.layers, parameters["layers"], strict=True)):
            if i > 0:
                h = activation(h, None if beta is None else beta[i - 1])
            h = layer.evaluate(values, h)
            if i == 0 and context is not None:
                added = tf.matmul(context, parameters["context_kernel"])
                h += tf.reshape(added, [-1] + [1] * (h.shape.rank - 2) + [added.shape[-1]])
        return h

    def call(self, x, context=None, training=False):
        return self.evaluate(self.parameters(training), x, context)

    def lipschitz_bound(self) -> float:
        """A bound of the Lipschitz constant from above: the product of the layers' bounds."""
        return math.prod(layer.lipschitz_bound() for layer in self.layers)

    def compute_output_shape(self, x_shape, context_shape=None):
        return tuple(x_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden": self.hidden,
            "kernel_sizes": self.kernel_sizes,
            "activation": self.activation,
            "coefficient": self.coefficient,
            "norm": self.norm,
            "tolerance": self.tolerance,
        }
