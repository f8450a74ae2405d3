"""Activation normalisation."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from tfflows.layers.base import constant_log_det
from tfflows.layers.data_dependent import DataDependentLayer
from tfflows.layers.scale import mean_and_stddev


@keras.saving.register_keras_serializable(package="tfflows")
class ActNorm(DataDependentLayer):
    """Affine map per channel, learned, that starts by standardising one batch.

        forward:  x = z * exp(s) + shift
        inverse:  z = (x - shift) * exp(-s)
        log-det:  N sum(s), N the number of pixels (1 for vectors)

    s and shift have one entry per channel, the last axis. They start at zero; `adapt` sets them so
    that z of its batch has mean 0 and standard deviation 1 in every channel. `Flow.fit` does this
    before the first step, outside of the replicas of a distributed run, which so stay equal.

    Source: Kingma and Dhariwal, "Glow", 2018, section 3.1.

    Example:
        >>> layer = tfflows.layers.ActNorm()
        >>> z = layer.adapt(tf.constant([[0.0, 10.0], [4.0, 30.0]]))
        >>> print(np.round(z.numpy(), 3))
        [[-1. -1.]
         [ 1.  1.]]
    """

    def build(self, z_shape, context_shape=None):
        settings = {"shape": z_shape[-1:], "initializer": "zeros", "autocast": False}
        self.log_scale = self.add_weight(name="log_scale", **settings)
        self.shift = self.add_weight(name="shift", **settings)
        self._num_pixels = math.prod(z_shape[1:-1])
        super().build(z_shape, context_shape)

    def _set_from(self, x):
        mean, stddev = mean_and_stddev(tf.reshape(x, [-1, x.shape[-1]]))
        self.log_scale.assign(tf.math.log(stddev))
        self.shift.assign(mean)

    def _forward(self, z, call):
        s = tf.cast(self.log_scale, z.dtype)
        log_det = constant_log_det(self._num_pixels * tf.reduce_sum(s), z)
        return z * tf.exp(s) + tf.cast(self.shift, z.dtype), log_det

    def _inverse(self, x, call):
        s = tf.cast(self.log_scale, x.dtype)
        log_det = constant_log_det(-self._num_pixels * tf.reduce_sum(s), x)
        return (x - tf.cast(self.shift, x.dtype)) * tf.exp(-s), log_det
