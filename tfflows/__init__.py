"""Normalizing flows for TensorFlow, Keras 3 and TensorFlow Probability."""

import importlib

__version__ = "0.1.0"

_ATTRIBUTES = {
    "FFJORD": "tfflows.flows",
    "Flow": "tfflows.flow",
    "Glow": "tfflows.flows",
    "HybridClassifier": "tfflows.hybrid",
    "IResNet": "tfflows.flows",
    "ImageRealNVP": "tfflows.flows",
    "NICE": "tfflows.flows",
    "RealNVP": "tfflows.flows",
    "ResidualFlow": "tfflows.flows",
}
_MODULES = [
    "bijectors",
    "checks",
    "counter_random",
    "data",
    "dequantization",
    "edit",
    "evaluate",
    "export",
    "flows",
    "formats",
    "hybrid",
    "layers",
    "networks",
    "ode",
    "plots",
    "seeds",
    "signatures",
    "training",
    "transformers",
    "warmup",
]

__all__ = [*_ATTRIBUTES, *_MODULES, "__version__"]


def __getattr__(name):
    # TensorFlow takes seconds to import; the command line's --help should not wait for it.
    if name in _ATTRIBUTES:
        return getattr(importlib.import_module(_ATTRIBUTES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"tfflows.{name}")
    raise AttributeError(f"module 'tfflows' has no attribute {name!r}")
