"""Networks with a Lipschitz constant below 1, for residual flows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

_NORMS = (1, 2, "inf")
_MAX_ITERATIONS = 500
# Up to this size a convolution's norm comes from its matrix, beyond from its Fourier transform.
_MATRIX_SIZE = 1024
# More than what float64 loses in singular values.
_ROUNDING = 1e-9


def _lipswish(h, beta):
    # The largest slope of swish is 1.0998, whatever beta.
    return h * tf.sigmoid(tf.nn.softplus(beta) * h) / 1.1


# Of slope at most 1 everywhere.
_ACTIVATIONS = {
    "lipswish": _lipswish,
    "elu": lambda h, beta: tf.nn.elu(h),
    "softplus": lambda h, beta: tf.nn.softplus(h),
    "tanh": lambda h, beta: tf.tanh(h),
    "relu": lambda h, beta: tf.nn.relu(h),
}


class _LipschitzLayer(keras.layers.Layer):
    """A linear map whose kernel is scaled down to an induced norm of at most `coefficient`.

    A subclass has the functions `_apply(kernel, x)` and its transpose
    `_apply_transposed(kernel, y)`, `_sum_norm(kernel)` for the 1- and infinity-norm,
    `_norm_bound(kernel)`, any norm from above, and the shapes of kernel and singular vector.
    """

    def __init__(self, units, coefficient, norm, tolerance, **kwargs):
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        require_precision(self)
        require_coefficient(type(self).__name__, coefficient)
        if norm not in _NORMS:
            raise ValueError(f"{type(self).__name__} knows the norms {_NORMS}, but found {norm!r}.")
        if not tolerance > 0:
            raise ValueError(
                f"{type(self).__name__} needs a positive tolerance, but found {tolerance}."
            )
        self.units = int(units)
        self.coefficient = float(coefficient)
        self.norm = norm
        self.tolerance = float(tolerance)

    def build(self, x_shape):
        self._x_shape = tuple(x_shape[1:])
        self.kernel = self.add_weight(
            shape=self._kernel_shape(x_shape),
            initializer="glorot_uniform",
            autocast=False,
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.units,), initializer="zeros", autocast=False, name="bias"
        )
        if self.norm == 2:
            # Each replica computes the same; the first one's value keeps them equal to the bit.
            self.singular_vector = self.add_weight(
                shape=self._vector_shape(),
                initializer="random_normal",
                trainable=False,
                autocast=False,
                aggregation="only_first_replica",
                name="singular_vector",
            )
        self.built = True

    def parameters(self, training: bool = False):
        """The normalised kernel and the bias, as tensors; in training the state moves on."""
        kernel = tf.convert_to_tensor(self.kernel)
        if self.norm == 2:
            vector = self._singular_vector(tf.stop_gradient(kernel), training)
            squared_norm = tf.reduce_sum(self._apply(kernel, vector) ** 2)
        else:
            squared_norm = self._sum_norm(kernel) ** 2
        # Written so that a zero kernel has a gradient.
        norm = tf.sqrt(tf.maximum(squared_norm, self.coefficient**2))
        return kernel * (self.coefficient / norm), tf.convert_to_tensor(self.bias)

    def _singular_vector(self, kernel, training):
        """The input that the map stretches most, `[1, ...]`, by power iteration."""
        tolerance = tf.constant(self.tolerance, kernel.dtype)
        vector = tf.convert_to_tensor(self.singular_vector)
        vector = _iterate(self._apply, self._apply_transposed, kernel, vector, tolerance)
        vector = tf.stop_gradient(vector)
        if training:
            self.singular_vector.assign(vector)
        return vector

    def call(self, x, training=False):
        return self.evaluate(self.parameters(training), x)

    def evaluate(self, parameters, x):
        """The layer's output for what `parameters` returned."""
        kernel, bias = parameters
        return self._apply(kernel, x) + bias

    def lipschitz_bound(self) -> float:
        """Norm of the normalised kernel, from above."""
        kernel = np.asarray(self.parameters()[0], "float64")
        return float(self._norm_bound(kernel)) * (1 + _ROUNDING)

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], self.units)

    def get_config(self):
        settings = {
            "coefficient": self.coefficient,
            "norm": self.norm,
            "tolerance": self.tolerance,
        }
        return {**super().get_config(), **settings}


# A graph, since eager mode would take some milliseconds an iteration.
@tf.function(autograph=False)
def _iterate(apply, apply_transposed, kernel, start, tolerance):
    """Power iteration of a linear map, until a step changes the unit vector by the tolerance."""

    def goes_on(vector, change):
        return change > tolerance

    def step(vector, change):
        image = apply_transposed(kernel, apply(kernel, vector))
        length = tf.norm(image)
        # A zero kernel has no such vector, and must not destroy the state.
        found = tf.where(length > 0, tf.math.divide_no_nan(image, length), vector)
        return found, tf.norm(found - vector)

    start = (start / tf.norm(start), tf.constant(np.inf, kernel.dtype))
    return tf.while_loop(goes_on, step, start, maximum_iterations=_MAX_ITERATIONS)[0]


@keras.saving.register_keras_serializable(package="tfflows")
class LipschitzDense(_LipschitzLayer):
    """Dense layer whose induced norm is at most a coefficient.

        y = x W + b,  W = V min(1, c / |V|),  c the coefficient, V the weights

    |V| is the norm induced by the 1-, 2- or infinity-norm of vectors. The 2-norm comes from power
    iteration, which starts from the state `singular_vector` and goes on until a step changes this
    unit vector by less than `tolerance`: the relative error of the norm is then about half of that
    at most, unless the start is nearly orthogonal to the right vector. Training keeps the vector
    for its next step; in inference the state stays as it is. Since power iteration approaches the
    norm from below, `lipschitz_bound()` computes one from above, by singular values.

    Args:
        units: number of outputs.
        coefficient: c, in (0, 1).
        norm: 1, 2 or `"inf"`.
        tolerance: change of the singular vector at which power iteration ends.

    Raises:
        ValueError: if an argument is out of its range, or the dtype is not float32 or float64.

    Source: Gouk et al., "Regularisation of neural networks by enforcing Lipschitz continuity",
    2018; Miyato et al., "Spectral normalization for generative adversarial networks", 2018.

    Example:
        >>> layer = tfflows.networks.LipschitzDense(3, coefficient=0.9)
        >>> layer(tf.ones([5, 2])).shape
        TensorShape([5, 3])
        >>> layer.lipschitz_bound() <= 0.9001
        True
    """

    def __init__(
        self,
        units: int,
        coefficient: float = 0.97,
        norm: int | str = 2,
        tolerance: float = 1e-3,
        **kwargs,
    ):
        super().__init__(units, coefficient, norm, tolerance, **kwargs)

    def _kernel_shape(self, x_shape):
        return (x_shape[-1], self.units)

    def _vector_shape(self):
        return (1, self._x_shape[-1])

    @staticmethod
    def _apply(kernel, x):
        return tf.linalg.matmul(x, kernel)

    @staticmethod
    def _apply_transposed(kernel, y):
        return tf.linalg.matmul(y, kernel, transpose_b=True)

    def _sum_norm(self, kernel):
        return tf.reduce_max(tf.reduce_sum(tf.abs(kernel), 1 if self.norm == 1 else 0))

    def _norm_bound(self, kernel):
        return np.linalg.norm(kernel.T, np.inf if self.norm == "inf" else self.norm)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="tfflows")
class LipschitzConv2D(_LipschitzLayer):
    """Convolution whose induced norm, as a map of whole images, is at most a coefficient.

        y = conv(x, W) + b,  W = V min(1, c / |conv(., V)|),  zero padding, stride 1

    The norm is that of the convolution itself, for images of the size that the layer was built
    for, and not that of the kernel as a matrix; see `LipschitzDense` for norms and state. The sums
    of absolute values that make the 1- and infinity-norm are those inside of the image, which
    bound those at its edges. For the 2-norm `lipschitz_bound()` takes singular values of the whole
    map up to 1024 pixels times channels. Beyond, it takes the circular convolution of the padded
    image, of which the map is a part: its norm is the largest of the kernel's Fourier transform.

    Args:
        filters: number of output channels.
        kernel_size: side of the square kernel, an odd number.
        coefficient, norm, tolerance: see `LipschitzDense`.

    Raises:
        ValueError: as `LipschitzDense`, and if the kernel size is not odd.

    Source: Gouk et al., as above; bound by the Fourier transform: Sedghi, Gupta and Long, "The
    singular values of convolutional layers", 2019.

    Example:
        >>> layer = tfflows.networks.LipschitzConv2D(4, 3, coefficient=0.9)
        >>> layer(tf.ones([2, 6, 6, 3])).shape
        TensorShape([2, 6, 6, 4])
        >>> layer.lipschitz_bound() <= 0.9001
        True
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        coefficient: float = 0.97,
        norm: int | str = 2,
        tolerance: float = 1e-3,
        **kwargs,
    ):
        super().__init__(filters, coefficient, norm, tolerance, **kwargs)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f"LipschitzConv2D needs an odd kernel_size of at least 1, but found {kernel_size}."
            )
        self.kernel_size = int(kernel_size)

    def _kernel_shape(self, x_shape):
        return (self.kernel_size, self.kernel_size, x_shape[-1], self.units)

    def _vector_shape(self):
        return (1, *self._x_shape)

    @staticmethod
    def _apply(kernel, x):
        return tf.nn.conv2d(x, kernel, strides=1, padding="SAME")

    @staticmethod
    def _apply_transposed(kernel, y):
        # With stride 1, the convolution with the turned kernel.
        turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
        return tf.nn.conv2d(y, turned, strides=1, padding="SAME")

    def _sum_norm(self, kernel):
        return tf.reduce_max(tf.reduce_sum(tf.abs(kernel), (0, 1, 3 if self.norm == 1 else 2)))

    def _norm_bound(self, kernel):
        if self.norm != 2:
            return self._sum_norm(tf.constant(kernel)).numpy()
        height, width, channels = self._x_shape
        if channels > self.units:
            kernel, channels = np.flip(kernel, (0, 1)).transpose(0, 1, 3, 2), self.units
        size = height * width * channels
        if size <= _MATRIX_SIZE:
            rows = tf.reshape(tf.eye(size, dtype="float64"), [size, height, width, channels])
            matrix = tf.reshape(self._apply(tf.constant(kernel), rows), [size, -1])
            gram = tf.matmul(matrix, matrix, transpose_b=True).numpy()
            return math.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0.0))
        padded = (height + self.kernel_size - 1, width + self.kernel_size - 1)
        transform = np.fft.fft2(kernel, padded, axes=(0, 1))
        return np.linalg.norm(transform, 2, axis=(-2, -1)).max()

    def get_config(self):
        settings = {"filters": self.units, "kernel_size": self.kernel_size}
        return {**super().get_config(), **settings}


@keras.saving.register_keras_serializable(package="tfflows")
class LipschitzNetwork(keras.layers.Layer):
    """Network g of x's own shape with |g(x) - g(y)| <= c |x - y|, c < 1.

        h_0 = x,  h_k = a(A_k h_{k-1} + b_k),  g = A h_n + b;  U context is added to A_1 x

    The n + 1 linear maps A are `LipschitzDense` or `LipschitzConv2D` layers of coefficient
    c^(1 / (n + 1)) each, and a has slopes of at most 1. LipSwish, `h sigmoid(beta h) / 1.1` with a
    learned positive beta for each layer, has a second derivative that does not vanish where the
    slope is large, so that log-dets have something to learn from. The context is not bounded.

    Args:
        hidden: sizes of the hidden layers, or their channels.
        kernel_sizes: for images, of all n + 1 convolutions, e.g. `(3, 1, 3)`; `None` for vectors.
        activation: `"lipswish"`, `"elu"`, `"softplus"`, `"tanh"` or `"relu"`.
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
        if self.activation == "lipswish" and self.hidden:
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


def require_coefficient(name: str, coefficient: float):
    """Raise `ValueError` unless the coefficient makes a contraction."""
    if not 0 < coefficient < 1:
        raise ValueError(
            f"{name} needs a coefficient in (0, 1), to be inverted, but found {coefficient}."
        )


def require_precision(layer: keras.layers.Layer):
    """Raise `ValueError` for a layer that computes in less than float32."""
    if layer.compute_dtype not in ("float32", "float64"):
        raise ValueError(
            f"{type(layer).__name__} was given dtype {layer.compute_dtype!r}, whose rounding would "
            "undo its Lipschitz bound; give it 'float32' or 'float64'."
        )
