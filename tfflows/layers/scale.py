"""Learned diagonal scaling."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfflows.layers.base import DataDependentLayer, constant_log_det


@keras.saving.register_keras_serializable(package="tfflows")
class Scale(DataDependentLayer):
    """Learned diagonal scaling, the last layer of NICE.

        forward:  x = z * exp(log_scale)
        inverse:  z = x * exp(-log_scale)
        log-det:  sum(log_scale)

    `log_scale` has one entry per dimension of the event. It starts at zero, and `adapt` sets it
    to the log standard deviation of the batch (to zero where that is constant), which saves Adam
    the way there when the scales of the data differ by orders of magnitude.

    Source: Dinh, Krueger and Bengio, "NICE", 2015, section 3.3 (whose S is `-log_scale`).

    Example:
        >>> layer = tfflows.layers.Scale()
        >>> x, log_det = layer.forward_and_log_det(tf.ones([1, 3]))
        >>> layer.log_scale.assign([0.0, 1.0, 2.0])
        >>> float(layer.forward_and_log_det(tf.ones([1, 3]))[1][0])
        3.0
    """

    def build(self, z_shape, context_shape=None):
        self.log_scale = self.add_weight(
            shape=z_shape[1:], initializer="zeros", name="log_scale", autocast=False
        )
        super().build(z_shape, context_shape)

    def _set_from(self, x):
        stddev = tf.math.reduce_std(x, axis=0)
        self.log_scale.assign(tf.math.log(tf.where(stddev > 0, stddev, tf.ones_like(stddev))))

    def _forward(self, z, context, training):
        s = tf.convert_to_tensor(self.log_scale)
        return z * tf.exp(s), constant_log_det(tf.reduce_sum(s), z)

    def _inverse(self, x, context, training):
        s = tf.convert_to_tensor(self.log_scale)
        return x * tf.exp(-s), constant_log_det(-tf.reduce_sum(s), x)
