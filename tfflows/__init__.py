"""Normalizing flows for TensorFlow, Keras 3 and TensorFlow Probability."""

import importlib

__version__ = "0.1.0"

_MODULES = [
    "bijectors",
    "checks",
    "data",
    "distributions",
    "edit",
    "evaluate",
    "export",
    "flows",
    "layers",
    "model",
    "networks",
    "ode",
    "plots",
    "random",
    "training",
    "transformers",
]


def __getattr__(name):
    # TensorFlow takes seconds to import; the command line's --help should not wait for it.
    if name in _MODULES:
        return importlib.import_module(f"tfflows.{name}")
    if not name.startswith("_") or name == "__all__":
        flows = importlib.import_module("tfflows.flows")
        public = [*flows.FLOWS, "HybridClassifier"]
        if name == "__all__":
            return [*public, *_MODULES, "__version__"]
        if name in public:
            return getattr(flows, name)
    raise AttributeError(f"module 'tfflows' has no attribute {name!r}")
