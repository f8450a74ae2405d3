"""Layers whose weights start from a batch of data."""

from __future__ import annotations

import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.layers.base import InvertibleLayer
from tfflows.layers.passes import Pass


class DataDependentLayer(InvertibleLayer):
    """An invertible layer whose weights start from a batch of data.

    A new one implements `_set_from(x)`, in TensorFlow's operations, beside `_forward` and
    `_inverse`. That it was adapted is saved: a loaded flow is not adapted again.
    """

    def _set_from(self, x):
        raise NotImplementedError(f"{type(self).__name__} does not say how data set it.")

    def build(self, z_shape, context_shape=None):
        self.adapted = self.add_weight(
            shape=(), initializer="zeros", dtype="bool", trainable=False, name="adapted"
        )
        super().build(z_shape, context_shape)

    def adapt(self, x: ArrayLike, context: ArrayLike | None = None) -> tf.Tensor:
        x = self._checked(x, "x", Pass(context))
        self._set_from(x)
        self.adapted.assign(True)
        return super().adapt(x, context)

    @property
    def needs_adapt(self) -> bool:
        self._require_built("ask whether it needs adapt")
        return not bool(self.adapted.numpy())
