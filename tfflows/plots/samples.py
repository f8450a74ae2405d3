"""Pictures of samples: grids of images, or points of the plane beside their density."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tfflows import edit
from tfflows.distributions.dequantization import quantize
from tfflows.flow import Flow
from tfflows.plots.files import save
from tfflows.plots.images import figure_of_grid, image_grid


def figure_of_samples(
    flow: Flow,
    n: int | None = None,
    temperature: float | Sequence[float] = 1.0,
    seed: ArrayLike = 0,
    context: ArrayLike | None = None,
    limits: Sequence[Sequence[float]] | None = None,
) -> Figure:
    """Picture of n samples: a grid of images, or 2-D samples beside the density's heat map.

    Args:
        flow: an image flow (event shape `(h, w, 1)` or `(h, w, 3)`) or a 2-D one.
        n: number of samples, by default 100 images or 2,000 points.
        temperature, seed, context: as for `tfflows.edit.sample`; without a context, the samples of
            a class-conditional flow go through the classes, one column for each.
        limits: the part of the plane that is shown, `[[left, right], [bottom, top]]`; by default
            that of nearly all samples.

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
    samples = edit.sample(flow, n, temperature, seed, context).numpy()
    if is_2d:
        return _figure_2d(flow, samples, limits)
    num_bits = flow.num_bits or 8
    grid = image_grid(quantize(samples, num_bits) / (2**num_bits - 1), columns)
    return figure_of_grid(grid, max(1, round(480 / grid.shape[1])))


def can_draw(flow: Flow) -> bool:
    """Whether a flow's events are grey or RGB images, or 2-D points without a context."""
    if flow.event_shape == (2,):
        return not flow.is_conditional
    return len(flow.event_shape) == 3 and flow.event_shape[-1] in (1, 3)


def save_samples(flow: Flow, path: str | os.PathLike, **kwargs) -> Path:
    """Write `figure_of_samples(flow, **kwargs)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return save(figure_of_samples(flow, **kwargs), path)


def _figure_2d(flow: Flow, samples: np.ndarray, limits) -> Figure:
    if limits is None:
        # Nearly all samples, with a margin; a few far away would make the rest a dot.
        low, high = np.percentile(samples, [0.5, 99.5], axis=0)
        margin = 0.1 * (high - low)
        limits = np.stack([low - margin, high + margin], axis=-1)
    (left, right), (bottom, top) = limits
    size = 200
    grid = np.meshgrid(np.linspace(left, right, size), np.linspace(bottom, top, size))
    points = np.stack(grid, -1).reshape(-1, 2).astype(flow.compute_dtype)
    density = np.exp(_log_density(flow, points)).reshape(size, size)
    figure = Figure(figsize=(8.4, 4.2), dpi=100, layout="constrained")
    heat_map, scatter = figure.subplots(1, 2)
    heat_map.imshow(
        np.nan_to_num(density),
        origin="lower",
        extent=(left, right, bottom, top),
        aspect="auto",
        cmap="viridis",
    )
    heat_map.set_title("density")
    scatter.scatter(*samples.T, s=2, alpha=0.6, linewidths=0)
    scatter.set(xlim=(left, right), ylim=(bottom, top))
    scatter.set_title(f"{len(samples)} samples")
    return figure


def _log_density(flow: Flow, points: np.ndarray) -> np.ndarray:
    """As `flow.log_prob`, but NaN or -inf for points outside of the support, which that refuses."""

    def log_density(points):
        z, log_det = flow.transform.inverse_and_log_det(points)
        return flow.base.log_prob(z) + log_det

    # A graph, which is many times faster for flows that iterate.
    graph = tf.function(log_density, autograph=False)
    # Called like this, TensorFlow does not count a trace for each picture as a mistake.
    return graph.get_concrete_function(tf.constant(points))(tf.constant(points)).numpy()
