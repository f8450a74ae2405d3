"""Normalizing flows for TensorFlow, Keras 3 and TensorFlow Probability."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

from tfflows.checks.backend import require_named_backend
from tfflows.model.registration import register_lazily

if TYPE_CHECKING:
    from tfflows.flows import *  # noqa: F403
    from tfflows.vae import VAE  # noqa: F401

__version__ = "0.1.0"

_MODULES = [
    "auditing",
    "bijectors",
    "checks",
    "data",
    "distributions",
    "edit",
    "evaluate",
    "export",
    "flows",
    "inference",
    "layers",
    "model",
    "networks",
    "ode",
    "plots",
    "random",
    "training",
    "transformers",
    "vae",
    "zoo",
]

register_lazily()


def __getattr__(name):
    # TensorFlow takes seconds to import; the command line's --help should not wait for it.
    require_named_backend()
    if name in _MODULES:
        return importlib.import_module(f"tfflows.{name}")
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module 'tfflows' has no attribute {name!r}")
    if name == "VAE":
        return importlib.import_module("tfflows.vae").VAE
    flows = importlib.import_module("tfflows.flows")
    public = [*flows.FLOWS, "HybridClassifier", "VAE"]
    if name == "__all__":
        return [*public, *_MODULES, "__version__"]
    if name in public:
        return getattr(flows, name)
    lower = {candidate.lower(): candidate for candidate in [*public, *_MODULES]}
    near = [lower[match] for match in difflib.get_close_matches(name.lower(), lower)]
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise AttributeError(f"module 'tfflows' has no attribute {name!r}{hint}")


def __dir__():
    return sorted({*globals(), *__getattr__("__all__")})
