"""What one does with the latent space of a trained flow, and a check that it remembers no image."""

from tfflows.edit.inpainting import inpaint
from tfflows.edit.latent import (
    attribute_direction,
    interpolate,
    manipulate,
    multiscale_of,
    reconstruct,
    sample,
    spherical_path,
)
from tfflows.edit.neighbours import nearest_neighbours

__all__ = [
    "attribute_direction",
    "inpaint",
    "interpolate",
    "manipulate",
    "multiscale_of",
    "nearest_neighbours",
    "reconstruct",
    "sample",
    "spherical_path",
]
