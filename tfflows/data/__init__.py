"""Data sets to train and measure flows on: toy densities, small images, tables, your own files."""

import importlib

from tfflows.data import toy
from tfflows.data.arrays import reduce_bits
from tfflows.data.dataset import Dataset, Split
from tfflows.data.loaders import load, names

__all__ = ["Dataset", "Split", "Table", "load", "names", "reduce_bits", "toy"]


def __getattr__(name):
    # It knows flows, and with them TensorFlow, which takes seconds to import.
    if name == "Table":
        return importlib.import_module("tfflows.data.table").Table
    raise AttributeError(f"module 'tfflows.data' has no attribute {name!r}")
