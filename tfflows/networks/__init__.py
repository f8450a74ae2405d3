"""Keras layers that condition invertible layers."""

from tfflows.networks.conv import ConvNetwork, PriorConvolution, ResidualConvNetwork
from tfflows.networks.lipschitz import LipschitzConv2D, LipschitzDense, LipschitzNetwork
from tfflows.networks.mlp import MLP, ResidualMLP

__all__ = [
    "MLP",
    "ConvNetwork",
    "LipschitzConv2D",
    "LipschitzDense",
    "LipschitzNetwork",
    "PriorConvolution",
    "ResidualConvNetwork",
    "ResidualMLP",
]
