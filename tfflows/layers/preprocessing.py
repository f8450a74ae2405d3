"""Fixed maps between the data and the space in which a flow works."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer, constant_log_det, zero_log_det


@keras.saving.register_keras_serializable(package="tfflows")
class Rescaling(InvertibleLayer):
    """Fixed affine map, the same for all dimensions.

        forward:  x = scale * z + offset
        inverse:  z = (x - offset) / scale
        log-det:  D log|scale|, D the number of dimensions of the event

    Args:
        scale: a number other than zero.
        offset: a number.

    Raises:
        ValueError: if `scale` is zero or not finite.

    Example:
        >>> layer = tfflows.layers.Rescaling(256.0)
        >>> print(layer(tf.constant([[0.0, 0.5]])).numpy())
        [[  0. 128.]]
    """

    def __init__(self, scale: float, offset: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        if scale == 0 or not math.isfinite(scale):
            raise ValueError(f"Rescaling needs a finite scale other than 0, but found {scale}.")
        self.scale, self.offset = float(scale), float(offset)

    def _log_det(self, z):
        return constant_log_det(math.prod(self.latent_shape) * math.log(abs(self.scale)), z)

    def _forward(self, z, call):
        return z * self.scale + self.offset, self._log_det(z)

    def _inverse(self, x, call):
        return (x - self.offset) / self.scale, -self._log_det(x)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


@keras.saving.register_keras_serializable(package="tfflows")
class Logit(InvertibleLayer):
    """Map between the unit interval and the real line, kept off the ends of the interval.

        forward:  x = (sigmoid(z) - alpha) / (1 - 2 alpha)
        inverse:  z = logit(alpha + (1 - 2 alpha) x)
        log-det:  sum(log sigmoid(z) + log sigmoid(-z)) - D log(1 - 2 alpha)

    The support of x is `(-alpha, 1 + alpha) / (1 - 2 alpha)`, a little more than [0, 1], so that
    pixels at either end have a finite z. The inverse is NaN outside of it.

    Args:
        alpha: margin at both ends, in [0, 0.5); RealNVP uses 0.05 on images.

    Raises:
        ValueError: if `alpha` is outside [0, 0.5).

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017,
    section 4.1 (symmetric at both ends here).

    Example:
        >>> print(tfflows.layers.Logit(alpha=0.05)(tf.zeros([1, 2])).numpy())
        [[0.5 0.5]]
    """

    def __init__(self, alpha: float = 0.05, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= alpha < 0.5:
            raise ValueError(f"Logit needs alpha in [0, 0.5), but found {alpha}.")
        self.alpha = float(alpha)

    def _log_det(self, z):
        """Forward log-det at z."""
        # log sigmoid(z) + log sigmoid(-z), finite in both tails.
        log_slope = -tf.abs(z) - 2 * tf.math.softplus(-tf.abs(z))
        axes = list(range(1, z.shape.rank))
        constant = math.prod(self.latent_shape) * math.log(1 - 2 * self.alpha)
        return tf.reduce_sum(log_slope, axes) - constant

    def _forward(self, z, call):
        x = (tf.sigmoid(z) - self.alpha) / (1 - 2 * self.alpha)
        return x, self._log_det(z)

    def _inverse(self, x, call):
        # x -> alpha + (1 - 2 alpha) x, written for both ends so that neither loses digits.
        low = self.alpha + (1 - 2 * self.alpha) * x
        high = self.alpha + (1 - 2 * self.alpha) * (1 - x)
        z = tf.math.log(low) - tf.math.log(high)
        return z, -self._log_det(z)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha}


@keras.saving.register_keras_serializable(package="tfflows")
class Reshape(InvertibleLayer):
    """Change of the event shape, flat by default on the side of the base.

        forward:  x = reshape(z, target_shape)
        inverse:  z = reshape(x, source_shape)
        log-det:  0

    Args:
        target_shape: event shape of x.
        source_shape: event shape of z; the default is flat, `(D,)`.

    Raises:
        ValueError: if the two shapes do not hold the same number of elements.

    Example:
        >>> tfflows.layers.Reshape((8, 8, 1))(tf.zeros([3, 64])).shape
        TensorShape([3, 8, 8, 1])
    """

    takes_float64 = True

    def __init__(
        self, target_shape: Sequence[int], source_shape: Sequence[int] | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        self.target_shape = tuple(int(n) for n in target_shape)
        size = math.prod(self.target_shape)
        self.source_shape = tuple(int(n) for n in source_shape or (size,))
        if math.prod(self.source_shape) != size:
            raise ValueError(
                f"Reshape cannot turn {self.source_shape} into {self.target_shape}: the first has "
                f"{math.prod(self.source_shape)} elements, the second {size}."
            )

    def build(self, z_shape, context_shape=None):
        if tuple(z_shape[1:]) != self.source_shape:
            raise ValueError(
                f"Reshape to {self.target_shape} expected z of event shape {self.source_shape}, "
                f"but found {tuple(z_shape[1:])}."
            )
        super().build(z_shape, context_shape)

    def forward_event_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return self.target_shape

    def inverse_event_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return self.source_shape

    def _forward(self, z, call):
        return tf.reshape(z, [-1, *self.target_shape]), zero_log_det(z)

    def _inverse(self, x, call):
        return tf.reshape(x, [-1, *self.source_shape]), zero_log_det(x)

    def get_config(self):
        shapes = {"target_shape": self.target_shape, "source_shape": self.source_shape}
        return {**super().get_config(), **shapes}
