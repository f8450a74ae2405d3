"""Training from recipes."""

from tfflows.training.batches import training_batches
from tfflows.training.callbacks import (
    Backup,
    BestWeights,
    DivergedError,
    DriftMonitor,
    Progress,
    SampleGrid,
    StopOnDivergence,
)
from tfflows.training.distribution import is_chief, set_workers, strategy
from tfflows.training.optimizer import FusedAdamW
from tfflows.training.recipe import Recipe
from tfflows.training.schedule import WarmupHoldDecay
from tfflows.training.train import train

__all__ = [
    "Backup",
    "BestWeights",
    "DivergedError",
    "DriftMonitor",
    "FusedAdamW",
    "Progress",
    "Recipe",
    "SampleGrid",
    "StopOnDivergence",
    "WarmupHoldDecay",
    "is_chief",
    "set_workers",
    "strategy",
    "train",
    "training_batches",
]
