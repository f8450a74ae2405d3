"""Trade of space for channels."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer, zero_log_det

_ORDERS = ("space_to_depth", "pixel_unshuffle")


@keras.saving.register_keras_serializable(package="tfflows")
class Squeeze(InvertibleLayer):
    """Squeeze of images: each 2 x 2 block of pixels of x is one pixel of z.

        forward:  z [H / 2, W / 2, 4 C]  ->  x [H, W, C]
        inverse:  x [H, W, C]  ->  z [H / 2, W / 2, 4 C]
        log-det:  0

    Pixel (i, j) of a block (i its row, j its column), channel c, becomes channel

        `"space_to_depth"`:   (2 i + j) C + c, as in `tf.nn.space_to_depth`
        `"pixel_unshuffle"`:  4 c + 2 i + j, as in PyTorch's `pixel_unshuffle` and OpenAI's Glow

    so that the first half of the channels is the upper row of each block of the former, and the
    first half of the colours of the latter.

    Args:
        order: order of the channels of z, one of the two above.

    Raises:
        ValueError: for another order, an event that is not an image, an odd height or width of
            x, or channels of z that are no multiple of 4.

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017,
    section 3.6.

    Example:
        >>> layer = tfflows.layers.Squeeze()
        >>> z, _ = layer.inverse_and_log_det(tf.reshape(tf.range(4.0), [1, 2, 2, 1]))
        >>> print(z.numpy().ravel())
        [0. 1. 2. 3.]
    """

    def __init__(self, order: str = "space_to_depth", **kwargs):
        super().__init__(**kwargs)
        if order not in _ORDERS:
            raise ValueError(f"Squeeze knows the orders {_ORDERS}, but found {order!r}.")
        self.order = order

    def build(self, z_shape, context_shape=None):
        self.forward_event_shape(z_shape[1:])
        super().build(z_shape, context_shape)

    def forward_event_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        if len(shape) != 3 or shape[-1] % 4:
            raise ValueError(
                "Squeeze expected z of event shape (height, width, 4 * channels), but found "
                f"{tuple(shape)}."
            )
        height, width, channels = shape
        return (2 * height, 2 * width, channels // 4)

    def inverse_event_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        if len(shape) != 3 or shape[0] % 2 or shape[1] % 2:
            raise ValueError(
                "Squeeze expected images of even height and width, (height, width, channels), "
                f"but found {tuple(shape)}."
            )
        height, width, channels = shape
        return (height // 2, width // 2, 4 * channels)

    def _forward(self, z, call):
        if self.order == "pixel_unshuffle":
            height, width, channels = self.latent_shape
            z = tf.reshape(z, [-1, height, width, channels // 4, 4])
            z = tf.reshape(tf.transpose(z, [0, 1, 2, 4, 3]), [-1, height, width, channels])
        return tf.nn.depth_to_space(z, 2), zero_log_det(z)

    def _inverse(self, x, call):
        z = tf.nn.space_to_depth(x, 2)
        if self.order == "pixel_unshuffle":
            height, width, channels = self.latent_shape
            z = tf.reshape(z, [-1, height, width, 4, channels // 4])
            z = tf.reshape(tf.transpose(z, [0, 1, 2, 4, 3]), [-1, height, width, channels])
        return z, zero_log_det(x)

    def get_config(self):
        return {**super().get_config(), "order": self.order}
