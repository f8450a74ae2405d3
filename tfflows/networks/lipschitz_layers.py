"""Linear layers whose induced norm is at most a coefficient."""

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
# Of the squared singular values, in power iterations.
_SHIFT = 1e-15
# More than what float64 loses in singular values.
_ROUNDING = 1e-9


class _LipschitzLayer(keras.layers.Layer):
    """A linear map whose kernel is scaled down to an induced norm of at most `coefficient`.

    A subclass has the functions `_apply(kernel, x)` and its transpose
    `_apply_transposed(kernel, y)`, `_sum_norm(kernel)` for the 1- and infinity-norm,
    `_norm_bound(kernel)`, any norm from above, and the shapes of kernel and singular vector.
    """

    def __init__(
        self, units: int, coefficient: float, norm: float, tolerance: float | None, **kwargs
    ):
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

    def parameters(self, training: bool = False) -> tuple:
        """The normalised kernel and the bias, as tensors; in training the state moves on."""
        return normalized([self], training)[0]

    def call(self, x, training=False):
        return self.evaluate(self.parameters(training), x)

    def evaluate(self, parameters: tuple, x: tf.Tensor) -> tf.Tensor:
        """The layer's output for what `parameters` returned."""
        kernel, bias = parameters
        return tf.nn.bias_add(self._apply(kernel, x), bias)

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


def normalized(layers: Sequence[_LipschitzLayer], training: bool = False) -> list[tuple]:
    """`parameters` of layers of one norm, whose power iterations run in one loop."""
    kernels = [tf.convert_to_tensor(layer.kernel) for layer in layers]
    if layers[0].norm == 2:
        vectors = _singular_vectors(layers, kernels, training)
        images = [
            layer._apply(*pair) for layer, *pair in zip(layers, kernels, vectors, strict=True)
        ]
        squared_norms = _squared_norms(images)
    else:
        norms = [layer._sum_norm(kernel) for layer, kernel in zip(layers, kernels, strict=True)]
        squared_norms = tf.square(tf.stack(norms))
    coefficients = np.array([layer.coefficient for layer in layers], layers[0].variable_dtype)
    # Written so that a zero kernel has a gradient.
    factors = coefficients / tf.sqrt(tf.maximum(squared_norms, coefficients**2))
    biases = [tf.convert_to_tensor(layer.bias) for layer in layers]
    kernels = [kernel * f for kernel, f in zip(kernels, tf.unstack(factors), strict=True)]
    return [*zip(kernels, biases, strict=True)]


def _singular_vectors(layers, kernels, training):
    """The inputs that the maps stretch most, `[1, ...]`, by power iteration."""
    maps = tuple((layer._apply, layer._apply_transposed) for layer in layers)
    starts = [tf.convert_to_tensor(layer.singular_vector) for layer in layers]
    bounds = np.array([layer.tolerance**2 for layer in layers], layers[0].variable_dtype)
    # As a graph, since eager mode would take some milliseconds an iteration.
    iterate = _iterate_in_graph if tf.executing_eagerly() else _iterate
    vectors = [tf.stop_gradient(v) for v in iterate(maps, kernels, starts, tf.constant(bounds))]
    if training:
        for layer, vector in zip(layers, vectors, strict=True):
            layer.singular_vector.assign(vector)
    return vectors


def _iterate(maps, kernels, starts, bounds):
    """Power iterations of linear maps.

    Each goes on until a step changes its unit vector such that |change|^2 is no larger than its
    bound.
    """

    def step(vectors, changes):
        shift = tf.constant(_SHIFT, bounds.dtype)
        images = []
        for (apply, apply_transposed), kernel, vector in zip(maps, kernels, vectors, strict=True):
            # The shift changes no singular vector, and leaves the state of a zero kernel as it is.
            images.append(apply_transposed(kernel, apply(kernel, vector)) + shift * vector)
        factors = tf.unstack(tf.math.rsqrt(_squared_norms(images)))
        moves = tf.unstack(changes > bounds)
        found = [
            tf.where(move, image * factor, vector)
            for move, image, factor, vector in zip(moves, images, factors, vectors, strict=True)
        ]
        return found, _squared_norms([a - b for a, b in zip(found, vectors, strict=True)])

    changes = tf.constant(np.inf, bounds.dtype, bounds.shape)
    return tf.while_loop(
        lambda _, changes: tf.reduce_any(changes > bounds),
        step,
        (starts, changes),
        maximum_iterations=_MAX_ITERATIONS,
    )[0]


_iterate_in_graph = tf.function(_iterate, autograph=False)


def _squared_norms(values):
    return 2 * tf.stack([tf.nn.l2_loss(value) for value in values])


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
        shape = [y.shape[0], *y.shape[1:3], kernel.shape[2]]
        return tf.nn.conv2d_transpose(y, kernel, shape, strides=1, padding="SAME")

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
