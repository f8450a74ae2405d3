"""The rows of stacked weights, read one by one within a loop."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

_LOCK = threading.Lock()


class Rows:
    """Arrays `[n, ...]`, of which a loop reads row i.

    The gradient of indexing would make an array of all rows in each step. That of reading a
    TensorFlow list goes to row i alone, but TensorFlow's own asks the list for its length and its
    shape, which a loop would keep for each step: here they are known.

    Args:
        arrays: tensors of known shapes.
        n: their length.

    Example:
        >>> from tfflows.layers.rows import Rows
        >>> rows = Rows([tf.eye(3), tf.range(3)], n=3)
        >>> [row.numpy().tolist() for row in rows.read(1)]
        [[0.0, 1.0, 0.0], 1]
    """

    def __init__(self, arrays: Sequence[tf.Tensor], n: int):
        self._arrays = [(array.shape[1:], array.dtype) for array in arrays]
        self._gradient = _gradient_of_reading(n)
        shape = _inferred_shape()
        self._lists = [
            tf.raw_ops.TensorListFromTensor(tensor=array, element_shape=shape) for array in arrays
        ]

    def read(self, index) -> list[tf.Tensor]:
        """Row `index` of each array."""
        if tf.executing_eagerly():
            return self._read(index)
        graph = tf.compat.v1.get_default_graph()
        with graph.gradient_override_map({"TensorListGetItem": self._gradient}):
            return self._read(index)

    def _read(self, index):
        rows, inferred = [], _inferred_shape()
        for list_, (shape, dtype) in zip(self._lists, self._arrays, strict=True):
            row = tf.raw_ops.TensorListGetItem(
                input_handle=list_, index=index, element_shape=inferred, element_dtype=dtype
            )
            row.set_shape(shape)
            rows.append(row)
        return rows


def _inferred_shape():
    """That of a list's elements, which the list knows."""
    return tf.constant(-1)


def _gradient_of_reading(n: int) -> str:
    """Name under which TensorFlow knows the gradient of reading one of n rows."""
    with _LOCK:  # threads may trace at once, and TensorFlow takes a name once
        return _registered(n)


@functools.cache
def _registered(n):
    name = f"tfflows>row of {n}"

    @tf.RegisterGradient(name)
    def gradient(op, row):
        shape = row.shape.as_list()
        rows = tf.raw_ops.TensorListReserve(
            element_shape=np.array(shape, "int32"), num_elements=n, element_dtype=row.dtype
        )
        rows = tf.raw_ops.TensorListSetItem(input_handle=rows, index=op.inputs[1], item=row)
        return rows, None, None

    return name
