"""Batch normalisation as an invertible layer."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from tfflows.layers.base import constant_log_det
from tfflows.layers.data_dependent import DataDependentLayer
from tfflows.layers.scale import mean_and_stddev


@keras.saving.register_keras_serializable(package="tfflows")
class BatchNormalization(DataDependentLayer):
    """Affine map per channel that standardises a batch, as that batch says, while training.

        forward:  x = (z - shift) exp(-s) sqrt(v + epsilon) + m
        inverse:  z = (x - m) exp(s) / sqrt(v + epsilon) + shift
        log-det:  N (sum(log(v + epsilon)) / 2 - sum(s)), forward; minus that, inverse; N the number
                  of pixels (1 for vectors)

    All have one entry per channel, the last axis. s and shift are learned and start at zero. m and
    v are a mean and a variance: the inverse in training takes those of its batch, and moves the
    running ones towards them; all else takes the running ones, which `adapt` sets. In training an
    example's density thus depends on the others of its batch. Replicas have each their own batch,
    and share the mean of their running statistics.

    Args:
        momentum: of the running statistics, in [0, 1).
        epsilon: at least 0, added to variances.

    Raises:
        ValueError: if an argument is out of its range, or as a memory mode of a flow that computes
            activations anew, since that would move the running statistics again.
        tf.errors.InvalidArgumentError: for a batch of less than two vectors in training, but not
            under XLA, which has no such checks.

    Source: Papamakarios, Pavlakou and Murray, "Masked autoregressive flow for density estimation",
    2017, section 3.4 and appendix B, https://arxiv.org/abs/1705.07057; Dinh, Sohl-Dickstein and
    Bengio, "Density estimation using Real NVP", 2017, section 3.7.

    Example:
        >>> layer = tfflows.layers.BatchNormalization(epsilon=0.0)
        >>> x = tf.constant([[0.0, 10.0], [4.0, 30.0]])
        >>> z, log_det = layer.inverse_and_log_det(x, training=True)
        >>> print(z.numpy().round(3), log_det.numpy().round(3))
        [[-1. -1.]
         [ 1.  1.]] [-2.996 -2.996]
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-5, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(
                f"BatchNormalization needs a momentum in [0, 1), but found {momentum}."
            )
        if not epsilon >= 0:
            raise ValueError(
                f"BatchNormalization needs an epsilon of at least 0, but found {epsilon}."
            )
        self.momentum, self.epsilon = float(momentum), float(epsilon)

    def build(self, z_shape, context_shape=None):
        settings = {"shape": z_shape[-1:], "autocast": False}
        self.log_scale = self.add_weight(name="log_scale", initializer="zeros", **settings)
        self.shift = self.add_weight(name="shift", initializer="zeros", **settings)
        settings |= {"trainable": False, "aggregation": "mean"}
        self.mean = self.add_weight(name="mean", initializer="zeros", **settings)
        self.variance = self.add_weight(name="variance", initializer="ones", **settings)
        self._num_pixels = math.prod(z_shape[1:-1])
        super().build(z_shape, context_shape)

    def _set_from(self, x):
        mean, stddev = mean_and_stddev(tf.reshape(x, [-1, x.shape[-1]]))
        self.mean.assign(mean)
        self.variance.assign(stddev**2)

    def _inverse(self, x, call):
        if call.training:
            mean, variance = self._of_batch(x)
        else:
            mean, variance = self._running(x.dtype)
        log_scale = tf.cast(self.log_scale, x.dtype) - 0.5 * tf.math.log(variance + self.epsilon)
        z = (x - mean) * tf.exp(log_scale) + tf.cast(self.shift, x.dtype)
        return z, constant_log_det(self._num_pixels * tf.reduce_sum(log_scale), x)

    def _forward(self, z, call):
        mean, variance = self._running(z.dtype)
        log_scale = 0.5 * tf.math.log(variance + self.epsilon) - tf.cast(self.log_scale, z.dtype)
        x = (z - tf.cast(self.shift, z.dtype)) * tf.exp(log_scale) + mean
        return x, constant_log_det(self._num_pixels * tf.reduce_sum(log_scale), z)

    def _running(self, dtype):
        return tf.cast(self.mean, dtype), tf.cast(self.variance, dtype)

    def _of_batch(self, x):
        number = self._num_pixels * tf.shape(x)[0]
        check = tf.debugging.assert_greater(
            number,
            1,
            f"BatchNormalization '{self.name}' found less than two vectors in training, which have "
            "no variance: train with batches of at least two.",
        )
        with tf.control_dependencies([check] if check is not None else []):
            mean, variance = tf.nn.moments(x, list(range(x.shape.rank - 1)))
        for running, value in ((self.mean, mean), (self.variance, variance)):
            value = tf.cast(tf.stop_gradient(value), running.dtype)
            running.assign(running + (1 - self.momentum) * (value - running))
        return mean, variance

    def get_config(self):
        config = {"momentum": self.momentum, "epsilon": self.epsilon}
        return {**super().get_config(), **config}
