"""Learned diagonal scaling."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfflows.layers.base import DataDependentLayer, constant_log_det


@keras.saving.register_keras_serializable(package="tfflows")
class Scale(DataDependentLayer):
    """Learned diagonal scaling, the last layer of NICE.

        forward:  x = z * exp(c w)
        inverse:  z = x * exp(-c w)
        log-det:  c sum(w)

    The weight w has one entry per dimension of the event. It starts at zero, and `adapt` sets it
    from the standard deviation of the batch (to zero where that is constant).

    Args:
        factor: c, which multiplies the steps that Adam takes in the log-scale. Scales of data
            differ by orders of magnitude, and have a longer way to go than other weights.

    Source: Dinh, Krueger and Bengio, "NICE", 2015, section 3.3 (whose log-scale is `-c w`); the
    factor is that of Kingma and Dhariwal's code for "Glow", 2018.

    Example:
        >>> layer = tfflows.layers.Scale()
        >>> x, log_det = layer.forward_and_log_det(tf.ones([1, 3]))
        >>> _ = layer.weight.assign([0.0, 1.0, 2.0])
        >>> float(layer.forward_and_log_det(tf.ones([1, 3]))[1][0])
        3.0
    """

    def __init__(self, factor: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        if not factor > 0:
            raise ValueError(f"Scale needs a positive factor, but found {factor}.")
        self.factor = float(factor)

    def build(self, z_shape, context_shape=None):
        self.weight = self.add_weight(
            shape=z_shape[1:], initializer="zeros", name="log_scale", autocast=False
        )
        super().build(z_shape, context_shape)

    def _set_from(self, x):
        stddev = tf.math.reduce_std(x, axis=0)
        stddev = tf.where(stddev > 0, stddev, tf.ones_like(stddev))
        self.weight.assign(tf.math.log(stddev) / self.factor)

    def _forward(self, z, context, training):
        s = self.factor * tf.convert_to_tensor(self.weight)
        return z * tf.exp(s), constant_log_det(tf.reduce_sum(s), z)

    def _inverse(self, x, context, training):
        s = self.factor * tf.convert_to_tensor(self.weight)
        return x * tf.exp(-s), constant_log_det(-tf.reduce_sum(s), x)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
