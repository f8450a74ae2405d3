"""Uniform and normal numbers of a seed, the same ones in plain Python, in graphs and under XLA."""

from __future__ import annotations

import math

import tensorflow as tf


def uniform(shape, seed, dtype="float32") -> tf.Tensor:
    """Uniform numbers in [0, 1), those of `tf.random.stateless_uniform` outside of XLA.

    TensorFlow's kernel makes a number of the lower bits of what Philox draws, XLA of the upper
    ones, so that its own functions differ under `jit_compile=True`. Here the bits are drawn, and
    become the kernel's numbers by operations that both compute alike:

        u = (bits mod 2^23) / 2^23,  in float64  (bits mod 2^52) / 2^52

    Args:
        shape: of the numbers, a list of numbers or a tensor.
        seed: int32 `[2]`, see `tfflows.random.stateless_seed`.
        dtype: float32 or float64.

    Example:
        >>> u = tfflows.random.stateless.uniform([2], seed=[1, 2])
        >>> u.numpy() == tf.random.stateless_uniform([2], seed=[1, 2], alg="philox").numpy()
        array([ True,  True])
    """
    return _uniform(tf.convert_to_tensor(shape, tf.int32), seed, tf.as_dtype(dtype))


def normal(shape, seed, dtype="float32") -> tf.Tensor:
    """Standard normal numbers, up to rounding those of `tf.random.stateless_normal`.

    Pairs of uniform numbers u, v give pairs of normal ones (Box and Muller, 1958):

        r = sqrt(-2 log max(u, 1e-7)),  r sin(2 pi v),  r cos(2 pi v)

    Args:
        shape, seed, dtype: as for `uniform`.

    Example:
        >>> tfflows.random.stateless.normal([3], seed=[1, 2]).numpy().round(3)
        array([0.544, 0.207, 0.074], dtype=float32)
    """
    shape, dtype = tf.convert_to_tensor(shape, tf.int32), tf.as_dtype(dtype)
    size = tf.reduce_prod(shape)
    u, v = tf.unstack(_uniform(tf.stack([(size + 1) // 2, 2]), seed, dtype), axis=-1)
    radius = tf.sqrt(-2 * tf.math.log(tf.maximum(u, tf.constant(1e-7, dtype))))
    angle = tf.cast(2 * math.pi * tf.cast(v, tf.float64), dtype)  # as the kernel rounds it
    pairs = tf.stack([radius * tf.sin(angle), radius * tf.cos(angle)], -1)
    return tf.reshape(tf.reshape(pairs, [-1])[:size], shape)


def _uniform(shape, seed, dtype):
    if dtype == tf.float64:
        # The kernel takes the upper bits from the first of two numbers.
        upper, lower = tf.unstack(_bits(tf.concat([shape, [2]], 0), seed), axis=-1)
        return (_lowest(upper, 20, dtype) * 2.0**32 + tf.cast(lower, dtype)) * 2.0**-52
    return _lowest(_bits(shape, seed), 23, dtype) * 2.0**-23


def _bits(shape, seed):
    return tf.random.stateless_uniform(shape, seed, None, None, tf.uint32, alg="philox")


def _lowest(bits, count, dtype):
    return tf.cast(tf.bitwise.bitwise_and(bits, tf.constant(2**count - 1, tf.uint32)), dtype)
