"""Invertible Keras layers."""

from tfflows.layers.base import DataDependentLayer, InvertibleLayer
from tfflows.layers.chain import Chain
from tfflows.layers.coupling import AdditiveCoupling, AffineCoupling, Coupling, coupling_mask
from tfflows.layers.permutation import Permutation, Reverse
from tfflows.layers.preprocessing import Logit, Rescaling, Reshape
from tfflows.layers.scale import Scale, Standardize

__all__ = [
    "AdditiveCoupling",
    "AffineCoupling",
    "Chain",
    "Coupling",
    "DataDependentLayer",
    "InvertibleLayer",
    "Logit",
    "Permutation",
    "Rescaling",
    "Reshape",
    "Reverse",
    "Scale",
    "Standardize",
    "coupling_mask",
]
