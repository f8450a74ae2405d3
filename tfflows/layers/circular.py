"""Rotations of angles."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer, zero_log_det
from tfflows.transformers.base import checked_bound


@keras.saving.register_keras_serializable(package="tfflows")
class CircularShift(InvertibleLayer):
    """Each angle is turned by a learned one, which a context may shift.

        forward:  x = wrap(z + w + context V)
        inverse:  z = wrap(x - w - context V)
        log-det:  0

    wrap adds a multiple of 2 B, so that the result lies in [-B, B). V starts at zero. Between
    layers of `tfflows.transformers.CircularSpline`, whose ends stay where they are, a `start` of a
    part of a turn gives each of them other ends from the beginning.

    Args:
        bound: B > 0, by default pi.
        start: of all w.

    Raises:
        ValueError: if `bound` is not a positive finite number.

    Source: Rezende et al., "Normalizing flows on tori and spheres", 2020, section 2.1.4,
    https://arxiv.org/abs/2002.02428.

    Example:
        >>> layer = tfflows.layers.CircularShift(start=1.0)
        >>> print(layer(tf.constant([[-1.0, 3.0]])).numpy().round(3))
        [[ 0.    -2.283]]
    """

    def __init__(self, bound: float = math.pi, start: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.bound, self.start = checked_bound(self, bound), float(start)

    def build(self, z_shape, context_shape=None):
        self.shift = self.add_weight(
            shape=z_shape[1:],
            initializer=keras.initializers.Constant(self.start),
            autocast=False,
            name="shift",
        )
        if context_shape is not None:
            shape = (context_shape[-1], math.prod(z_shape[1:]))
            self.kernel = self.add_weight(
                shape=shape, initializer="zeros", autocast=False, name="kernel"
            )
        super().build(z_shape, context_shape)

    def _turn(self, value, call):
        turn = tf.convert_to_tensor(self.shift)[tf.newaxis]
        if call.context is not None:
            moved = tf.matmul(call.context, self.kernel)
            turn += tf.reshape(moved, [-1, *value.shape[1:]])
        return turn

    def _wrapped(self, value):
        return value - 2 * self.bound * tf.floor((value + self.bound) / (2 * self.bound))

    def _forward(self, z, call):
        return self._wrapped(z + self._turn(z, call)), zero_log_det(z)

    def _inverse(self, x, call):
        return self._wrapped(x - self._turn(x, call)), zero_log_det(x)

    def get_config(self):
        return {**super().get_config(), "bound": self.bound, "start": self.start}
