"""Pictures of what each layer of a flow does to the plane."""

from __future__ import annotations

from collections.abc import Sequence
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
    if flow.event_shape != (2,) or flow.is_conditional:
        raise ValueError(
            "The deformation of a plane is drawn of an unconditional flow of 2-D points, but found "
            f"{type(flow).__name__} of event shape {flow.event_shape}."
        )
    if panels < 2:
        raise ValueError(f"panels must be at least 2, but found {panels}.")
    layers = _layers_of([flow.transform])
    shown = np.unique(np.linspace(0, len(layers), panels).astype(int))
    figure = Figure(figsize=(2.4 * len(shown), 2.6), dpi=100, layout="constrained")
    for panel, count in zip(figure.subplots(1, len(shown)), shown, strict=True):
        title = f"after layer {count} of {len(layers)}"
        panel.set_title({0: "base", len(layers): "data"}.get(count, title), size="medium")
        panel.set(xticks=[], yticks=[])
        for i, line in enumerate(_mapped(layers[:count], flow.compute_dtype)):
            panel.plot(*line.T, linewidth=0.7, color="C0" if i < _LINES else "C1")
    return figure


def save_deformation(flow: Flow, path, **kwargs) -> Path:
    """Write `figure_of_deformation(flow, **kwargs)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return save(figure_of_deformation(flow, **kwargs), path)


def _layers_of(layers: Sequence) -> list:
    """Layers base first, of a stack its steps, without those that only hold others."""
    flat = []
    for layer in layers:
        if isinstance(layer, (Chain, Stack)):
            flat += _layers_of(layer.layers if isinstance(layer, Chain) else layer.steps)
        else:
            flat.append(layer)
    return flat


def _mapped(layers, dtype):
    """Lines of the grid, `[2 * _LINES, _POINTS, 2]`: first those along one axis."""
    along, across = np.linspace(-_EXTENT, _EXTENT, _POINTS), np.linspace(-_EXTENT, _EXTENT, _LINES)
    lines = np.stack(np.broadcast_arrays(along, across[:, np.newaxis]), -1)
    points = np.concatenate([lines, lines[..., ::-1]]).reshape(-1, 2)
    points = tf.constant(points, dtype)
    for layer in layers:
        points, _ = layer.forward_and_log_det(points)
    return np.reshape(points, (2 * _LINES, _POINTS, 2))
