"""Training from recipes."""

from tfflows.model import losses
from tfflows.model.reverse_kl import ReverseKL
from tfflows.training.batches import training_batches
from tfflows.training.callbacks import Backup, BestWeights, Progress, SampleGrid
from tfflows.training.distribution import is_chief, set_workers, strategy
from tfflows.training.monitors import (
    DivergedError,
    DriftMonitor,
    GradientNorm,
    LatentHistogram,
    LipschitzBound,
    Patience,
    StopOnDivergence,
)
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
    "GradientNorm",
    "LatentHistogram",
    "LipschitzBound",
    "Patience",
    "Progress",
    "Recipe",
    "ReverseKL",
    "SampleGrid",
    "StopOnDivergence",
    "WarmupHoldDecay",
    "is_chief",
    "losses",
    "set_workers",
    "strategy",
    "train",
    "training_batches",
]
