"""Activations that a file can name."""

from __future__ import annotations

import types

import keras


def activation_of(activation):
    """The function of an activation, a function itself or what Keras calls it.

    Raises:
        ValueError: for an unknown name, or as `loadable_function`.

    Example:
        >>> from tfflows.checks.activations import activation_of
        >>> activation_of("silu") is keras.activations.silu
        True
    """
    function = keras.activations.get(activation)
    if isinstance(function, types.FunctionType):
        loadable_function(function)
    return function


def loadable_function(function) -> dict | str:
    """A function, an activation say, as what Keras saves of it and makes it of again.

    Raises:
        ValueError: if Keras would save its name and not find it.

    Example:
        >>> from tfflows.checks.activations import loadable_function
        >>> loadable_function(keras.activations.silu)
        'silu'
    """
    config = keras.activations.serialize(function)
    try:
        if keras.activations.get(config) is function:
            return config
    except (TypeError, ValueError):
        pass
    raise ValueError(
        f"The function {function.__name__!r} of {function.__module__} cannot be loaded again from "
        "a file; give its name if Keras has it, as in activation='silu', or register it, with a "
        "name of its own, by keras.saving.register_keras_serializable."
    )
