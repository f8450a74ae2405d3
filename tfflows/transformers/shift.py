"""The transformer of additive couplings."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from tfflows.transformers.base import Transformer


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Shift(Transformer):
    """Shift, which preserves volume.

        forward:  x = z + t
        inverse:  z = x - t
        log-det:  0

    Parameters, in this order: t. Zero gives the identity. Domain and range are the real line.

    Raises:
        ValueError: as `Transformer` does.

    Source: Dinh, Krueger and Bengio, "NICE", 2015, section 3.2, https://arxiv.org/abs/1410.8516.

    Example:
        >>> x, log_det = tfflows.transformers.Shift().forward([1.0, 2.0], [[0.5, -3.0]])
        >>> print(x.numpy(), log_det.numpy())
        [ 1.5 -1. ] [0. 0.]
    """

    num_parameters = 1

    def _forward(self, z, t):
        return z + t, tf.zeros_like(z)

    def _inverse(self, x, t):
        return x - t, tf.zeros_like(x)
