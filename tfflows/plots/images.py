"""Pictures of images: a grid, or rows with labels."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tfflows.distributions.dequantization import quantize
from tfflows.plots.files import save

# Pixels that a letter of a label is wide, or a little more.
_LETTER = 7


def image_grid(images: ArrayLike, columns: int | None = None, padding: int = 1) -> np.ndarray:
    """Images side by side, as one array `[height, width, channels]`.

    Args:
        images: `[n, height, width, channels]`, float values in [0, 1].
        columns: images per row; the default makes the grid about square.
        padding: white pixels between images.

    Example:
        >>> tfflows.plots.image_grid(np.zeros([6, 8, 8, 1]), columns=3).shape
        (19, 28, 1)
    """
    n, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    grid = np.ones(
        (rows * (height + padding) + padding, columns * (width + padding) + padding, channels)
    )
    for i, image in enumerate(images):
        top = padding + (i // columns) * (height + padding)
        left = padding + (i % columns) * (width + padding)
        grid[top : top + height, left : left + width] = image
    return grid


def figure_of_rows(
    images: ArrayLike,
    num_bits: int = 8,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
) -> Figure:
    """Picture of rows of images, with labels left of the rows and above the columns.

    Args:
        images: `[rows, columns, height, width, channels]`, grey or RGB, pixels or continuous
            samples of `num_bits` bits.
        num_bits: bits a pixel.
        row_labels, column_labels: one a row, one a column.

    Raises:
        ValueError: for arrays of another shape, or another number of labels.

    Example:
        >>> images = np.random.default_rng(0).integers(0, 256, [2, 3, 8, 8, 3])
        >>> figure = tfflows.plots.figure_of_rows(images, column_labels=["a", "b", "c"])
        >>> [text.get_text() for text in figure.texts]
        ['a', 'b', 'c']
    """
    images = np.asarray(images)
    if images.ndim != 5 or images.shape[-1] not in (1, 3):
        raise ValueError(
            "Rows of images are [rows, columns, height, width, channels] with 1 or 3 channels, but "
            f"found shape {images.shape}."
        )
    for name, labels, count in (
        ("row_labels", row_labels, images.shape[0]),
        ("column_labels", column_labels, images.shape[1]),
    ):
        if labels is not None and len(labels) != count:
            raise ValueError(f"{name} should be {count} texts, but found {len(labels)}.")
    columns, height, width = images.shape[1:4]
    pixels = quantize(images, num_bits) / (2**num_bits - 1)
    grid = image_grid(pixels.reshape(-1, *images.shape[2:]), columns)
    scale = max(1, round(800 / grid.shape[1]))
    left = 0 if row_labels is None else _LETTER * max(map(len, row_labels)) + 2 * _LETTER
    top = 0 if column_labels is None else 3 * _LETTER
    figure = figure_of_grid(grid, scale, left, top)
    figure_width, figure_height = figure.get_size_inches() * figure.dpi
    for i, label in enumerate(row_labels or ()):
        y = top + scale * (1 + i * (height + 1) + height / 2)
        place = (left - _LETTER) / figure_width, 1 - y / figure_height
        figure.text(*place, label, ha="right", va="center", size=8)
    for i, label in enumerate(column_labels or ()):
        x = left + scale * (1 + i * (width + 1) + width / 2)
        place = x / figure_width, 1 - top / 2 / figure_height
        figure.text(*place, label, ha="center", va="center", size=8)
    return figure


def save_rows(path: str | os.PathLike, images: ArrayLike, **kwargs) -> Path:
    """Write `figure_of_rows(images, **kwargs)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return save(figure_of_rows(images, **kwargs), path)


def figure_of_grid(grid: np.ndarray, scale: int, left: int = 0, top: int = 0) -> Figure:
    """A grid of images, each pixel `scale` pixels wide, with margins of `left` and `top` pixels."""
    height, width = scale * grid.shape[0], scale * grid.shape[1]
    figure = Figure(figsize=((left + width) / 100, (top + height) / 100), dpi=100)
    corner = left / (left + width), 0
    axes = figure.add_axes((*corner, width / (left + width), height / (top + height)))
    axes.imshow(np.repeat(grid, 4 - grid.shape[-1], axis=-1)[..., :3], interpolation="nearest")
    axes.set_axis_off()
    return figure
