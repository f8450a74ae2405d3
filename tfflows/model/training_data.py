"""What `fit` and `evaluate` are given, checked and in one form."""

from __future__ import annotations

import itertools
import types
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import require_finite, require_not_negative
from tfflows.model.inputs import FlowInputs, as_array

_PARTS = ("x", "context", "sample_weight")


class FlowData(FlowInputs):
    """The part of `Flow` that looks at all that Keras trains on.

    Whatever the form, Keras gets batches of x, `(x, context)` or `(x, context, weights)`; where
    there are weights and no context, zeros take its place, since Keras drops weights otherwise.
    """

    def check_data(self, x: Any, y: Any | None = None, sample_weight: Any | None = None) -> tuple:
        """x, context and weights as Keras is to have them, checked.

        Arrays, data frames and lists are checked as a whole and at once. A `tf.data.Dataset`, a
        `keras.utils.PyDataset` and a generator come back with a check of each batch, outside of
        the step, where XLA cannot drop it.

        Args:
            x: one of these. Their batches are x, tuples of x, context and weights, or dictionaries
                with these as `"x"`, `"context"` and `"sample_weight"`.
            y: the context where x is an array.
            sample_weight: factors `[n]` or `[n, 1]` on the examples of an array.

        Raises:
            ValueError: for a wrong shape or dtype, no examples, bad values, contexts or weights.
        """
        if isinstance(x, dict):
            x, y, sample_weight = self._parts_of(x)
        is_pair = isinstance(x, tuple) or (isinstance(x, list) and self.is_conditional)
        if is_pair and len(x) == 2 and y is None:
            x, y = x
        if isinstance(x, tf.data.Dataset):
            self._check_spec(x.element_spec)
            return x.map(self._checked_batch), y, sample_weight
        if isinstance(x, keras.utils.PyDataset):
            return _CheckedDataset(x, self._checked_arrays), y, sample_weight
        if isinstance(x, types.GeneratorType):
            return self._checked_generator(x), y, sample_weight
        if hasattr(x, "__array__") or isinstance(x, list):
            x = as_array(x, self.name)
            x = x.astype("float64") if x.dtype == np.uint64 else x
            self.check_values(x)
            y = None if y is None else as_array(y, self.name)
            with tf.device("CPU:0"):  # the whole array need not fit elsewhere
                self.checked_context(y, x)
            if sample_weight is not None:
                sample_weight = self._checked_weights(np.asarray(sample_weight), x).numpy()
                if not sample_weight.any():
                    raise ValueError(f"{self.name} was given a sample_weight of 0 for all of x.")
            return self._packed(x, y, sample_weight)
        return x, y, sample_weight

    def for_keras(self, x: Any) -> Any:
        """An array as Keras is to have it, which rounds all floats to its `floatx`, float32.

        Float64 numbers that float32 would change go as their bits; `unpacked` makes them numbers
        again.
        """
        is_wide = self.compute_dtype == "float64" or self.transform.takes_float64
        if not (isinstance(x, np.ndarray) and is_wide and self.num_bits is None):
            return x
        if np.result_type(x, np.float32) == np.float32:
            return x
        wide = x.astype("float64")
        return x if np.array_equal(wide, wide.astype("float32")) else wide.view("uint64")

    @staticmethod
    def unpacked(x: tf.Tensor) -> tf.Tensor:
        """Numbers of a batch of `for_keras`."""
        return tf.bitcast(x, tf.float64) if x.dtype == tf.uint64 else x

    def check_values(self, x: ArrayLike) -> None:
        """Raise `ValueError` unless an array can be fitted or evaluated on."""
        self._check_shape_and_dtype(tf.TensorShape(x.shape), tf.as_dtype(x.dtype))
        self._check_pixels_dtype(x)
        with tf.device("CPU:0"):
            self.checked_values(tf.convert_to_tensor(x))

    def require_class_weights(self, class_weight: dict) -> None:
        """Raise `ValueError` if there are weights of classes, but no classes."""
        if class_weight is not None and self.num_classes is None:
            raise ValueError(
                f"{self.name} has no classes (num_classes) for class_weight to weigh; use "
                "sample_weight."
            )

    def first_batch(self, x: Any) -> tuple:
        """x and context of a checked data set's first batch, and the data set with all of them."""
        if isinstance(x, types.GeneratorType):
            first = next(x, None)
            x = _generator(itertools.chain([first], x))
        else:
            first = x[0] if isinstance(x, keras.utils.PyDataset) else next(iter(x), None)
        if first is None:
            raise ValueError(f"{self.name} was given data without a single batch.")
        first, context, _ = self._parts_of(first)
        return (first, context if self.is_conditional else None), x

    def _parts_of(self, batch):
        """x, context and weights of a batch."""
        if isinstance(batch, dict):
            if "x" not in batch or not set(batch) <= set(_PARTS):
                raise ValueError(
                    f"{self.name} takes dictionaries of {_PARTS}, of which only x must be there, "
                    f"but found {sorted(batch)}."
                )
            return tuple(batch.get(name) for name in _PARTS)
        if isinstance(batch, list):
            batch = tuple(batch)
        x, context, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        if isinstance(x, tuple):
            x, context = x if len(x) == 2 else (x[0], context)
        return x, context, sample_weight

    @staticmethod
    def _packed(x, context, sample_weight):
        if sample_weight is not None and context is None:
            context = tf.zeros_like(sample_weight) if tf.is_tensor(x) else 0 * sample_weight
        return x, context, sample_weight

    def _check_spec(self, spec):
        x, *_ = self._parts_of(spec)
        if isinstance(x, tf.TensorSpec):
            self._check_shape_and_dtype(x.shape, x.dtype)
            self._check_pixels_dtype(x)

    def _checked_batch(self, *batch):
        """A batch of tensors as `(x,)`, `(x, context)` or `(x, context, weights)`."""
        x, context, weights = self._parts_of(batch[0] if len(batch) == 1 else batch)
        self._check_shape_and_dtype(x.shape, x.dtype)
        self._check_pixels_dtype(x)
        checked = [self.checked_values(x)]
        if context is not None or self.is_conditional:
            checked.append(self.checked_context(context, x))
        if weights is not None:
            weights = self._checked_weights(weights, x)
        with tf.control_dependencies(checked):
            parts = self._packed(tf.identity(x), context, weights)
        return tuple(part for part in parts if part is not None)

    def _checked_arrays(self, batch):
        """The same of arrays, at once."""
        arrays = (
            None if part is None else as_array(part, self.name) for part in self._parts_of(batch)
        )
        tensors = [None if part is None else tf.convert_to_tensor(part) for part in arrays]
        return tuple(part.numpy() for part in self._checked_batch(tuple(tensors)))

    def _checked_generator(self, generator):
        for batch in generator:
            yield self._checked_arrays(batch)

    def _checked_weights(self, weights, x):
        """Weights `[n]` of n examples x."""
        weights = tf.cast(weights, self.compute_dtype)
        found = tuple(weights.shape)
        if weights.shape.rank == 2 and weights.shape[1] == 1:
            weights = weights[:, 0]
        if weights.shape.rank != 1 or not weights.shape.is_compatible_with(x.shape[:1]):
            raise ValueError(
                f"{self.name} expected sample_weight of shape [n] or [n, 1] for n = {x.shape[0]} "
                f"examples, but found {found}."
            )
        weights = require_finite(weights, f"{self.name} needs a finite sample_weight")
        return require_not_negative(weights, f"{self.name} needs a sample_weight of at least 0")


class _CheckedDataset(keras.utils.PyDataset):
    """Another one's batches, checked."""

    def __init__(self, data, check):
        if data.use_multiprocessing:
            raise ValueError(
                f"{type(data).__name__} has use_multiprocessing=True, but its batches are checked "
                "in this process; use threads (workers) instead."
            )
        super().__init__(workers=data.workers, max_queue_size=data.max_queue_size)
        self._data, self._check = data, check

    @property
    def num_batches(self):
        return self._data.num_batches

    def __getitem__(self, index):
        return self._check(self._data[index])

    def on_epoch_begin(self):
        self._data.on_epoch_begin()

    def on_epoch_end(self):
        self._data.on_epoch_end()


def _generator(iterable):
    yield from iterable
