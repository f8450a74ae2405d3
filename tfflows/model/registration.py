"""Keras finds tfflows' classes by name in a process that has not used them yet.

This imports neither TensorFlow nor Keras: the lookup waits until somebody else imports Keras.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.util
import sys

_LOOKUP = "keras.src.saving.object_registration"
# Whose import registers all that a file may name; the last ones load TFP, which takes a second.
_ROOMS = (
    *("flows", "layers", "networks", "transformers", "distributions", "ode", "training"),
    *("vae", "bijectors"),
)


def register_lazily():
    """Let Keras's lookup of a `tfflows>Name` import what registers it, in this process.

    Keras knows registered classes only, and has no hook for those of a package that is not imported
    as a whole.

    Example:
        >>> keras.saving.get_registered_object("tfflows>RealNVP") is tfflows.RealNVP
        True
    """
    if _LOOKUP in sys.modules:
        _extend(sys.modules[_LOOKUP])
    else:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Extends the lookup as soon as Keras is imported."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != _LOOKUP:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            _extend(module)

        spec.loader.exec_module = exec_module
        return spec


def _extend(module):
    find = module.get_registered_object

    @functools.wraps(find)
    def get_registered_object(name, *args, **kwargs):
        found = find(name, *args, **kwargs)
        if isinstance(name, str) and name.startswith("tfflows>"):
            for room in _ROOMS:
                if found is not None:
                    break
                importlib.import_module(f"tfflows.{room}")
                found = find(name, *args, **kwargs)
        return found

    module.get_registered_object = get_registered_object
