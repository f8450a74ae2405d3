"""Keras layers that condition invertible layers."""

from tfflows.networks.mlp import MLP, ResidualMLP

__all__ = ["MLP", "ResidualMLP"]
