"""Pictures of points on their way from the base to the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tfflows.flow import Flow
from tfflows.plots.files import save
from tfflows.random.seeds import stateless_seed


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
    return save(figure_of_trajectory(flow, **kwargs), path)
