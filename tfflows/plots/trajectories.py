"""Pictures of points on their way from the base to the data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tfflows.flow import Flow
from tfflows.plots.files import save
from tfflows.random.seeds import stateless_seed


def figure_of_trajectory(
    flow: Flow,
    n: int = 1000,
    times: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    seed: ArrayLike = 0,
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
    path = _path(flow, n, times, seed)
    figure = Figure(figsize=(2.4 * len(times), 2.6), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(times), squeeze=False)[0]
    for panel, points, time in zip(panels, path, times, strict=True):
        _draw(panel, points, time, path)
    return figure


def figures_of_trajectory(
    flow: Flow, n: int = 1000, frames: int = 50, seed: ArrayLike = 0
) -> Iterator[Figure]:
    """The frames of a film of `figure_of_trajectory`, for `save_film`.

    Args:
        flow: a `tfflows.FFJORD` of 2-D points, without a context.
        n: number of samples.
        frames: number of figures, at least 2, at equal steps of time.
        seed: of the samples.

    Raises:
        ValueError: if the flow has no trajectories, or its events are not 2-D points, or for fewer
            frames than 2.

    Example:
        >>> flow = tfflows.FFJORD(event_shape=(2,), hidden=(8,))
        >>> figures = [*tfflows.plots.figures_of_trajectory(flow, n=10, frames=3)]
        >>> [figure.axes[0].get_title() for figure in figures]
        ['t = 0.00', 't = 0.50', 't = 1.00']
    """
    if frames < 2:
        raise ValueError(f"frames must be at least 2, but found {frames}.")
    times = np.linspace(0.0, 1.0, frames)
    path = _path(flow, n, times, seed)

    def drawn():
        for points, time in zip(path, times, strict=True):
            figure = Figure(figsize=(4.8, 4.8), dpi=100, layout="constrained")
            _draw(figure.subplots(), points, time, path)
            yield figure

    return drawn()


def save_trajectory(flow: Flow, path: str | os.PathLike, **kwargs) -> Path:
    """Write `figure_of_trajectory(flow, **kwargs)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return save(figure_of_trajectory(flow, **kwargs), path)


def _path(flow: Flow, n: int, times: Sequence[float], seed) -> np.ndarray:
    if not hasattr(flow, "trajectory") or flow.event_shape != (2,) or flow.is_conditional:
        raise ValueError(
            "A trajectory is drawn of an unconditional continuous flow of 2-D points, but found "
            f"{type(flow).__name__} of event shape {flow.event_shape}."
        )
    return flow.trajectory(flow.base.sample(n, seed=stateless_seed(seed)), times).numpy()


def _draw(panel, points: np.ndarray, time: float, path: np.ndarray) -> None:
    low, high = np.percentile(path.reshape(-1, 2), [0.2, 99.8], axis=0)
    (left, bottom), (right, top) = low - 0.1 * (high - low), high + 0.1 * (high - low)
    panel.scatter(*points.T, s=2, alpha=0.6, linewidths=0)
    panel.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    panel.set_title(f"t = {time:.2f}")
