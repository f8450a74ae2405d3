"""Data sets to train and measure flows on: toy densities, small images, tables, your own files."""

import importlib

from tfflows.data import simulators, toy
from tfflows.data.arrays import reduce_bits
from tfflows.data.dataset import Dataset, Split
from tfflows.data.loaders import load, names

__all__ = [
    "Dataset",
    "Split",
    "Table",
    "impute",
    "load",
    "names",
    "reduce_bits",
    "simulators",
    "targets",
    "toy",
]
_OF_FLOWS = {"Table": "table", "impute": "imputation"}


def __getattr__(name):
    # They know flows, or TensorFlow, which takes seconds to import.
    if name == "targets":
        return importlib.import_module("tfflows.data.targets")
    if name in _OF_FLOWS:
        return getattr(importlib.import_module(f"tfflows.data.{_OF_FLOWS[name]}"), name)
    raise AttributeError(f"module 'tfflows.data' has no attribute {name!r}")
