"""Pictures of how well a conditional flow is calibrated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from tfflows.plots.files import save

if TYPE_CHECKING:
    from tfflows.evaluate import Calibration


def figure_of_calibration(calibration: Calibration) -> Figure:
    """Picture of the coverage of each level, with the band of what chance alone makes.

    One line for each number of x, of its central intervals, and one for the regions of highest
    density. A line below the diagonal says that the flow is too sure of itself.

    Args:
        calibration: what `tfflows.evaluate.calibration` found.

    Example:
        >>> ranks = np.random.default_rng(0).integers(100, size=(500, 2))
        >>> calibration = tfflows.evaluate.Calibration(ranks, ranks[:, 0], num_draws=99)
        >>> figure = tfflows.plots.figure_of_calibration(calibration)
        >>> [line.get_label() for line in figure.axes[0].lines[:3]]
        ['x[0]', 'x[1]', 'highest density']
    """
    levels = np.linspace(0.0, 1.0, 101)
    figure = Figure(figsize=(4.6, 4.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    by_number = np.stack([calibration.coverage(level) for level in levels], axis=1)
    for i, coverage in enumerate(by_number):
        axes.plot(levels, coverage, linewidth=1, alpha=0.8, label=f"x[{i}]")
    by_density = [calibration.density_coverage(level) for level in levels]
    axes.plot(levels, by_density, color="black", label="highest density")
    axes.plot([0, 1], [0, 1], color="gray", linestyle=":")
    band = calibration.band()
    axes.fill_between(levels, levels - band, levels + band, color="gray", alpha=0.2, linewidth=0)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="level", ylabel="share of true x within it")
    if len(by_number) <= 10:
        axes.legend(fontsize="small")
    return figure


def save_calibration(calibration: Calibration, path: str | os.PathLike) -> Path:
    """Write `figure_of_calibration(calibration)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return save(figure_of_calibration(calibration), path)
