"""Permutations of the last axis."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer, zero_log_det


def permute(x, permutation, inverse_permutation):
    """Reorder the last axis; its gradient is a gather too, not TensorFlow's slower scatter."""

    @tf.custom_gradient
    def gather(x):
        return tf.gather(x, permutation, axis=-1), lambda dy: permute(
            dy, inverse_permutation, permutation
        )

    return gather(x)


@keras.saving.register_keras_serializable(package="tfflows")
class Permutation(InvertibleLayer):
    """Fixed permutation of the last axis.

        forward:  x[..., i] = z[..., permutation[i]]
        inverse:  z[..., permutation[i]] = x[..., i]
        log-det:  0

    Args:
        permutation: the integers 0 ... n-1 in any order, n the size of the last axis.

    Raises:
        ValueError: if `permutation` is not a permutation of 0 ... n-1.

    Example:
        >>> layer = tfflows.layers.Permutation([2, 0, 1])
        >>> print(layer(tf.constant([[10.0, 20.0, 30.0]])).numpy())
        [[30. 10. 20.]]
    """

    def __init__(self, permutation: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.permutation = [int(i) for i in permutation]
        if sorted(self.permutation) != list(range(len(self.permutation))):
            raise ValueError(
                f"Permutation expected each of 0 ... {len(self.permutation) - 1} once, but found "
                f"{self.permutation}."
            )
        self._inverse_permutation = np.argsort(self.permutation)

    def build(self, z_shape, context_shape=None):
        if z_shape[-1] != len(self.permutation):
            raise ValueError(
                f"Permutation of {len(self.permutation)} entries was given an axis of size "
                f"{z_shape[-1]} (event shape {tuple(z_shape[1:])})."
            )
        super().build(z_shape, context_shape)

    def _forward(self, z, call):
        return permute(z, self.permutation, self._inverse_permutation), zero_log_det(z)

    def _inverse(self, x, call):
        return permute(x, self._inverse_permutation, self.permutation), zero_log_det(x)

    def get_config(self):
        return {**super().get_config(), "permutation": self.permutation}


@keras.saving.register_keras_serializable(package="tfflows")
class Reverse(InvertibleLayer):
    """Reversal of the last axis.

        forward:  x[..., i] = z[..., n - 1 - i]
        inverse:  the same
        log-det:  0

    Example:
        >>> print(tfflows.layers.Reverse()(tf.constant([[1.0, 2.0, 3.0]])).numpy())
        [[3. 2. 1.]]
    """

    def _forward(self, z, call):
        return tf.reverse(z, [-1]), zero_log_det(z)

    _inverse = _forward
