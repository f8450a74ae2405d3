"""What every loader returns: three splits in memory, and `tf.data` pipelines over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tfflows.data.pipelines import untuned

if TYPE_CHECKING:
    import tensorflow as tf

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Examples `x` and their labels or attributes `y`, or `None` where there are none.

    `len(split)` is the number of examples, and `x, y = split` unpacks it.

    Args:
        x: float32 vectors `[n, D]`, or uint8 images `[n, height, width, channels]`.
        y: int64 labels `[n]`, float32 attributes `[n, k]` that are 0 or 1, or `None`.
    """

    x: np.ndarray
    y: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __iter__(self) -> Iterator[np.ndarray | None]:
        return iter((self.x, self.y))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Named train, validation and test splits with what a flow must know of them.

    Args:
        name: what `load` was asked for, or the file's name without its ending.
        description: source, processing, split and licence, in a sentence or two.
        train: the examples to fit.
        validation: the examples to choose by.
        test: the examples to report.
        num_bits: bits per pixel of images, whose values lie in `[0, 2**num_bits)`; `None` for
            float vectors.
        attribute_names: names of the columns of `y`, where those are known.
        column_names: names of the columns of tables, where those are known.

    Example:
        >>> import tfflows.data as data
        >>> digits = data.load("digits")
        >>> digits.event_shape, digits.num_bits, digits.num_classes, len(digits.train)
        ((8, 8, 1), 4, 10, 1197)
    """

    name: str
    description: str
    train: Split = field(repr=False)
    validation: Split = field(repr=False)
    test: Split = field(repr=False)
    num_bits: int | None
    attribute_names: tuple[str, ...] | None = field(default=None, repr=False)
    column_names: tuple[str, ...] | None = field(default=None, repr=False)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one example, without batch: `(D,)` or `(height, width, channels)`."""
        return self.train.x.shape[1:]

    @property
    def num_classes(self) -> int | None:
        """One more than the largest label of any split; `None` without labels."""
        labels = [y for y in self._all_y() if y.ndim == 1]
        return 1 + max(int(y.max()) for y in labels) if labels else None

    @property
    def context_dim(self) -> int | None:
        """Number of attributes; `None` without attributes."""
        return next((y.shape[1] for y in self._all_y() if y.ndim == 2), None)

    def _all_y(self) -> list[np.ndarray]:
        return [s.y for s in (self.train, self.validation, self.test) if s.y is not None]

    def dataset(
        self,
        split: str,
        batch_size: int = 128,
        labels: bool = False,
        shuffle: bool | None = None,
        drop_remainder: bool | None = None,
        seed: int = 0,
        flip: bool = False,
    ) -> tf.data.Dataset:
        """A batched, prefetched `tf.data.Dataset` over one split.

        Each pass over it draws a new order and new flips. They follow from `seed`, and from
        `tf.random.set_seed` where that was called.

        Args:
            split: "train", "validation" or "test".
            batch_size: examples a batch.
            labels: yield `(x, y)` instead of `x`.
            shuffle: whether to shuffle; by default only "train".
            drop_remainder: whether to drop a last, smaller batch; by default only of "train".
            seed: seed of the orders and flips.
            flip: mirror each image left to right with probability 1/2. For training only, where
                a mirrored image is as likely as the image: faces, but not digits.

        Returns:
            Batches `[batch, *event_shape]`, float32 or uint8 as stored, with int64 labels
            `[batch]` or float32 attributes `[batch, k]` where asked for.

        Raises:
            ValueError: for an unknown split, labels that do not exist, flips of vectors, a batch
                size below 1, or a split that is smaller than the only batch it would have to
                fill.

        Example:
            >>> import tfflows.data as data
            >>> batches = data.load("digits").dataset("test", batch_size=100)
            >>> [tuple(x.shape) for x in batches]
            [(100, 8, 8, 1), (100, 8, 8, 1), (100, 8, 8, 1)]
        """
        if split not in SPLITS:
            raise ValueError(
                f"Data set {self.name!r} has no split {split!r}: expected one of "
                f"{', '.join(map(repr, SPLITS))}."
            )
        x, y = getattr(self, split)
        shuffle = split == "train" if shuffle is None else shuffle
        drop_remainder = split == "train" if drop_remainder is None else drop_remainder
        if labels and y is None:
            raise ValueError(
                f"Split {split!r} of data set {self.name!r} has no labels: expected labels=False."
            )
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}: expected an integer of at least 1.")
        if drop_remainder and len(x) < batch_size:
            raise ValueError(
                f"Split {split!r} of data set {self.name!r} has {len(x)} examples, fewer than "
                f"batch_size {batch_size}, and drop_remainder leaves no batch of it: expected a "
                f"batch_size of at most {len(x)} or drop_remainder=False."
            )
        if flip and x.ndim != 4:
            raise ValueError(
                f"Data set {self.name!r} holds vectors of shape {self.event_shape}, but only "
                f"images can be flipped: expected flip=False."
            )
        import tensorflow as tf

        # Input pipelines run on the host: without this the arrays would land on the first GPU.
        with tf.device("CPU:0"):
            x = tf.constant(x)
            y = tf.constant(y) if labels else None

        def examples(index, coin=None):
            batch = tf.gather(x, index)
            if flip:
                sides = tf.stack([batch, tf.reverse(batch, axis=[2])], axis=1)
                batch = tf.gather(sides, coin % 2, batch_dims=1)
            return (batch, tf.gather(y, index)) if labels else batch

        # Shuffling indices instead of examples keeps the shuffle buffer small and copies each
        # example once.
        batches = tf.data.Dataset.range(len(x))
        if shuffle:
            batches = batches.shuffle(len(x), seed=seed, reshuffle_each_iteration=True)
        if flip:
            coins = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
            batches = tf.data.Dataset.zip((batches, coins))
        batches = batches.batch(batch_size, drop_remainder=drop_remainder)
        return untuned(batches.map(examples).prefetch(tf.data.AUTOTUNE))
