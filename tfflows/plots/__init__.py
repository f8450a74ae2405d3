"""Pictures and films of flows and autoencoders: samples, densities, layers, training, latents."""

from tfflows.plots.calibration import figure_of_calibration, save_calibration
from tfflows.plots.curves import figure_of_curves, save_curves
from tfflows.plots.deformation import (
    figure_of_deformation,
    figures_of_deformation,
    save_deformation,
)
from tfflows.plots.films import Film, save_film
from tfflows.plots.images import figure_of_rows, image_grid, save_rows
from tfflows.plots.jacobians import figure_of_jacobian, save_jacobian
from tfflows.plots.latents import figure_of_latents, save_latents
from tfflows.plots.levels import figure_of_levels, save_levels
from tfflows.plots.masks import figure_of_masks, save_masks
from tfflows.plots.samples import can_draw, figure_of_samples, save_samples
from tfflows.plots.trajectories import figure_of_trajectory, figures_of_trajectory, save_trajectory

__all__ = [
    "Film",
    "can_draw",
    "figure_of_calibration",
    "figure_of_curves",
    "figure_of_deformation",
    "figure_of_jacobian",
    "figure_of_latents",
    "figure_of_levels",
    "figure_of_masks",
    "figure_of_rows",
    "figure_of_samples",
    "figure_of_trajectory",
    "figures_of_deformation",
    "figures_of_trajectory",
    "image_grid",
    "save_calibration",
    "save_curves",
    "save_deformation",
    "save_film",
    "save_jacobian",
    "save_latents",
    "save_levels",
    "save_masks",
    "save_rows",
    "save_samples",
    "save_trajectory",
]
