"""Training from recipes."""

from tfflows.training.callbacks import Progress, SampleGrid
from tfflows.training.recipe import Recipe
from tfflows.training.train import train

__all__ = ["Progress", "Recipe", "SampleGrid", "train"]
