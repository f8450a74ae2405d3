"""Checks of values, with the same sentences in eager mode and within a graph."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf


def require_finite(x: tf.Tensor, message: str) -> tf.Tensor:
    """x itself, if it has no NaN or infinite values.

    Args:
        x: floating-point tensor.
        message: sentence without its full stop, naming what was expected.

    Raises:
        ValueError: eagerly, with the number of values that are not finite.
        tf.errors.InvalidArgumentError: within a `tf.function`.
    """
    if not tf.executing_eagerly():
        return tf.debugging.check_numerics(x, message)
    finite = tf.math.is_finite(x)
    if not tf.reduce_all(finite):
        count = int(tf.reduce_sum(tf.cast(~finite, tf.int64)))
        raise ValueError(f"{message}, but {count} of {int(tf.size(x))} values are NaN or infinite.")
    return x


def require_range(x: tf.Tensor, size: int, message: str) -> tf.Tensor:
    """x itself, if all its values are in [0, size).

    Args:
        x: integer tensor.
        size: exclusive upper bound.
        message: sentence without its full stop, naming what was expected.

    Raises:
        ValueError: eagerly, with the smallest and largest value found.
        tf.errors.InvalidArgumentError: within a `tf.function`.
    """
    if x.dtype.min >= 0 and x.dtype.max < size:
        return x
    if not tf.executing_eagerly():
        # In int64, since a uint8 cannot hold a bound of 256.
        wide = tf.cast(x, tf.int64)
        inside = tf.reduce_all((wide >= 0) & (wide < size))
        with tf.control_dependencies([tf.debugging.Assert(inside, [f"{message}."])]):
            return tf.identity(x)
    if tf.size(x) > 0:
        low, high = int(tf.reduce_min(x)), int(tf.reduce_max(x))
        if low < 0 or high >= size:
            raise ValueError(f"{message}, but found values from {low} to {high}.")
    return x


def require_not_negative(x: tf.Tensor, message: str) -> tf.Tensor:
    """x itself, if none of its values is below 0; arguments and errors as for `require_finite`."""
    if not tf.executing_eagerly():
        check = tf.debugging.Assert(tf.reduce_all(x >= 0), [f"{message}."])
        with tf.control_dependencies([check]):
            return tf.identity(x)
    if tf.reduce_any(x < 0):
        raise ValueError(f"{message}, but found {float(tf.reduce_min(x)):g}.")
    return x


def require_dtype(name: str, part, dtype: str):
    """Raise `ValueError` unless a part of a flow, a Keras layer, computes in the flow's dtype."""
    if part.compute_dtype != dtype:
        raise ValueError(
            f"The flow's dtype is {dtype}, but its {name} has dtype {part.compute_dtype}; give "
            "both the same dtype."
        )


def require_keras_layer(name: str, owner: str, part):
    """Raise `ValueError` unless a part of a layer is one of Keras 3, which trains and saves it."""
    if isinstance(part, keras.layers.Layer):
        return
    is_tf_keras = type(part).__module__.split(".")[0] == "tf_keras"
    hint = "a layer of Keras 2; make it of keras.layers" if is_tf_keras else repr(part)
    raise ValueError(
        f"{owner} takes a Keras 3 layer as its {name}, since no other is trained and saved with "
        f"it, but found {hint}."
    )


def as_dtype(value, dtype) -> tf.Tensor:
    """A number, array or tensor as a tensor of a dtype.

    `tf.cast` would first round a Python float to float32.

    Example:
        >>> float(tfflows.checks.values.as_dtype(0.7, "float64"))
        0.7
    """
    if type(value) in (int, float):  # at a thirtieth of the time
        return tf.constant(value, dtype)
    return tf.cast(value if tf.is_tensor(value) else np.asarray(value), dtype)
