"""Pictures of flows and autoencoders: samples, 2-D densities, training, latents, calibration."""

from tfflows.plots.calibration import figure_of_calibration, save_calibration
from tfflows.plots.curves import figure_of_curves, save_curves
from tfflows.plots.deformation import figure_of_deformation, save_deformation
from tfflows.plots.images import figure_of_rows, image_grid, save_rows
from tfflows.plots.latents import figure_of_latents, save_latents
from tfflows.plots.samples import can_draw, figure_of_samples, save_samples
from tfflows.plots.trajectories import figure_of_trajectory, save_trajectory

__all__ = [
    "can_draw",
    "figure_of_calibration",
    "figure_of_curves",
    "figure_of_deformation",
    "figure_of_latents",
    "figure_of_rows",
    "figure_of_samples",
    "figure_of_trajectory",
    "image_grid",
    "save_calibration",
    "save_curves",
    "save_deformation",
    "save_latents",
    "save_rows",
    "save_samples",
    "save_trajectory",
]
