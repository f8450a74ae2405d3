"""Pictures of flows and autoencoders: sample grids, rows of images, 2-D densities, latents."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from tfflows import edit
from tfflows.distributions.dequantization import quantize
from tfflows.flow import Flow
from tfflows.random.seeds import stateless_seed
from tfflows.vae import VAE

# Pixels that a letter of a label is wide, or a little more.
_LETTER = 7


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
    flow: Flow,
    n: int | None = None,
    temperature: float | Sequence[float] = 1.0,
    seed=0,
    context=None,
) -> Figure:
    """Picture of n samples: a grid of images, or 2-D samples beside the density's heat map.

    Args:
        flow: an image flow (event shape `(h, w, 1)` or `(h, w, 3)`) or a 2-D one.
        n: number of samples, by default 100 images or 2,000 points.
        temperature, seed, context: as for `tfflows.edit.sample`; without a context, the samples of
            a class-conditional flow go through the classes, one column for each.

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
        return _figure_2d(flow, samples)
    num_bits = flow.num_bits or 8
    grid = image_grid(quantize(samples, num_bits) / (2**num_bits - 1), columns)
    return _figure_of_grid(grid, max(1, round(480 / grid.shape[1])))


def figure_of_rows(
    images,
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
    figure = _figure_of_grid(grid, scale, left, top)
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


def _figure_of_grid(grid: np.ndarray, scale: int, left: int = 0, top: int = 0) -> Figure:
    """A grid of images, each pixel `scale` pixels wide, with margins of `left` and `top` pixels."""
    height, width = scale * grid.shape[0], scale * grid.shape[1]
    figure = Figure(figsize=((left + width) / 100, (top + height) / 100), dpi=100)
    corner = left / (left + width), 0
    axes = figure.add_axes((*corner, width / (left + width), height / (top + height)))
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
    return _save(figure_of_samples(flow, **kwargs), Path(path))


def save_rows(path, images, **kwargs) -> Path:
    """Write `figure_of_rows(images, **kwargs)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return _save(figure_of_rows(images, **kwargs), Path(path))


def figure_of_curves(rows: Sequence[dict[str, float]]) -> Figure:
    """Picture of the likelihood by epoch, on training and validation data.

    Args:
        rows: one for each epoch, with `val_nll`, and `nll` if that was trained; for images
            `bits_per_dim` in their place.

    Example:
        >>> rows = [{"nll": 3.0, "val_nll": 3.1}, {"nll": 2.0, "val_nll": 2.4}]
        >>> [line.get_label() for line in tfflows.plots.figure_of_curves(rows).axes[0].lines]
        ['training', 'validation']
    """
    name = "bits_per_dim" if "val_bits_per_dim" in rows[0] else "nll"
    figure = Figure(figsize=(5.2, 3.4), dpi=100, layout="constrained")
    axes = figure.subplots()
    epochs = range(1, len(rows) + 1)
    for key, label in ((name, "training"), (f"val_{name}", "validation")):
        if key in rows[0]:
            axes.plot(epochs, [row[key] for row in rows], marker=".", label=label)
    axes.set(xlabel="epoch", ylabel="bits per dimension" if "bits" in name else "nats")
    axes.legend()
    return figure


def save_curves(path, rows: Sequence[dict[str, float]]) -> Path:
    """Write `figure_of_curves(rows)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return _save(figure_of_curves(rows), Path(path))


def _save(figure: Figure, path: Path) -> Path:
    unfinished = path.parent / f"unfinished.{path.name}"
    try:
        figure.savefig(unfinished, format="png")
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise OSError(f"Cannot write the picture {path}: {error.strerror or error}.") from error
    return path


def figure_of_trajectory(
    flow: Flow, n: int = 1000, times: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0), seed=0
) -> Figure:
    """Picture of n samples of a 2-D continuous flow on their way from the base to the data.

    Args:
        flow: a `tfflows.FFJORD` of 2-D points, without a context.
        n: number of samples.
        times: one panel each, rising in [0, 1].
        seed: of the samples.

    Raises:
        ValueError: if the flow has no trajectories, or its events are not 2-D points.

    Example:
        >>> flow = tfflows.FFJORD(event_shape=(2,), hidden=(8,))
        >>> len(tfflows.plots.figure_of_trajectory(flow, n=10, times=[0.0, 1.0]).axes)
        2
    """
    if not hasattr(flow, "trajectory") or flow.event_shape != (2,) or flow.is_conditional:
        raise ValueError(
            "A trajectory is drawn of an unconditional continuous flow of 2-D points, but found "
            f"{type(flow).__name__} of event shape {flow.event_shape}."
        )
    path = flow.trajectory(flow.base.sample(n, seed=stateless_seed(seed)), times).numpy()
    low, high = np.percentile(path.reshape(-1, 2), [0.2, 99.8], axis=0)
    margin = 0.1 * (high - low)
    (left, bottom), (right, top) = low - margin, high + margin
    figure = Figure(figsize=(2.4 * len(times), 2.6), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(times), squeeze=False)[0]
    for panel, points, time in zip(panels, path, times, strict=True):
        panel.scatter(*points.T, s=2, alpha=0.6, linewidths=0)
        panel.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
        panel.set_title(f"t = {time:g}")
    return figure


def save_trajectory(flow: Flow, path, **kwargs) -> Path:
    """Write `figure_of_trajectory(flow, **kwargs)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return _save(figure_of_trajectory(flow, **kwargs), Path(path))


def figure_of_latents(vae: VAE, x, seed=0) -> Figure:
    """Picture of the aggregated posterior beside the prior: where the two differ is a hole.

    One panel has a draw of q(z|x) for each x, the other as many of the prior, both in the two
    dimensions in which the posterior's centres vary most over x.

    Args:
        vae: a `tfflows.VAE` of at least 2 latent dimensions.
        x: `[n, *event_shape]`.
        seed: of the draws.

    Raises:
        ValueError: if there is one latent dimension, and as `VAE.encode` does.

    Example:
        >>> vae = tfflows.VAE((4,), latent_dim=3)
        >>> figure = tfflows.plots.figure_of_latents(vae, np.eye(4, dtype=int))
        >>> [panel.get_title() for panel in figure.axes]
        ['aggregated posterior', 'prior']
    """
    if vae.latent_dim < 2:
        raise ValueError(
            f"Latents are drawn in two dimensions, but {vae.name} has latent_dim={vae.latent_dim}."
        )
    variances = np.var(vae.encode(x, batch_size=500), axis=0)
    dims = np.sort(np.argsort(variances)[-2:])
    posterior = vae.encode(x, seed, batch_size=500).numpy()[:, dims]
    prior = vae.sample_latents(len(posterior), seed=seed).numpy()[:, dims]
    figure = Figure(figsize=(8.4, 4.2), dpi=100, layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, points, title in zip(
        panels, (posterior, prior), ("aggregated posterior", "prior"), strict=True
    ):
        panel.scatter(*points.T, s=2, alpha=0.6, linewidths=0)
        panel.set(title=title, xlabel=f"z[{dims[0]}]", ylabel=f"z[{dims[1]}]")
    return figure


def save_latents(vae: VAE, path, x, seed=0) -> Path:
    """Write `figure_of_latents(vae, x, seed)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return _save(figure_of_latents(vae, x, seed), Path(path))


def _log_density(flow: Flow, points: np.ndarray) -> np.ndarray:
    """As `flow.log_prob`, but NaN or -inf for points outside of the support, which that refuses."""

    def log_density(points):
        z, log_det = flow.transform.inverse_and_log_det(points)
        return flow.base.log_prob(z) + log_det

    # A graph, which is many times faster for flows that iterate.
    graph = tf.function(log_density, autograph=False)
    # Called like this, TensorFlow does not count a trace for each picture as a mistake.
    return graph.get_concrete_function(tf.constant(points))(tf.constant(points)).numpy()


def _figure_2d(flow: Flow, samples: np.ndarray) -> Figure:
    # Nearly all samples, with a margin; a few far away would make the rest a dot.
    low, high = np.percentile(samples, [0.5, 99.5], axis=0)
    margin = 0.1 * (high - low)
    (left, bottom), (right, top) = low - margin, high + margin
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
