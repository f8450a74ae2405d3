"""Image files as arrays."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

# What is opened, of folders, command lines and uploads: no format that runs another program.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
# Of folders, whose images have no palettes, as those of GIF do.
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
MAX_PIXELS = 8192 * 8192
MAX_NAMED = 10  # corrupt files that a warning names
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK")


class ImageError(ValueError):
    """An image file of another kind than expected."""


class CorruptImageError(ImageError):
    """An image file that cannot be decoded."""


class LargeImageError(ImageError):
    """An image file of too many pixels."""


@contextlib.contextmanager
def open_image(file: Path | BinaryIO, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """An open image file whose header says that its format, size and mode are good.

    No memory is taken for pixels before that. Of several pictures in a file the first counts.

    Args:
        file: a path, or the content of a file.
        max_pixels: the most that are decoded.

    Raises:
        CorruptImageError: for a file that is none of `FORMATS`, or is damaged, even if that is only
            found while it is open.
        LargeImageError: for more pixels.
        ImageError: for a mode of other than 8 bits a channel.
        ImportError: without Pillow.
    """
    name = f"Image {str(file)!r}" if isinstance(file, Path) else "The image"
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"{name} needs Pillow, which is not installed: pip install tfflows[data]."
        ) from error
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise LargeImageError(
                    f"{name} has {image.width} x {image.height} pixels, more than the "
                    f"{max_pixels:,} that are read."
                )
            if image.mode not in _MODES:
                raise ImageError(
                    f"{name} has the mode {image.mode}: expected 8 bits a pixel and channel."
                )
            yield image
    except ImageError:
        raise
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise CorruptImageError(
            f"{name} cannot be read ({error}): expected a whole image file, one of "
            f"{', '.join(FORMATS)}."
        ) from error


def fit_image(image: Image.Image, event_shape: tuple[int, int, int]) -> np.ndarray:
    """The pixels of an image, cut and scaled to the size and channels that a flow takes.

    The middle of the image is cut out in the sides' ratio and averaged down, or scaled up; what is
    transparent becomes white. An image of the right size and mode is taken as it is.

    Args:
        image: of any size and one of the modes that `open_image` lets pass.
        event_shape: `(height, width, channels)`, 1 or 3 channels.

    Returns:
        uint8 `[height, width, channels]`.
    """
    from PIL import Image, ImageOps

    height, width, channels = event_shape
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        on_white = Image.new("RGBA", image.size, "white")
        on_white.alpha_composite(image.convert("RGBA"))
        image = on_white
    image = image.convert("L" if channels == 1 else "RGB")
    image = ImageOps.fit(image, (width, height), Image.Resampling.BOX)
    return np.asarray(image).reshape(event_shape)


def image_files(folder: Path) -> list[Path]:
    """The image files at any depth of a folder, sorted.

    Raises:
        ValueError: where there are none.
    """
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise ValueError(
            f"Folder {str(folder)!r} holds no images: expected files ending in "
            f"{', '.join(IMAGE_SUFFIXES)}."
        )
    return files


def read_images(
    files: list[Path],
    skip_corrupt: bool,
    shape: tuple[int, int, int] | None = None,
    prepare: Callable[[np.ndarray], np.ndarray] = lambda image: image,
) -> tuple[np.ndarray, list[int]]:
    """Decode files that all have one shape; a warning names and counts those that are skipped.

    Args:
        files: at least one image file.
        skip_corrupt: whether to skip files that cannot be decoded, instead of raising.
        shape: shape `(height, width, channels)` of every image; by default the first one's.
        prepare: what becomes of each image, e.g. a crop.

    Returns:
        uint8 images `[n, height, width, channels]`, and the index in `files` of each.

    Raises:
        ValueError: for another shape or mode, a corrupt file that is not skipped, or no image
            that can be read.
        ImportError: without Pillow.
    """
    images, kept, corrupt = None, [], []
    like = ""
    for i, file in enumerate(files):
        try:
            image = _read_image(file, shape, like)
        except CorruptImageError:
            if not skip_corrupt:
                raise
            corrupt.append(file)
            continue
        if shape is None:
            shape, like = image.shape, f", as {str(file)!r} has"
        image = prepare(image)
        if images is None:
            images = np.empty((len(files), *image.shape), "uint8")
        images[len(kept)] = image
        kept.append(i)
    if corrupt:
        named = ", ".join(repr(str(file)) for file in corrupt[:MAX_NAMED])
        more = f" and {len(corrupt) - MAX_NAMED:,} more" if len(corrupt) > MAX_NAMED else ""
        found = f"{len(corrupt):,} of {len(files):,} image files cannot be read: {named}{more}."
        if not kept:
            raise ValueError(f"{found} Expected at least one whole image file.")
        # As if from the line that calls `load`, which calls a reader, which calls this.
        warnings.warn(f"Skipped corrupt images: {found}", stacklevel=4)
    return images[: len(kept)], kept


def _read_image(path: Path, shape: tuple[int, int, int] | None, like: str) -> np.ndarray:
    with open_image(path) as image:
        if image.mode not in ("L", "RGB"):
            raise ImageError(
                f"Image {str(path)!r} has the mode {image.mode!r}: expected 'L' or 'RGB'."
            )
        found = (image.height, image.width, 1 if image.mode == "L" else 3)
        if shape is not None and found != shape:
            raise ImageError(f"Image {str(path)!r} has the shape {found}: expected {shape}{like}.")
        return np.asarray(image).reshape(found)
