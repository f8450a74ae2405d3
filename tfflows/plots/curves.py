"""Pictures of training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tfflows.plots.files import save


def figure_of_curves(rows: Sequence[dict[str, float]], *others) -> Figure:
    """Picture of the likelihood by epoch, on training and validation data.

    Flows that solve differential equations have a second panel, with the evaluations of their
    network (`nfe`), which the stiffness of what they learn makes grow. Of several runs, such as
    those of other seeds, lines are means, and bars their standard errors.

    Args:
        rows: one for each epoch, with `val_nll`, and `nll` if that was trained; for images
            `bits_per_dim` in their place.
        others: the rows of other runs of as many epochs.

    Raises:
        ValueError: for runs of different numbers of epochs.

    Example:
        >>> rows = [{"nll": 3.0, "val_nll": 3.1}, {"nll": 2.0, "val_nll": 2.4}]
        >>> [line.get_label() for line in tfflows.plots.figure_of_curves(rows).axes[0].lines]
        ['training', 'validation']
    """
    runs = [rows, *others]
    if len({len(run) for run in runs}) > 1:
        lengths = ", ".join(str(len(run)) for run in runs)
        raise ValueError(f"Runs need as many epochs each, but found runs of {lengths}.")
    name = "bits_per_dim" if "val_bits_per_dim" in rows[0] else "nll"
    has_solves = "nfe" in rows[0]
    figure = Figure(figsize=(5.2, 3.4 + 1.6 * has_solves), dpi=100, layout="constrained")
    ratios = [2, 1][: 1 + has_solves]
    panels = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for key, label in ((name, "training"), (f"val_{name}", "validation")):
        _draw(panels[0], runs, key, label)
    panels[0].set_ylabel("bits per dimension" if "bits" in name else "nats")
    panels[0].legend()
    if has_solves:
        _draw(panels[1], runs, "nfe", "evaluations")
        panels[1].set_ylabel("evaluations")
    panels[-1].set_xlabel("epoch")
    return figure


def _draw(panel, runs, key, label) -> None:
    if key not in runs[0][0]:
        return
    values = np.array([[row[key] for row in run] for run in runs])
    epochs, means = np.arange(1, values.shape[1] + 1), values.mean(axis=0)
    if len(runs) == 1:
        panel.plot(epochs, means, marker=".", label=label)
    else:
        errors = values.std(axis=0, ddof=1) / np.sqrt(len(runs))
        panel.errorbar(epochs, means, errors, marker=".", capsize=2, label=label)


def save_curves(path: str | os.PathLike, rows: Sequence[dict[str, float]], *others) -> Path:
    """Write `figure_of_curves(rows, *others)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return save(figure_of_curves(rows, *others), path)
