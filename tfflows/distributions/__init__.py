"""Distributions around a flow: of its latents, and of the noise within pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfflows.distributions.bases import Base
from tfflows.distributions.dequantization import VariationalDequantizer, dequantize, quantize
from tfflows.distributions.levels import PerLevel
from tfflows.distributions.mixtures import GaussianMixture
from tfflows.distributions.standard import Logistic, Normal, StudentT
from tfflows.distributions.wrapped import DistributionBase

if TYPE_CHECKING:
    from tfflows.distributions.of_flow import FlowDistribution

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


def __getattr__(name):
    # One of TFP's classes, which take a second to load.
    if name == "FlowDistribution":
        from tfflows.distributions.of_flow import FlowDistribution

        return FlowDistribution
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
