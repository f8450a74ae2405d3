"""TFP's objects and their variables within Keras layers."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf


def shared_weights(variables) -> list[keras.Variable]:
    """Keras's variables, which it trains and saves, in the storage of TensorFlow's own."""
    return [
        keras.Variable(v, dtype=v.dtype.name, trainable=v.trainable, name=f"weight_{i}")
        for i, v in enumerate(variables)
    ]


def made_distribution(
    make_distribution: Callable, shape, dtype: str, owner: str, are_events: bool
) -> object:
    """The `tfd.Distribution` that a user's function makes for a shape.

    Args:
        make_distribution: the function of the shape.
        shape: what it is given.
        dtype: that the distribution must have.
        owner: who needs it, for errors.
        are_events: whether the shape is to be the event shape; else it is the batch shape, of
            events that are numbers.

    Raises:
        ValueError: if it returns something else, or a distribution of another shape or dtype.
    """
    # TFP takes seconds to import, and layers are of use without it.
    from tensorflow_probability import distributions as tfd

    made = make_distribution(shape)
    if not isinstance(made, tfd.Distribution):
        raise ValueError(
            f"make_distribution must return a tfd.Distribution, but it returned {made!r}."
        )
    expected = (shape, ()) if are_events else ((), shape)
    found = tuple(made.event_shape), tuple(made.batch_shape)
    if found != expected:
        raise ValueError(
            f"{owner} needs a distribution of event shape {expected[0]} and batch shape "
            f"{expected[1]}, but '{made.name}' has {found[0]} and {found[1]}; tfd.Independent and "
            "tfd.Sample make events of batches and of single numbers."
        )
    if made.dtype != dtype:
        raise ValueError(
            f"{owner} computes in {dtype}, but '{made.name}' has dtype "
            f"{tf.as_dtype(made.dtype).name}; give both the same dtype."
        )
    return made
