"""Pictures of what each layer of a flow does to the plane."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from tfflows.flow import Flow
from tfflows.layers import Chain, Stack
from tfflows.plots.files import save

_LINES, _POINTS, _EXTENT = 17, 200, 2.5


def figure_of_deformation(flow: Flow, panels: int = 6) -> Figure:
    """Picture of a grid of the base's plane on its way through a flow's layers.

    The first panel is the grid itself, the last one what it is in the space of the data. Lines stay
    continuous and never cross, since each layer is invertible and smooth; where they are dense the
    layer contracts, and the density is high.

    Args:
        flow: one of 2-D points, without a context.
        panels: number of them, at least 2; more layers than that are spread over them evenly.

    Raises:
        ValueError: for another flow, or fewer panels.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=4, hidden=(8,))
        >>> figure = tfflows.plots.figure_of_deformation(flow, panels=3)
        >>> [panel.get_title() for panel in figure.axes]
        ['base', 'after layer 1 of 3', 'data']
    """
    layers = _layers_of_plane(flow)
    if panels < 2:
        raise ValueError(f"panels must be at least 2, but found {panels}.")
    stages = _stages(flow, layers)
    shown = np.unique(np.linspace(0, len(layers), panels).astype(int))
    figure = Figure(figsize=(2.4 * len(shown), 2.6), dpi=100, layout="constrained")
    for panel, count in zip(figure.subplots(1, len(shown)), shown, strict=True):
        title = f"after layer {count} of {len(layers)}"
        panel.set_title({0: "base", len(layers): "data"}.get(count, title), size="medium")
        panel.set(xticks=[], yticks=[])
        _draw(panel, stages[count])
    return figure


def figures_of_deformation(flow: Flow, frames_per_layer: int = 10) -> Iterator[Figure]:
    """The frames of a film of `figure_of_deformation`, for `save_film`.

    From one layer to the next points move on straight lines, which is how the film gets there, and
    not what a layer does.

    Args:
        flow: one of 2-D points, without a context.
        frames_per_layer: number of figures between two layers.

    Raises:
        ValueError: for another flow, or fewer frames than 1.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=4, hidden=(8,))
        >>> len([*tfflows.plots.figures_of_deformation(flow, frames_per_layer=5)])
        16
    """
    layers = _layers_of_plane(flow)
    if frames_per_layer < 1:
        raise ValueError(f"frames_per_layer must be at least 1, but found {frames_per_layer}.")
    stages = _stages(flow, layers)
    low, high = np.percentile(stages.reshape(-1, 2), [0.5, 99.5], axis=0)
    (left, bottom), (right, top) = low - 0.1 * (high - low), high + 0.1 * (high - low)

    def frames():
        for frame in range(frames_per_layer * len(layers) + 1):
            count, step = divmod(frame, frames_per_layer)
            share = step / frames_per_layer
            before, after = stages[count], stages[min(count + 1, len(layers))]
            figure = Figure(figsize=(4.8, 4.8), dpi=100, layout="constrained")
            panel = figure.subplots()
            panel.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
            panel.set_title(f"layer {count + (step > 0)} of {len(layers)}")
            _draw(panel, (1 - share) * before + share * after)
            yield figure

    return frames()


def save_deformation(flow: Flow, path: str | os.PathLike, **kwargs) -> Path:
    """Write `figure_of_deformation(flow, **kwargs)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return save(figure_of_deformation(flow, **kwargs), path)


def _layers_of_plane(flow: Flow) -> list:
    if flow.event_shape != (2,) or flow.is_conditional:
        raise ValueError(
            "The deformation of a plane is drawn of an unconditional flow of 2-D points, but found "
            f"{type(flow).__name__} of event shape {flow.event_shape}."
        )
    return _layers_of([flow.transform])


def _layers_of(layers: Sequence) -> list:
    """Layers base first, of a stack its steps, without those that only hold others."""
    flat = []
    for layer in layers:
        if isinstance(layer, (Chain, Stack)):
            flat += _layers_of(layer.layers if isinstance(layer, Chain) else layer.steps)
        else:
            flat.append(layer)
    return flat


def _stages(flow: Flow, layers: Sequence) -> np.ndarray:
    """The grid's lines, those along one axis first, after no layer, one, two, ... and all."""
    along, across = np.linspace(-_EXTENT, _EXTENT, _POINTS), np.linspace(-_EXTENT, _EXTENT, _LINES)
    lines = np.stack(np.broadcast_arrays(along, across[:, np.newaxis]), -1)
    points = np.concatenate([lines, lines[..., ::-1]]).reshape(-1, 2)
    stages = [tf.constant(points, flow.compute_dtype)]
    for layer in layers:
        stages.append(layer.forward_and_log_det(stages[-1])[0])
    return np.reshape(stages, (len(stages), 2 * _LINES, _POINTS, 2))


def _draw(panel, lines: np.ndarray) -> None:
    for i, line in enumerate(lines):
        panel.plot(*line.T, linewidth=0.7, color="C0" if i < _LINES else "C1")
