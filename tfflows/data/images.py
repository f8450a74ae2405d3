"""Image files as arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
MAX_NAMED = 10  # corrupt files that a warning names


class CorruptImageError(ValueError):
    """An image file that cannot be decoded."""


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
            image = _read_image(file)
        except CorruptImageError:
            if not skip_corrupt:
                raise
            corrupt.append(file)
            continue
        if shape is None:
            shape, like = image.shape, f", as {str(file)!r} has"
        if image.shape != shape:
            raise ValueError(
                f"Image {str(file)!r} has the shape {image.shape}: expected {shape}{like}."
            )
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


def _read_image(path: Path) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"Image {str(path)!r} needs Pillow, which is not installed: pip install tfflows[data]."
        ) from error
    try:
        with Image.open(path) as image:
            mode, pixels = image.mode, np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:  # PIL's ways to say that it is damaged
        raise CorruptImageError(
            f"Image {str(path)!r} cannot be read ({error}): expected a whole image file."
        ) from error
    if mode not in ("L", "RGB"):
        raise ValueError(f"Image {str(path)!r} has the mode {mode!r}: expected 'L' or 'RGB'.")
    return pixels[..., None] if mode == "L" else pixels
