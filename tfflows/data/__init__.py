"""Data sets to train and measure flows on: toy densities, small images, your own files."""

from tfflows.data import toy
from tfflows.data.arrays import reduce_bits
from tfflows.data.dataset import Dataset, Split
from tfflows.data.loaders import load, names

__all__ = ["Dataset", "Split", "load", "names", "reduce_bits", "toy"]
