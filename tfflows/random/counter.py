"""Counter-based random numbers: row i of a batch is a function of seed[i] alone.

TensorFlow's stateless generators take one seed for a whole tensor. A server that merges the
requests of several clients into one batch needs one seed a row, and numbers that do not depend on
the other rows. Everything here is plain integer and float arithmetic, without state and without
Python, so that it runs wherever a SavedModel does.
"""

from __future__ import annotations

import math

import tensorflow as tf

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_KEY_PARITY = 0x1BD11BDA


def threefry2x32(
    key: tuple[tf.Tensor, tf.Tensor], counter: tuple[tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Threefry-2x32 with 20 rounds, a keyed bijection of 64-bit blocks.

        a round:             x0 += x1;  x1 = rotate_left(x1, r) ^ x0
        before round 1 and
        after every fourth:  x0 += k[j mod 3];  x1 += k[j+1 mod 3] + j,  k2 = k0 ^ k1 ^ parity

    Args:
        key: two uint32 tensors, the key's words.
        counter: two uint32 tensors that broadcast with the key's, the words to encrypt.

    Returns:
        Two uint32 tensors of random bits.

    Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.

    Example:
        >>> zero = tf.zeros([], tf.uint32)
        >>> words = tfflows.random.counter.threefry2x32((zero, zero), (zero, zero))
        >>> [f"{int(word):08x}" for word in words]
        ['6b200159', '99ba4efe']
    """
    key = (*key, key[0] ^ key[1] ^ tf.constant(_KEY_PARITY, tf.uint32))
    x0, x1 = counter[0] + key[0], counter[1] + key[1]
    for i in range(20):
        x0 += x1
        x1 = _rotate_left(x1, _ROTATIONS[i % 8]) ^ x0
        if i % 4 == 3:
            j = i // 4 + 1
            x0 += key[j % 3]
            x1 += key[(j + 1) % 3] + tf.constant(j, tf.uint32)
    return x0, x1


def integers(seed: tf.Tensor, n: int, stream: int = 0) -> tf.Tensor:
    """Random bits as integers from 0 to 2**32 - 1, n for each seed.

    Args:
        seed: int64 `[batch, 2]`; see `uniform`.
        n: numbers a row, at least 1.
        stream: see `uniform`, which is a function of the same bits.

    Returns:
        uint32 `[batch, n]`; row i depends on seed[i] alone.

    Raises:
        ValueError: if the seeds are not int64 or not pairs.

    Source: see `threefry2x32`.

    Example:
        >>> seed = tf.zeros([1, 2], tf.int64)
        >>> tfflows.random.counter.integers(seed, 3).dtype
        tf.uint32
    """
    seed = tf.convert_to_tensor(seed, tf.int64)
    if not seed.shape.is_compatible_with([None, 2]):
        raise ValueError(f"The seeds must be of shape ('batch', 2), but found {tuple(seed.shape)}.")
    words = tf.bitcast(seed, tf.uint32)[..., tf.newaxis]
    first, second = (tuple(tf.unstack(number, axis=1)) for number in tf.unstack(words, axis=1))
    key = threefry2x32(first, second)
    block = tf.range(math.ceil(n / 2), dtype=tf.int64)
    counter = (
        tf.cast(block, tf.uint32)[tf.newaxis],
        tf.reshape(tf.cast(stream, tf.uint32), [1, 1]),
    )
    return tf.concat(threefry2x32(key, counter), axis=1)[:, :n]


def uniform(seed: tf.Tensor, n: int, stream: int = 0) -> tf.Tensor:
    """Uniform random numbers in the open interval (0, 1), n for each seed.

        u = (w + 1/2) / 2**32, w the 32 random bits of a word, rounded to float32

    The smallest value is 2**-33 and the largest 1 - 2**-24; neighbours are between 2**-32 (near
    0) and 2**-24 (near 1) apart.

    Args:
        seed: int64 `[batch, 2]`. All 128 bits count: the first number is a Threefry key that
            encrypts the second one, and the result is the key of the row's numbers.
        n: numbers a row, at least 1.
        stream: from 0 to 2**32 - 1; each has numbers of its own, independent of the others'.

    Returns:
        float32 `[batch, n]`; row i depends on seed[i] alone, to the last bit. Another n gives
        other numbers. `normal` of the same seed is a function of the same bits.

    Raises:
        ValueError: if the seeds are not int64 or not pairs.

    Example:
        >>> seed = tf.constant([[1, 2], [3, 4]], tf.int64)
        >>> u = tfflows.random.counter.uniform(seed, 5)
        >>> bool(tf.reduce_all(u[1:] == tfflows.random.counter.uniform(seed[1:], 5)))
        True
    """
    bits = integers(seed, n, stream)
    # float32 rounds the largest words up to 1.
    return tf.minimum((tf.cast(bits, tf.float32) + 0.5) * 2.0**-32, 1 - 2.0**-24)


def normal(seed: tf.Tensor, n: int, stream: int = 0) -> tf.Tensor:
    """Standard normal random numbers, n for each seed, by the transform of Box and Muller.

        z = sqrt(-2 log u) * (cos(2 pi v), sin(2 pi v)),  u and v uniform

    The largest |z| is 6.76, which one in 7e10 draws would exceed.

    Args:
        seed: int64 `[batch, 2]`; see `uniform`.
        n: numbers a row, at least 1.
        stream: see `uniform`.

    Returns:
        float32 `[batch, n]`; row i depends on seed[i] alone, to the rounding of log, cos and sin
        (TensorFlow's vector and scalar kernels differ in the last bit).

    Raises:
        ValueError: as `uniform` does.

    Source: Box and Muller, "A note on the generation of random normal deviates", 1958.

    Example:
        >>> z = tfflows.random.counter.normal(tf.constant([[1, 2]], tf.int64), 10_000)
        >>> bool(abs(tf.math.reduce_std(z) - 1) < 0.03)
        True
    """
    u, v = tf.split(uniform(seed, 2 * math.ceil(n / 2), stream), 2, axis=1)
    radius, angle = tf.sqrt(-2.0 * tf.math.log(u)), 2 * math.pi * v
    return tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=1)[:, :n]


def _rotate_left(x, r):
    left = tf.bitwise.left_shift(x, tf.constant(r, tf.uint32))
    return tf.bitwise.bitwise_or(left, tf.bitwise.right_shift(x, tf.constant(32 - r, tf.uint32)))
