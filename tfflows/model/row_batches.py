"""Functions of rows, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def in_batches(function: Callable, rows: Sequence[tf.Tensor | None], batch_size: int | None) -> Any:
    """`function(*rows)`, called for `batch_size` rows at a time, in the memory that these take.

    Args:
        function: of tensors with a batch dimension; returns such a tensor, or a tuple of some.
        rows: the tensors, or `None`.
        batch_size: at least 1, or `None` for all rows at once.

    Raises:
        ValueError: if it is below 1, or within a `tf.function`.

    Example:
        >>> from tfflows.model.row_batches import in_batches
        >>> print(in_batches(lambda x: x - x[0], [tf.range(5)], batch_size=2).numpy())
        [0 1 0 1 0]
    """
    if batch_size is None:
        return function(*rows)
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(f"batch_size must be an integer of at least 1, but found {batch_size!r}.")
    if not tf.executing_eagerly():
        raise ValueError("batch_size is for calls from plain Python; leave it out in a graph.")
    size = next(value.shape[0] for value in rows if value is not None)
    parts = []
    for start in range(0, size, batch_size):
        batch = slice(start, start + batch_size)
        parts.append(function(*(None if value is None else value[batch] for value in rows)))
    if not isinstance(parts[0], tuple):
        return tf.concat(parts, 0)
    columns = zip(*parts, strict=True)
    return tuple(None if column[0] is None else tf.concat(column, 0) for column in columns)
