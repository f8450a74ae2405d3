"""Elementwise maps whose parameters are weights."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer
from tfflows.transformers import Transformer, as_transformer


@keras.saving.register_keras_serializable(package="tfflows")
class Elementwise(InvertibleLayer):
    """Each dimension by itself is transformed, with learned parameters that a context may shift.

        forward:  x = T(z; w + context V)
        inverse:  z = T^-1(x; w + context V)
        log-det:  the sum of T's log-derivatives

    w has one entry a parameter and dimension, `[p, *event_shape]`. w and V start at zero, where
    most transformers are the identity.

    Args:
        transformer: T, a `tfflows.transformers.Transformer`.

    Raises:
        ValueError: if the transformer is none.

    Example:
        >>> layer = tfflows.layers.Elementwise(tfflows.transformers.Affine())
        >>> layer.forward_and_log_det(tf.ones([5, 3]))[0].shape
        TensorShape([5, 3])
        >>> [tuple(weight.shape) for weight in layer.weights]
        [(2, 3)]
    """

    def __init__(self, transformer: Transformer | dict, **kwargs):
        super().__init__(**kwargs)
        self.transformer = as_transformer(transformer)

    def build(self, z_shape, context_shape=None):
        shape = (self.transformer.num_parameters, *z_shape[1:])
        settings = {"initializer": "zeros", "autocast": False}
        self.parameters = self.add_weight(shape=shape, name="parameters", **settings)
        if context_shape is not None:
            shape = (context_shape[-1], math.prod(shape))
            self.kernel = self.add_weight(shape=shape, name="kernel", **settings)
        super().build(z_shape, context_shape)

    def _parameters(self, call):
        parameters = tf.convert_to_tensor(self.parameters)[:, tf.newaxis]
        if call.context is not None:
            p, _, *event_shape = parameters.shape
            shift = tf.reshape(tf.matmul(call.context, self.kernel), [-1, p, *event_shape])
            parameters += tf.transpose(shift, [1, 0, *range(2, 2 + len(event_shape))])
        return tf.unstack(parameters)

    def _forward(self, z, call):
        x, log_dets = self.transformer.forward(z, self._parameters(call))
        return x, summed(log_dets)

    def _inverse(self, x, call):
        z, log_dets = self.transformer.inverse(x, self._parameters(call))
        return z, summed(log_dets)

    def get_config(self):
        transformer = keras.saving.serialize_keras_object(self.transformer)
        return {**super().get_config(), "transformer": transformer}


def summed(log_dets):
    """Log-det of each example, from those of its dimensions."""
    return tf.reduce_sum(log_dets, list(range(1, log_dets.shape.rank)))
