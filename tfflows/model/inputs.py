"""What users pass to a flow: checked, and made into what layers take."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import require_dtype, require_finite, require_range
from tfflows.distributions.dequantization import dequantize, require_pixels
from tfflows.layers.passes import Pass
from tfflows.layers.scale import Standardize
from tfflows.random.seeds import stateless_seed


class FlowInputs:
    """The part of `Flow` that looks at data and contexts.

    It knows a flow's `name` and `compute_dtype`.
    """

    def _init_inputs(self, event_shape, num_bits, context_dim, num_classes, dequantizer):
        if num_bits is not None and num_bits not in range(1, 9):
            raise ValueError(f"num_bits must be an integer from 1 to 8, but found {num_bits!r}.")
        if context_dim is not None and num_classes is not None:
            raise ValueError(
                f"Give context_dim or num_classes, but not both; found {context_dim} and "
                f"{num_classes}."
            )
        for name, value in {"context_dim": context_dim, "num_classes": num_classes}.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, but found {value}.")
        if isinstance(dequantizer, dict):
            dequantizer = keras.saving.deserialize_keras_object(dequantizer)
        if dequantizer is not None and num_bits is None:
            raise ValueError("A dequantizer is for images, but num_bits is None.")
        self.event_shape = tuple(int(size) for size in event_shape)
        self.num_bits = num_bits
        self.context_dim = context_dim
        self.num_classes = num_classes
        self.dequantizer = dequantizer
        # Vectors are standardised as x is; labels have nothing to standardise.
        self.context_layer = None
        if context_dim is not None:
            self.context_layer = ContextStandardize(dtype=self.compute_dtype)
            self.context_layer.build((None, context_dim))
        if dequantizer is not None:
            require_dtype("dequantizer", dequantizer, self.compute_dtype)
            if not dequantizer.built:
                dequantizer.build((None, *self.event_shape))

    @property
    def is_conditional(self) -> bool:
        """Whether the flow takes a context."""
        return self.context_dim is not None or self.num_classes is not None

    def continuous(
        self, x: ArrayLike, seed: ArrayLike | None = None, training: bool = False
    ) -> tuple:
        """x as a finite tensor of floats, and log q(u|x) of the noise u in it.

        They are of the flow's dtype, or float64 where x has more digits than float32 and the
        transform can use them. Integer images are dequantised; where the noise is uniform, or there
        is none, log q is 0. Arguments and errors as for `Flow.log_prob`.
        """
        x = x if tf.is_tensor(x) else tf.convert_to_tensor(as_array(x, self.name))
        self._check_shape_and_dtype(x.shape, x.dtype)
        if x.dtype.is_integer and self.num_bits is not None:
            x = require_pixels(x, self.num_bits)
            seed = stateless_seed(seed)
            return self._compiled(self._dequantized, (x,), (seed,), training=training)
        wide = _wide(x.dtype) if self.transform.takes_float64 else None
        x = tf.cast(x, wide or self.compute_dtype)
        return require_finite(x, f"{self.name} needs finite x"), 0.0

    def _dequantized(self, x, seed, training):
        if self.dequantizer is not None:
            return self.dequantizer.dequantize(x, self.num_bits, seed, training)
        return dequantize(x, self.num_bits, seed, self.compute_dtype), 0.0

    def _check_shape_and_dtype(self, shape, dtype):
        expected = ("batch", *self.event_shape)
        if shape.rank is not None and (
            shape.rank != len(expected) or not shape[1:].is_compatible_with(self.event_shape)
        ):
            raise ValueError(
                f"{self.name} expected x of shape {expected}, but found {tuple(shape)}."
            )
        if not (dtype.is_floating or dtype.is_integer):
            raise ValueError(f"{self.name} expected numbers, but found x of dtype {dtype.name}.")
        if shape.rank and shape[0] == 0:
            raise ValueError(f"{self.name} was given an empty batch, of shape {tuple(shape)}.")

    def _check_pixels_dtype(self, x):
        dtype = tf.as_dtype(x.dtype)
        if self.num_bits is not None and not dtype.is_integer:
            raise ValueError(
                f"{self.name} is an image flow, to be fitted and evaluated on integer pixels in "
                f"[0, {2**self.num_bits}), but found dtype {dtype.name}. (log_prob takes "
                "continuous values too.)"
            )

    def checked_values(self, x: ArrayLike) -> tf.Tensor:
        """x itself, if it is what the flow can be fitted on: finite, or pixels in range."""
        if self.num_bits is not None:
            return require_pixels(x, self.num_bits)
        x = tf.cast(x, self.compute_dtype)
        return require_finite(x, f"{self.name} needs finite x")

    def layer_context(self, context: ArrayLike, x: ArrayLike) -> tf.Tensor | None:
        """The context as the float matrix that the layers take, or `None`.

        Labels become one-hot vectors. Vectors are standardised, by what `adapt` saw.
        """
        return self.standardized_context(self.checked_context(context, x))

    def standardized_context(self, context: tf.Tensor | None) -> tf.Tensor | None:
        """A float context, as it was given, with a mean of 0 and a standard deviation of 1."""
        if self.context_layer is None:
            return context
        return self.context_layer.inverse_pass(context, Pass(log_dets=False))[0]

    def checked_context(self, context: ArrayLike, x: ArrayLike) -> tf.Tensor | None:
        """The context as a float matrix, or `None`, before it is standardised."""
        if not self.is_conditional:
            if context is not None:
                raise ValueError(f"{self.name} is not conditional, but was given a context.")
            return None
        kind = (
            f"labels [batch] in [0, {self.num_classes})"
            if self.num_classes
            else f"vectors [batch, {self.context_dim}]"
        )
        if context is None:
            raise ValueError(f"{self.name} is conditional and needs a context: {kind}.")
        if not tf.is_tensor(context):
            context = tf.convert_to_tensor(np.asarray(context))
        expected = x.shape[:1] if self.num_classes else (x.shape[0], self.context_dim)
        if not context.shape.is_compatible_with(expected):
            raise ValueError(
                f"{self.name} expected as context {kind} for x of shape {tuple(x.shape)}, but "
                f"found shape {tuple(context.shape)}."
            )
        if not self.num_classes:
            context = tf.cast(context, _wide(context.dtype) or self.compute_dtype)
            return require_finite(context, f"{self.name} needs a finite context")
        if not context.dtype.is_integer:
            raise ValueError(
                f"{self.name} expected as context {kind}, but found dtype {context.dtype.name}."
            )
        context = require_range(
            context, self.num_classes, f"{self.name} expected as context {kind}"
        )
        return tf.one_hot(context, self.num_classes, dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="tfflows")
class ContextStandardize(Standardize):
    """Standardisation of contexts, which files of version 0.1.0 do not have."""

    def load_own_variables(self, store):
        if len(store.keys()):
            super().load_own_variables(store)
        else:
            self.adapted.assign(True)

    def _warn_of_rounding(self, mean, stddev):
        """Nothing: contexts are not decoded."""


def _wide(dtype):
    """Float64 for numbers that may have more digits than float32, else `None`."""
    return tf.float64 if dtype == tf.float64 or (dtype.is_integer and dtype.size > 2) else None


def as_array(x, owner: str) -> np.ndarray:
    """An array, data frame, tensor or nested list as an array of numbers.

    Args:
        owner: who needs it, for errors.

    Raises:
        ValueError: for masked entries, text, or rows of different lengths.
    """
    if np.ma.is_masked(x):
        raise ValueError(
            f"{owner} was given a masked array, of which {np.ma.count_masked(x)} entries are "
            "masked; a flow has no way to leave them out: fill them, or drop their rows."
        )
    x = np.asarray(x)
    if x.dtype == object or x.dtype.kind in "USb":
        raise ValueError(f"{owner} expected numbers, but found x of dtype {x.dtype}.")
    return x
