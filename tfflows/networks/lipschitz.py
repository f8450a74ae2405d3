"""Networks with a Lipschitz constant below 1, for residual flows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfflows.networks.lipschitz_layers import (
    LipschitzConv2D,
    LipschitzDense,
    normalized,
    require_coefficient,
    require_precision,
)

# Each with its largest slope. The learned s of LipSwish, h sigmoid(s h) / 1.1, is not in here: with
# t = s h it is t sigmoid(t) / (1.1 s), whose factors go into the linear maps before and behind it.
_ACTIVATIONS = {
    "lipswish": (lambda t: t * tf.sigmoid(t), 1.1),  # 1.0998
    "lipmish": (lambda t: t * tf.tanh(tf.nn.softplus(t)), 1.089),  # 1.0885
    "elu": (tf.nn.elu, 1.0),
    "softplus": (tf.nn.softplus, 1.0),
    "tanh": (tf.tanh, 1.0),
    "relu": (tf.nn.relu, 1.0),
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
        self._bend, self._largest_slope = _ACTIVATIONS[activation]
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
        """What `function` needs, as tensors: computed once for many calls.

        Kernels are normalised, and the factors of the activations are in kernels and biases.
        """
        layers = normalized(self.layers, training)
        context_kernel = None
        if self.context_kernel is not None:
            context_kernel = tf.convert_to_tensor(self.context_kernel)
        if self.beta is not None:
            scale = tf.nn.softplus(tf.convert_to_tensor(self.beta))
            one = tf.ones([1], scale.dtype)
            outputs = tf.concat([scale, one], 0)
            inputs = tf.concat([one, scale * self._largest_slope], 0)
            layers = [
                (kernel * factor, bias * output)
                for (kernel, bias), factor, output in zip(
                    layers, tf.unstack(outputs / inputs), tf.unstack(outputs), strict=True
                )
            ]
            context_kernel = None if context_kernel is None else context_kernel * scale[0]
        found = {"layers": layers}
        if context_kernel is not None:
            found["context_kernel"] = context_kernel
        return found

    def function(self, parameters: dict) -> Callable:
        """g of x and a context (or `None`), for what `parameters` returned, in any precision."""

        def g(x, context=None):
            h = x
            for i, (layer, values) in enumerate(
                zip(self.layers, parameters["layers"], strict=True)
            ):
                if i > 0:
                    h = self._bend(h)
                h = layer.evaluate(values, h)
                if i == 0 and context is not None:
                    added = tf.matmul(context, parameters["context_kernel"])
                    h += tf.reshape(added, [-1] + [1] * (h.shape.rank - 2) + [added.shape[-1]])
            return h

        return g

    def call(self, x, context=None, training=False):
        return self.function(self.parameters(training))(x, context)

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
