"""Distributions around a flow: of the noise within pixels."""

from tfflows.distributions.dequantization import VariationalDequantizer, dequantize, quantize

__all__ = ["VariationalDequantizer", "dequantize", "quantize"]
