"""Flows by name: each is a `tfflows.Flow` that a handful of hyper-parameters describe."""

from tfflows.flows.nice import NICE
from tfflows.flows.realnvp import RealNVP

__all__ = ["NICE", "RealNVP"]
