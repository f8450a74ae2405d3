"""Block autoregressive layers: one network whose triangular blocks make it increase."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer, zero_log_det
from tfflows.layers.triangular import implicit_inverse
from tfflows.layers.vectors import require_vectors
from tfflows.transformers.roots import increasing_root


@keras.saving.register_keras_serializable(package="tfflows")
class BlockAutoregressive(InvertibleLayer):
    """One network for all dimensions, in which each one increases in itself.

        inverse:  z_i = g_i x_i + (1 - g_i) y_i, with the network
                  h_0 = x, h_l = tanh(W_l h_l-1 + b_l), y = W h_L + b
        forward:  x_i the root of that, one after the other, by Newton's method and bisection
        log-det:  sum_i log(g_i + (1 - g_i) dy_i/dx_i), inverse; minus that, forward

    The W consist of blocks, one for each pair of dimensions: those on the diagonal are positive, as
    exponentials, those below free, those above zero, so that y_i depends on x_1 ... x_i and
    increases with x_i. All weights of a unit are divided by their norm and multiplied by e^s, s
    learned. The derivative of y_i is the product of the diagonal's blocks and the slopes of tanh.
    The gates g, sigmoids of weights that start at zero, make the range the real line, and slopes at
    least g. A linear function of the context is added to the arguments of the first tanh. The
    density takes one pass, a sample as many searches as there are dimensions, each of which
    evaluates the whole network a few times; its gradient is that of the implicit function.

    Args:
        width: number of hidden units for each dimension.
        depth: L, number of hidden layers.

    Raises:
        ValueError: if an argument is below 1, or events are no vectors.

    Source: De Cao, Titov and Aziz, "Block neural autoregressive flow", 2019,
    https://arxiv.org/abs/1904.04676, which has no inverse.

    Example:
        >>> layer = tfflows.layers.BlockAutoregressive(width=4)
        >>> x = tf.constant([[0.5, -1.0, 2.0]])
        >>> z, log_det = layer.inverse_and_log_det(x)
        >>> bool(tf.reduce_max(tf.abs(layer(z) - x)) < 1e-5)
        True
    """

    def __init__(self, width: int = 8, depth: int = 1, **kwargs):
        super().__init__(**kwargs)
        if min(width, depth) < 1:
            raise ValueError(
                "BlockAutoregressive needs a width and a depth of at least 1, but found "
                f"width={width} and depth={depth}."
            )
        self.width, self.depth = int(width), int(depth)

    def build(self, z_shape, context_shape=None):
        require_vectors(self, z_shape)
        n = z_shape[-1]
        sizes = [1, *[self.width] * self.depth, 1]
        # Of a block of each kernel: inputs and outputs of a dimension.
        self._blocks = [*zip(sizes[:-1], sizes[1:], strict=True)]
        for i, (a, b) in enumerate(self._blocks):
            # A unit's a slopes of one sign add up to sqrt(a) norms: so they start at 1 in all.
            norm = keras.initializers.Constant(-0.5 * math.log(a))
            for name, shape, start in (
                (f"kernel_{i}", (n * a, n * b), "glorot_normal"),
                (f"log_norm_{i}", (n * b,), norm),
                (f"bias_{i}", (n * b,), "zeros"),
            ):
                weight = self.add_weight(shape, initializer=start, autocast=False, name=name)
                setattr(self, name, weight)
        self.gate = self.add_weight((n,), initializer="zeros", autocast=False, name="gate")
        if context_shape is not None:
            self.context_kernel = self.add_weight(
                (context_shape[-1], n * self.width), autocast=False, name="context_kernel"
            )
        super().build(z_shape, context_shape)

    def _sources(self, value, call):
        """Matrices, their diagonal blocks, biases, gates, and what the context adds, if any."""
        kernels, diagonals, biases, n = [], [], [], value.shape[-1]
        # Inputs come first: what is seen by later dimensions lies above the diagonal.
        masks = np.eye(n), np.triu(np.ones([n, n]), 1)
        eye, above = (tf.constant(mask[:, None, :, None], value.dtype) for mask in masks)
        for i, (a, b) in enumerate(self._blocks):
            kernel = tf.reshape(tf.cast(getattr(self, f"kernel_{i}"), value.dtype), [n, a, n, b])
            kernel = eye * tf.exp(kernel * eye) + above * kernel
            norm = tf.norm(kernel, axis=[0, 1])
            scale = tf.exp(tf.cast(getattr(self, f"log_norm_{i}"), value.dtype))
            kernel *= tf.reshape(scale, [n, b]) / norm
            kernels.append(tf.reshape(kernel, [n * a, n * b]))
            diagonals.append(tf.einsum("nanb->nab", kernel))
            biases.append(tf.cast(getattr(self, f"bias_{i}"), value.dtype))
        gate = tf.sigmoid(tf.cast(self.gate, value.dtype))
        contexts = []
        if call.context is not None:
            kernel = tf.cast(self.context_kernel, value.dtype)
            contexts = [tf.matmul(tf.cast(call.context, value.dtype), kernel)]
        return kernels, diagonals, biases, gate, contexts

    def _function(self, x, kernels, diagonals, biases, gate, contexts):
        """z, and the logarithms of dz_i / dx_i."""
        n, h = x.shape[-1], x
        slopes = tf.ones_like(x)[:, :, tf.newaxis]
        *hidden, (kernel, diagonal, bias) = zip(kernels, diagonals, biases, strict=True)
        for i, layer in enumerate(hidden):
            u = tf.matmul(h, layer[0]) + layer[2]
            if i == 0 and contexts:
                u += contexts[0]
            h = tf.tanh(u)
            slopes = _through(slopes, layer[1]) * tf.reshape(1 - h**2, [-1, n, self.width])
        y = tf.matmul(h, kernel) + bias
        slope = tf.squeeze(_through(slopes, diagonal), -1)
        return gate * x + (1 - gate) * y, tf.math.log(gate + (1 - gate) * slope)

    def _inverse(self, x, call):
        z, log_slopes = self._function(x, *self._sources(x, call))
        return z, tf.reduce_sum(log_slopes, -1)

    def _forward(self, z, call):
        sources = self._sources(z, call)
        solution = self._root(
            tf.stop_gradient(z), *tf.nest.map_structure(tf.stop_gradient, sources)
        )
        x = implicit_inverse(self._function, solution, z, sources, z.shape[-1])
        if not call.log_dets:
            return x, zero_log_det(x)
        return x, -tf.reduce_sum(self._function(x, *sources)[1], -1)

    def _root(self, z, kernels, diagonals, biases, gate, contexts):
        """x, from its first dimension to its last; those not yet known are 0."""
        n = z.shape[-1]
        # y is at most that.
        reach = tf.reduce_sum(tf.abs(kernels[-1]), 0) + tf.abs(biases[-1])
        lower = (z - (1 - gate) * reach) / gate
        upper = (z + (1 - gate) * reach) / gate

        def step(i, x):
            place = tf.one_hot(i, n, dtype=x.dtype)

            def at(values):
                return tf.reduce_sum(values * place, -1, keepdims=True)

            def along(t):
                found = self._function(x + t * place, kernels, diagonals, biases, gate, contexts)
                return at(found[0]), at(found[1])

            return i + 1, x + place * increasing_root(along, at(z), at(lower), at(upper))

        start = (tf.constant(0), tf.zeros_like(z))
        return tf.while_loop(lambda i, _: i < n, step, start, maximum_iterations=n)[1]

    def get_config(self):
        return {**super().get_config(), "width": self.width, "depth": self.depth}


def _through(slopes, diagonal):
    """Derivatives of units with respect to their own dimension, `[batch, n, units]`."""
    return tf.einsum("bna,nac->bnc", slopes, diagonal)
