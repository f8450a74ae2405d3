"""A model's configuration, taken from its constructor's arguments."""

from __future__ import annotations

import difflib
import inspect
import numbers
import types

import keras
import numpy as np

from tfflows.checks.activations import loadable_function
from tfflows.layers.untracked import Untracked


def arguments_of(constructor, args, kwargs) -> dict:
    """The arguments of a call by name, defaults included, and those of `**kwargs` among them.

    Example:
        >>> from tfflows.model.config import arguments_of
        >>> def constructor(self, event_shape, *, steps=8, **settings): ...
        >>> arguments_of(constructor, [(2,)], {"name": "flow"})
        {'event_shape': (2,), 'steps': 8, 'name': 'flow'}
    """
    signature = inspect.signature(constructor)
    bound = signature.bind(None, *args, **kwargs)
    bound.apply_defaults()
    found = {}
    for name, value in list(bound.arguments.items())[1:]:
        is_rest = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        found |= value if is_rest else {name: value}
    return found


def as_json(value):
    """A constructor's argument as what JSON can hold, and what the constructor takes, too.

    Example:
        >>> from tfflows.model.config import as_json
        >>> as_json((np.int64(2), 0.5, None))
        [2, 0.5, None]
    """
    if isinstance(value, (list, tuple, np.ndarray)):
        return [as_json(part) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "get_config"):
        return keras.saving.serialize_keras_object(value)
    return loadable_function(value) if isinstance(value, types.FunctionType) else value


def _require_known(cls, arguments):
    """Raise `ValueError` for an argument that no constructor of a flow takes."""
    constructors = [kind.__init__ for kind in cls.__mro__ if "__init__" in vars(kind)]
    known = {name for call in constructors for name in inspect.signature(call).parameters}
    known -= {"self", "args", "kwargs"}
    for name in set(arguments) - known:
        near = difflib.get_close_matches(name, known, n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else "."
        own = ", ".join(sorted(inspect.signature(cls.__init__).parameters.keys() - {"self"}))
        raise ValueError(f"{cls.__name__} takes {own}, but found {name!r}{hint}")


class FlowConfig:
    """The part of `Flow` that says how to make it again.

    It knows a flow's `event_shape`, `base_layer`, `num_bits`, `context_dim`, `num_classes`, `name`,
    `memory`, `dequantizer` and `compute_dtype`.
    """

    def __new__(cls, *args, **kwargs):
        flow = super().__new__(cls, *args, **kwargs)
        arguments = arguments_of(cls.__init__, args, kwargs)
        for name in ("event_shape", "hidden"):
            size = arguments.get(name)
            if isinstance(size, numbers.Number):
                raise ValueError(
                    f"{cls.__name__} takes sizes as {name}, such as ({size},), but found the "
                    f"number {size}."
                )
        _require_known(cls, arguments)
        # Layers among them are tracked where the constructor puts them.
        flow._arguments = Untracked(arguments)
        return flow

    def save(self, filepath, *args, **kwargs):
        """Save to a `.keras` file; arguments as for `keras.Model.save`.

        Raises:
            ValueError: for Keras 2's `.h5`, from which no flow could be loaded.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"{self.name} was to be saved as {filepath}, from which Keras could not load it; "
                "give a name that ends with .keras, or use save_weights for a .weights.h5 file."
            )
        return super().save(filepath, *args, **kwargs)

    def export(self, filepath, format="tf_saved_model", verbose=None):
        """Write a SavedModel as `tfflows.export.save` does, or another format.

        Args:
            filepath: the folder of the SavedModel, or of another format's files.
            format: `"tf_saved_model"`, or as for `tfflows.export.formats.save`.
            verbose: Keras's, and of no effect: nothing is printed.

        Raises:
            ValueError, OSError: as these do.
        """
        # Exports know flows.
        from tfflows.export import formats, saved_model

        if format == "tf_saved_model":
            return saved_model.save(self, filepath)
        return formats.save(self, filepath, format)

    def get_config(self):
        """The constructor's arguments, as JSON holds them."""
        arguments = {name: as_json(value) for name, value in self._arguments.value.items()}
        config = {
            **arguments,
            "event_shape": list(self.event_shape),
            "base": self._base_name or as_json(self.base_layer),
            "num_bits": self.num_bits,
            "context_dim": self.context_dim,
            "num_classes": self.num_classes,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
        config.pop("memory", None)
        if self.memory != "store":
            config["memory"] = self.memory
        if self.dequantizer is not None:
            config["dequantizer"] = as_json(self.dequantizer)
        return config

    @classmethod
    def from_config(cls, config):
        """The flow that has this configuration."""
        if "transform" in config:
            transform = keras.saving.deserialize_keras_object(config["transform"])
            config = {**config, "transform": transform}
        return cls(**config)
