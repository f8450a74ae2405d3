"""Distributions around a flow: of its latents, and of the noise within pixels."""

from tfflows.distributions.bases import Base
from tfflows.distributions.dequantization import VariationalDequantizer, dequantize, quantize
from tfflows.distributions.levels import PerLevel
from tfflows.distributions.mixtures import GaussianMixture
from tfflows.distributions.of_flow import FlowDistribution
from tfflows.distributions.standard import Logistic, Normal, StudentT
from tfflows.distributions.wrapped import DistributionBase

__all__ = [
    "Base",
    "DistributionBase",
    "FlowDistribution",
    "GaussianMixture",
    "Logistic",
    "Normal",
    "PerLevel",
    "StudentT",
    "VariationalDequantizer",
    "dequantize",
    "quantize",
]
