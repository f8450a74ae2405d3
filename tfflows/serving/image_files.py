"""Files that a user uploads, decoded with limits, as images that a flow takes."""

from __future__ import annotations

import io

import numpy as np

from tfflows.data.arrays import reduce_bits
from tfflows.data.images import (
    CorruptImageError,
    ImageError,
    LargeImageError,
    fit_image,
    open_image,
)
from tfflows.serving.errors import RequestError

MAX_BYTES = 8 * 2**20
MAX_PIXELS = 4096 * 4096


def pixels_of(content: bytes, event_shape, num_bits: int) -> np.ndarray:
    """An image file as pixels of a flow's size, channels and bits.

    `tfflows.data.images.fit_image` says how it is cut and scaled.

    Args:
        content: a BMP, GIF, JPEG, PNG or WebP file of at most `MAX_PIXELS` pixels; of several
            pictures in it the first counts.
        event_shape: `(height, width, channels)`.
        num_bits: bits a pixel, of which the top ones are kept.

    Returns:
        uint8 `[height, width, channels]`.

    Raises:
        RequestError: for a file that is none of these, damaged, or too large.
        ImportError: without Pillow.
    """
    try:
        with open_image(io.BytesIO(content), MAX_PIXELS) as image:
            pixels = fit_image(image, tuple(event_shape))
    except LargeImageError as error:
        raise RequestError(str(error), 413) from error
    except CorruptImageError as error:
        raise RequestError(
            "The file cannot be read as an image: expected a whole BMP, GIF, JPEG, PNG or WebP "
            "file."
        ) from error
    except ImageError as error:
        raise RequestError(str(error)) from error
    return reduce_bits(pixels, num_bits)
