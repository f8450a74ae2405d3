"""Seeds of the stateless generators that all noise is drawn from."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def stateless_seed(seed) -> tf.Tensor:
    """Two int32 numbers for TensorFlow's stateless generators.

    Args:
        seed: an integer, a pair of integers, or `None` for a seed from TensorFlow's global
            generator (which `keras.utils.set_random_seed` sets, and which differs on each
            replica of a distributed step).

    Raises:
        ValueError: if `seed` is something else.
    """
    if seed is None:
        return tf.random.uniform([2], maxval=np.iinfo(np.int32).max, dtype=tf.int32)
    if isinstance(seed, (int, np.integer)):
        return tf.constant([int(seed) % 2**31, int(seed) // 2**31 % 2**31], tf.int32)
    seed = tf.cast(tf.convert_to_tensor(seed), tf.int32)
    if seed.shape != (2,):
        raise ValueError(
            f"A seed is an integer or a pair of integers, but found shape {tuple(seed.shape)}."
        )
    return seed
