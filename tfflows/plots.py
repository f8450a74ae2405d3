"""Pictures of flows: sample grids and 2-D densities."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tfflows.dequantization import quantize
from tfflows.flow import Flow

HEAT_MAP_LIMIT = 4.0


def image_grid(images, columns: int | None = None, padding: int = 1) -> np.ndarray:
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


def figure_of_samples(
    flow: Flow, n: int | None = None, temperature: float = 1.0, seed=0, context=None
) -> Figure:
    """Picture of n samples: a grid of images, or 2-D samples beside the density's heat map.

    Args:
        flow: an image flow (event shape `(h, w, 1)` or `(h, w, 3)`) or a 2-D one.
        n: number of samples, by default 100 images or 2,000 points.
        temperature, seed, context: as for `Flow.sample`; without a context, the samples of a
            class-conditional flow go through the classes, one column for each.

    Raises:
        ValueError: if the flow's events are neither images nor 2-D points.
    """
    if not can_draw(flow):
        raise ValueError(
            "Only images and unconditional 2-D points can be drawn, but the flow's events have "
            f"shape {flow.event_shape}."
        )
    is_2d = flow.event_shape == (2,)
    if n is None:
        n = 2000 if is_2d else 100
    columns = None
    if flow.num_classes is not None and context is None:
        columns = flow.num_classes
        context = np.arange(n) % flow.num_classes
    samples = flow.sample(n, temperature, seed, context).numpy()
    if is_2d:
        return _figure_2d(flow, samples)
    num_bits = flow.num_bits or 8
    grid = image_grid(quantize(samples, num_bits) / (2**num_bits - 1), columns)
    scale = max(1, round(480 / grid.shape[1]))
    figure = Figure(figsize=(scale * grid.shape[1] / 100, scale * grid.shape[0] / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.repeat(grid, 4 - grid.shape[-1], axis=-1)[..., :3], interpolation="nearest")
    axes.set_axis_off()
    return figure


def can_draw(flow: Flow) -> bool:
    """Whether a flow's events are grey or RGB images, or 2-D points without a context."""
    if flow.event_shape == (2,):
        return not flow.is_conditional
    return len(flow.event_shape) == 3 and flow.event_shape[-1] in (1, 3)


def save_samples(flow: Flow, path, **kwargs) -> Path:
    """Write `figure_of_samples(flow, **kwargs)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    path = Path(path)
    figure = figure_of_samples(flow, **kwargs)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise OSError(f"Cannot write the picture {path}: {error.strerror or error}.") from error
    return path


def _figure_2d(flow: Flow, samples: np.ndarray) -> Figure:
    limit, size = HEAT_MAP_LIMIT, 200
    axis = np.linspace(-limit, limit, size, dtype="float32")
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    density = np.exp(flow.log_prob(points).numpy()).reshape(size, size)
    figure = Figure(figsize=(8.4, 4.2), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(density, origin="lower", extent=[-limit, limit, -limit, limit], cmap="viridis")
    left.set_title("density")
    right.scatter(*samples.T, s=2, alpha=0.6, linewidths=0)
    right.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    right.set_title(f"{len(samples)} samples")
    return figure
