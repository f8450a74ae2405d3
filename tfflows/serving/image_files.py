"""Files that a user uploads, decoded with limits, as images that a flow takes."""

from __future__ import annotations

import io

import numpy as np

from tfflows.data.arrays import reduce_bits
from tfflows.serving.errors import RequestError

MAX_BYTES = 8 * 2**20
MAX_PIXELS = 4096 * 4096
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK")


def pixels_of(content: bytes, event_shape, num_bits: int) -> np.ndarray:
    """An image file as pixels of a flow's size, channels and bits.

    The middle of the image is cut out in the sides' ratio and averaged down, or scaled up; what is
    transparent becomes white. An image of the right size and mode is taken as it is.

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
    from PIL import Image, ImageOps

    height, width, channels = event_shape
    try:
        # What is read here is the header: the size is known before any memory is taken for pixels.
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise RequestError(
                    f"The image has {image.width} x {image.height} pixels, more than the "
                    f"{MAX_PIXELS:,} that are read.",
                    413,
                )
            if image.mode not in _MODES:
                raise RequestError(
                    f"The image has the mode {image.mode}: expected 8 bits a pixel and channel."
                )
            image = ImageOps.exif_transpose(image)
            if image.has_transparency_data:
                on_white = Image.new("RGBA", image.size, "white")
                on_white.alpha_composite(image.convert("RGBA"))
                image = on_white
            image = image.convert("L" if channels == 1 else "RGB")
            image = ImageOps.fit(image, (width, height), Image.Resampling.BOX)
            pixels = np.asarray(image).reshape(event_shape)
    except RequestError:
        raise
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise RequestError(
            "The file cannot be read as an image: expected a whole BMP, GIF, JPEG, PNG or WebP "
            "file."
        ) from error
    return reduce_bits(pixels, num_bits)
