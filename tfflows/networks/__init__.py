"""Keras layers that condition invertible layers."""

from tfflows.networks.conv import ConvNetwork, PriorConvolution, ResidualConvNetwork
from tfflows.networks.lipschitz import LipschitzNetwork
from tfflows.networks.lipschitz_layers import LipschitzConv2D, LipschitzDense
from tfflows.networks.masked import MaskedMLP
from tfflows.networks.mlp import MLP, ResidualMLP
from tfflows.networks.periodic import PeriodicFeatures
from tfflows.networks.time_dependent import TimeDependentConvNetwork, TimeDependentMLP

__all__ = [
    "MLP",
    "ConvNetwork",
    "LipschitzConv2D",
    "LipschitzDense",
    "LipschitzNetwork",
    "MaskedMLP",
    "PeriodicFeatures",
    "PriorConvolution",
    "ResidualConvNetwork",
    "ResidualMLP",
    "TimeDependentConvNetwork",
    "TimeDependentMLP",
]
