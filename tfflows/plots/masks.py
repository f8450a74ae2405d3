"""Pictures of the masks of couplings."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tfflows.flow import Flow
from tfflows.layers import Coupling
from tfflows.layers.parts import layers_of_kind
from tfflows.plots.files import save

_COLUMNS = 8


def figure_of_masks(flow: Flow) -> Figure:
    """Picture of which values condition (dark) and which are transformed, coupling by coupling.

    One panel for each coupling, base first: the pixels of a checkerboard, else the entries of its
    event's last axis, as the layers before it have ordered them.

    Args:
        flow: one with couplings.

    Raises:
        ValueError: if there are none.

    Example:
        >>> flow = tfflows.RealNVP((4,), num_couplings=2, hidden=(8,))
        >>> figure = tfflows.plots.figure_of_masks(flow)
        >>> [panel.images[0].get_array().astype(int).tolist() for panel in figure.axes]
        [[[1, 0, 1, 0]], [[0, 1, 0, 1]]]
    """
    couplings = layers_of_kind(flow.transform, Coupling)
    if not couplings:
        raise ValueError(
            f"Masks are drawn of couplings, but {type(flow).__name__} has none; what its layers "
            "depend on shows in tfflows.plots.figure_of_jacobian."
        )
    columns = min(_COLUMNS, len(couplings))
    rows = math.ceil(len(couplings) / columns)
    figure = Figure(figsize=(1.5 * columns, 1.5 * rows), dpi=100, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for i, (panel, coupling) in enumerate(zip(panels, couplings, strict=False)):
        mask = np.atleast_2d(np.squeeze(coupling.conditions))
        panel.imshow(mask, cmap="Greys", vmin=-0.2, vmax=1.2, interpolation="nearest")
        panel.set(xticks=[], yticks=[])
        panel.set_title(f"coupling {i + 1}", size="small")
    for panel in [*figure.axes][len(couplings) :]:
        panel.remove()
    return figure


def save_masks(flow: Flow, path: str | os.PathLike) -> Path:
    """Write `figure_of_masks(flow)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return save(figure_of_masks(flow), path)
