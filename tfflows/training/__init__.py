"""Training from recipes."""

from tfflows.training.callbacks import BestWeights, Progress, SampleGrid
from tfflows.training.recipe import Recipe
from tfflows.training.train import train

__all__ = ["BestWeights", "Progress", "Recipe", "SampleGrid", "train"]
