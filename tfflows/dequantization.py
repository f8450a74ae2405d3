"""Between discrete pixels and the continuous values that a flow models."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfflows.checks import require_range


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


def dequantize(x, num_bits: int, seed=None, dtype="float32") -> tf.Tensor:
    """Uniform dequantisation of n-bit pixels, `x + u` with `u ~ U[0, 1)` per pixel.

    The density p of the result bounds the probability P of the discrete image from below:
    `E_u log p(x + u) <= log P(x)` (Theis, van den Oord and Bethge, "A note on the evaluation of
    generative models", 2016).

    Args:
        x: integer pixels `[batch, ...]` in [0, 2**num_bits).
        num_bits: bits per pixel, 1 to 8.
        seed: see `stateless_seed`; equal seeds give equal noise.
        dtype: of the result.

    Returns:
        Values in [0, 2**num_bits), of x's shape.

    Raises:
        ValueError: eagerly, if x is not of an integer dtype or a pixel is outside the range.
        tf.errors.InvalidArgumentError: for such a pixel within a `tf.function`.

    Example:
        >>> x = tfflows.dequantization.dequantize(np.array([[0, 15]]), num_bits=4, seed=0)
        >>> print(tf.floor(x).numpy())
        [[ 0. 15.]]
    """
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_integer:
        raise ValueError(
            f"Dequantisation takes integer pixels in [0, {2**num_bits}), but found dtype "
            f"{x.dtype.name}."
        )
    x = tf.cast(require_pixels(x, num_bits), dtype)
    u = tf.random.stateless_uniform(tf.shape(x), stateless_seed(seed), dtype=dtype, alg="philox")
    # Next to 255 float32 cannot hold every u < 1; stay below the next pixel value.
    return tf.minimum(x + u, np.nextafter(x.dtype.as_numpy_dtype(1), 0) * (x + 1))


def require_pixels(x: tf.Tensor, num_bits: int) -> tf.Tensor:
    """x itself, if all its values are n-bit pixels; see `tfflows.checks.require_range`."""
    message = f"Pixels must be in [0, {2**num_bits}) for num_bits={num_bits}"
    return require_range(x, 2**num_bits, message)


def quantize(x, num_bits: int) -> np.ndarray:
    """The n-bit image that a continuous sample stands for: rounded down, cut to the range.

    Args:
        x: `[...]`, any float values.
        num_bits: bits per pixel, 1 to 8.

    Returns:
        uint8 array of x's shape.

    Example:
        >>> print(tfflows.dequantization.quantize(np.array([-0.3, 7.9, 16.2]), num_bits=4))
        [ 0  7 15]
    """
    return np.clip(np.floor(np.asarray(x)), 0, 2**num_bits - 1).astype(np.uint8)
