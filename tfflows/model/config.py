"""A model's configuration, taken from its constructor's arguments."""

from __future__ import annotations

import inspect

import keras
import numpy as np


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
    return value
