"""Keras layers that condition invertible layers."""

from tfflows.networks.conv import ConvNetwork, PriorConvolution, ResidualConvNetwork
from tfflows.networks.mlp import MLP, ResidualMLP

__all__ = ["MLP", "ConvNetwork", "PriorConvolution", "ResidualConvNetwork", "ResidualMLP"]
