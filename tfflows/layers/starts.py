"""What the weights of stacked layers start as."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras.initializers import (
    Constant,
    Ones,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)


def starts(initializer: Callable, weight: keras.Variable, n: int) -> tf.Tensor:
    """Initial values of n weights like one that has started, `[n, *weight.shape]`.

    Each is an initialisation of its own. Where all numbers are drawn from one distribution, they
    are drawn at once, since a draw takes a millisecond or two, whatever its size.

    Args:
        initializer: that of the weight, a Keras initializer or a function of shape and dtype.
        weight: the first one, which is used if the others are drawn one by one.

    Example:
        >>> from tfflows.layers.starts import starts
        >>> weight = keras.Variable("glorot_uniform", shape=(3, 2))
        >>> starts(keras.initializers.GlorotUniform(), weight, n=4).shape
        TensorShape([4, 3, 2])
    """
    call = type(initializer).__call__
    shape = (n, *weight.shape)
    if call in (Zeros.__call__, Ones.__call__, Constant.__call__):
        return tf.stack([tf.convert_to_tensor(weight)] * n)
    if call in (RandomNormal.__call__, RandomUniform.__call__, TruncatedNormal.__call__):
        return tf.convert_to_tensor(initializer.clone()(shape, dtype=weight.dtype))
    has_axes = getattr(initializer, "input_axes", None) is not None
    if call is VarianceScaling.__call__ and len(weight.shape) > 1 and not has_axes:
        # It takes the first dimension for a part of the receptive field, and divides by n.
        config = VarianceScaling.get_config(initializer)
        at_once = VarianceScaling(**{**config, "scale": n * initializer.scale})
        return tf.convert_to_tensor(at_once(shape, dtype=weight.dtype))
    values = [weight.numpy()]
    for _ in range(1, n):
        if isinstance(initializer, keras.initializers.Initializer):
            initializer = initializer.clone()  # which draws anew
        values.append(np.asarray(initializer(weight.shape, dtype=weight.dtype)))
    return tf.convert_to_tensor(np.stack(values))
