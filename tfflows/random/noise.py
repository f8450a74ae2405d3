"""Random numbers for a batch of rows, from one seed or from one seed a row."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfflows.random import counter, stateless


class BatchNoise:
    """Random numbers for n rows from one seed, see `tfflows.random.stateless`.

    Args:
        n: number of rows, a number or a scalar tensor.
        seed: `[2]`, see `tfflows.random.stateless_seed`.
        dtype: of the numbers.

    Example:
        >>> noise = tfflows.random.noise.BatchNoise(3, seed=[0, 1], dtype="float32")
        >>> noise.normal(5).shape
        TensorShape([3, 5])
    """

    def __init__(self, n, seed, dtype: str):
        self.n, self.seed, self.dtype = n, seed, dtype

    def part(self, index: int) -> BatchNoise:
        """Independent noise for part `index` of what is drawn."""
        return BatchNoise(self.n, _folded(self.seed, index + 1), self.dtype)

    def normal(self, size: int):
        """Standard normal numbers, `[n, size]`."""
        return stateless.normal((self.n, size), self.seed, self.dtype)

    def uniform(self, size: int):
        """Uniform numbers in the open interval (0, 1), `[n, size]`."""
        # The generator draws multiples of eps from [0, 1), and the quantile of 0 is infinite.
        low = np.finfo(self.dtype).eps / 4
        return low + (1 - low) * stateless.uniform((self.n, size), self.seed, self.dtype)

    def sample(self, distribution):
        """Draws of a TFP distribution, `[n, *event_shape]`."""
        return distribution.sample(self.n, seed=self.seed)


class RowNoise:
    """Random numbers that in row i are a function of seed i alone, see `tfflows.random.counter`.

    Args:
        seeds: int64 `[batch, 2]`.
        dtype: of the numbers, which have the precision of float32.
        stream: of `counter.uniform`.

    Example:
        >>> noise = tfflows.random.noise.RowNoise(tf.zeros([3, 2], tf.int64), dtype="float32")
        >>> u = noise.uniform(5)
        >>> bool(tf.reduce_all(u[0] == u[1]))
        True
    """

    def __init__(self, seeds, dtype: str, stream: int = 0):
        self.seeds, self.dtype, self._stream = seeds, dtype, stream

    def part(self, index: int) -> RowNoise:
        """Independent noise for part `index` of what is drawn, at most 255 of them."""
        return RowNoise(self.seeds, self.dtype, self._stream * 256 + index + 1)

    def normal(self, size: int):
        """Standard normal numbers, `[batch, size]`."""
        return tf.cast(counter.normal(self.seeds, size, self._stream), self.dtype)

    def uniform(self, size: int):
        """Uniform numbers in the open interval (0, 1), `[batch, size]`."""
        return tf.cast(counter.uniform(self.seeds, size, self._stream), self.dtype)

    def sample(self, distribution):
        """Draws of a TFP distribution, `[batch, *event_shape]`, one after the other."""
        pairs = tf.bitcast(counter.integers(self.seeds, 2, self._stream), tf.int32)
        return tf.map_fn(
            lambda pair: distribution.sample(seed=pair),
            pairs,
            fn_output_signature=tf.TensorSpec(distribution.event_shape, self.dtype),
        )


def _folded(seed, number):
    return tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int32), number)
