"""Pictures of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from tfflows.plots.files import save


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
    return save(figure_of_curves(rows), path)
