"""Invertible linear maps of the channels: Glow's 1x1 convolution."""

from __future__ import annotations

import collections
import math
from random import getrandbits

import keras
import numpy as np
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer, constant_log_det

_PARAMETERIZATIONS = ("lu", "full", "qr", "svd", "orthogonal", "triangular")


@keras.saving.register_keras_serializable(package="tfflows")
class Conv1x1(InvertibleLayer):
    """Invertible 1x1 convolution: one learned matrix mixes the channels of every pixel.

        forward:  x = z W^-1   (row vectors of channels)
        inverse:  z = x W
        log-det:  -N log|det W| forward, N log|det W| inverse, N the number of pixels

    On vectors, N = 1 and the layer is an invertible dense map. W starts as a random rotation, but
    for the last kind, and is one of

        `"lu"`:          W = P L (U + diag(sign * exp(s))), P a fixed permutation, L unit lower
                         and U strictly upper triangular, the signs fixed; log|det W| = sum(s)
        `"full"`:        W free; log|det W| costs O(C^3) and no XLA device but TPUs compiles it
        `"qr"`:          W = Q (U + diag(sign * exp(s))), Q orthogonal as below
        `"svd"`:         W = Q diag(exp(s)) R, both orthogonal as below
        `"orthogonal"`:  W = Q, a product of C Householder reflections; log|det W| = 0
        `"triangular"`:  W = U + diag(exp(s)), which starts as the identity

    The density needs W alone. Sampling needs W^-1, which comes from triangular solves (or a
    transpose), once a call and not once a pixel; where weights are constant, as in an export, both
    are constants that were computed in float64.

    Args:
        parameterization: one of the six above.
        seed: of the random rotation that W starts as; `None` takes it from Keras's global seed.

    Raises:
        ValueError: for another parameterization; eagerly, for a `"full"` W that is singular in the
            layer's precision. (In a graph its log-det is infinite, which `Flow` refuses.)

    Source: Kingma and Dhariwal, "Glow", 2018, section 3.2; QR by Hoogeboom, van den Berg and
    Welling, "Emerging convolutions", 2019; SVD by Zhang, Lei and Dhillon, "Stabilizing gradients
    for deep neural networks via efficient SVD parameterization", 2018; the product of reflections
    as one triangular solve by Joffrain et al., "Accumulating Householder transformations,
    revisited", 2006.

    Example:
        >>> layer = tfflows.layers.Conv1x1(seed=0)
        >>> x, log_det = layer.forward_and_log_det(tf.ones([2, 4, 4, 3]))
        >>> z, _ = layer.inverse_and_log_det(x)
        >>> bool(tf.reduce_max(tf.abs(z - 1)) < 1e-5)
        True
    """

    def __init__(self, parameterization: str = "lu", seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if parameterization not in _PARAMETERIZATIONS:
            raise ValueError(
                f"Conv1x1 knows the parameterizations {_PARAMETERIZATIONS}, but found "
                f"{parameterization!r}."
            )
        self.parameterization = parameterization
        self.seed = seed
        # XLA has no log-determinant of a general matrix.
        self.supports_jit = parameterization != "full"

    def build(self, z_shape, context_shape=None):
        size = z_shape[-1]
        self._num_pixels = math.prod(z_shape[1:-1])
        generator = np.random.default_rng(getrandbits(63) if self.seed is None else self.seed)
        starts = _Starts(lambda: self._start(size, generator))

        def add(name, shape=(size, size), trainable=True):
            weight = self.add_weight(
                shape=shape,
                initializer=lambda shape, dtype: starts(name).astype(dtype),
                trainable=trainable,
                autocast=False,
                name=name,
            )
            setattr(self, name, weight)

        kind = self.parameterization
        if kind == "full":
            add("kernel")
        if kind == "lu":
            add("permutation", trainable=False)
            add("lower")
        if kind in ("qr", "svd", "orthogonal"):
            add("reflections")
        if kind == "svd":
            add("right_reflections")
        if kind in ("lu", "qr", "triangular"):
            add("upper")
        if kind in ("lu", "qr", "svd", "triangular"):
            add("log_diagonal", (size,))
        if kind in ("lu", "qr"):
            add("sign", (size,), trainable=False)
        super().build(z_shape, context_shape)

    def _start(self, size, generator) -> dict[str, np.ndarray]:
        """Initial weights of one random rotation, whatever the parameterization needs of them."""
        from scipy.linalg import lu

        vectors = generator.normal(size=[size, size])
        rotation = np.linalg.qr(vectors)[0]
        permutation, lower, upper = lu(rotation)
        if self.parameterization not in ("lu", "full"):
            upper = np.eye(size)  # Q R starts as Q, Q diag(exp(s)) R as Q R
        start = {
            "kernel": rotation,
            "reflections": vectors,
            "permutation": permutation,
            "lower": np.tril(lower, -1),
            "upper": np.triu(upper, 1),
            "log_diagonal": np.log(np.abs(np.diag(upper))),
            "sign": np.sign(np.diag(upper)),
        }
        if self.parameterization == "svd":
            start["right_reflections"] = generator.normal(size=[size, size])
        return start

    # The factors of W.

    def _lower(self):
        lower = tf.linalg.band_part(self.lower, -1, 0)
        return tf.linalg.set_diag(lower, tf.ones_like(lower[0]))

    def _upper(self):
        upper = tf.linalg.band_part(self.upper, 0, -1)
        diagonal = tf.exp(self.log_diagonal)
        if self.parameterization != "triangular":
            diagonal *= tf.convert_to_tensor(self.sign)
        return tf.linalg.set_diag(upper, diagonal)

    def _orthogonal(self, reflections):
        """Q = H_1 ... H_C with H_i = 1 - 2 v_i v_i^T / |v_i|^2, as 1 - V T^-1 V^T."""
        v = tf.math.l2_normalize(reflections, axis=0)
        gram = tf.matmul(v, v, transpose_a=True)
        triangle = tf.linalg.set_diag(
            tf.linalg.band_part(gram, 0, -1), tf.fill([v.shape[1]], tf.constant(0.5, v.dtype))
        )
        solved = tf.linalg.triangular_solve(triangle, tf.transpose(v), lower=False)
        return tf.eye(v.shape[0], dtype=v.dtype) - tf.matmul(v, solved)

    def _matrix(self):
        """W."""
        kind = self.parameterization
        if kind == "lu":
            return tf.matmul(self.permutation, tf.matmul(self._lower(), self._upper()))
        if kind == "full":
            return self._regular_kernel()
        if kind == "triangular":
            return self._upper()
        orthogonal = self._orthogonal(self.reflections)
        if kind == "qr":
            return tf.matmul(orthogonal, self._upper())
        if kind == "svd":
            right = self._orthogonal(self.right_reflections)
            return tf.matmul(orthogonal * tf.exp(self.log_diagonal), right)
        return orthogonal

    def _inverse_matrix(self):
        """W^-1."""
        kind, solve = self.parameterization, tf.linalg.triangular_solve
        if kind == "lu":
            inverse = solve(self._lower(), tf.transpose(self.permutation), lower=True)
            return solve(self._upper(), inverse, lower=False)
        if kind == "full":
            return tf.linalg.inv(self._regular_kernel())
        if kind == "triangular":
            upper = self._upper()
            return solve(upper, tf.eye(upper.shape[0], dtype=upper.dtype), lower=False)
        orthogonal = tf.transpose(self._orthogonal(self.reflections))
        if kind == "qr":
            return solve(self._upper(), orthogonal, lower=False)
        if kind == "svd":
            right = tf.transpose(self._orthogonal(self.right_reflections))
            return tf.matmul(right * tf.exp(-self.log_diagonal), orthogonal)
        return orthogonal

    def _regular_kernel(self):
        kernel = tf.convert_to_tensor(self.kernel)
        if tf.executing_eagerly():
            condition = np.linalg.cond(kernel.numpy())
            if not condition < 1 / np.finfo(self.compute_dtype).eps:
                raise ValueError(
                    f"The kernel of Conv1x1 '{self.name}' is singular: its condition number is "
                    f"{condition:.3g}, but {self.compute_dtype} can invert up to "
                    f"{1 / np.finfo(self.compute_dtype).eps:.3g}."
                )
        return kernel

    def _log_abs_det(self):
        """log|det W|."""
        if self.parameterization == "full":
            return tf.linalg.slogdet(self.kernel)[1]
        if self.parameterization == "orthogonal":
            return tf.zeros([], self.compute_dtype)
        return tf.reduce_sum(self.log_diagonal)

    def _forward(self, z, call):
        if call.constants:
            inverse = np.linalg.inv(self.matrix().astype("float64"))
            inverse = tf.constant(inverse, self.compute_dtype)
        else:
            inverse = self._inverse_matrix()
        return _mix(z, inverse), constant_log_det(-self._num_pixels * self._log_abs_det(), z)

    def _inverse(self, x, call):
        matrix = self.matrix() if call.constants else self._matrix()
        return _mix(x, matrix), constant_log_det(self._num_pixels * self._log_abs_det(), x)

    def matrix(self) -> np.ndarray:
        """W, `[C, C]`."""
        self._require_built("ask for its matrix")
        with tf.init_scope():
            return self._matrix().numpy()

    def get_config(self):
        config = {"parameterization": self.parameterization, "seed": self.seed}
        return {**super().get_config(), **config}


class _Starts:
    """Initial weights that belong together: the i-th of each name are those of the i-th draw."""

    def __init__(self, draw):
        self._draw, self._drawn, self._calls = draw, [], collections.Counter()

    def __call__(self, name):
        call = self._calls[name]
        self._calls[name] += 1
        if call == len(self._drawn):
            self._drawn.append(self._draw())
        return self._drawn[call][name]


def _mix(x, matrix):
    if x.shape.rank != 4:
        return tf.linalg.matmul(x, matrix)
    # As a convolution, TensorFlow's fastest form for images.
    return tf.nn.conv2d(x, matrix[tf.newaxis, tf.newaxis], strides=1, padding="VALID")
