"""Learned Gaussian priors."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer


@keras.saving.register_keras_serializable(package="tfflows")
class LearnedPrior(InvertibleLayer):
    """Gaussian prior per channel, which may depend on the context.

        forward:  x = z * exp(s) + shift,  [s, shift] = w + context V
        inverse:  z = (x - shift) * exp(-s)
        log-det:  N sum(s), N the number of pixels (1 for vectors)

    With a standard normal z, x is normal with mean `shift` and standard deviation `exp(s)` in each
    channel, the last axis. w and V start at zero.

    Source: Kingma and Dhariwal, "Glow", 2018 (`learntop` and `ycond` of its code).

    Example:
        >>> layer = tfflows.layers.LearnedPrior()
        >>> layer(tf.ones([2, 4, 4, 6]), context=tf.ones([2, 10])).shape
        TensorShape([2, 4, 4, 6])
    """

    def build(self, z_shape, context_shape=None):
        settings = {"initializer": "zeros", "autocast": False}
        self.bias = self.add_weight(shape=(2 * z_shape[-1],), name="bias", **settings)
        if context_shape is not None:
            shape = (context_shape[-1], 2 * z_shape[-1])
            self.kernel = self.add_weight(shape=shape, name="kernel", **settings)
        self._num_pixels = math.prod(z_shape[1:-1])
        super().build(z_shape, context_shape)

    def _log_scale_and_shift(self, like, context):
        parameters = tf.repeat(self.bias[tf.newaxis], tf.shape(like)[0], axis=0)
        if context is not None:
            parameters += tf.linalg.matmul(context, self.kernel)
        s, shift = tf.split(parameters, 2, axis=-1)
        log_det = self._num_pixels * tf.reduce_sum(s, axis=-1)
        shape = [-1, *[1] * (like.shape.rank - 2), like.shape[-1]]
        return tf.reshape(s, shape), tf.reshape(shift, shape), log_det

    def _forward(self, z, call):
        s, shift, log_det = self._log_scale_and_shift(z, call.context)
        return z * tf.exp(s) + shift, log_det

    def _inverse(self, x, call):
        s, shift, log_det = self._log_scale_and_shift(x, call.context)
        return (x - shift) * tf.exp(-s), -log_det
