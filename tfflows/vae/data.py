"""What an autoencoder is given, checked."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import require_finite
from tfflows.model.inputs import as_array
from tfflows.model.training_data import FlowData
from tfflows.vae.missing import Missing


class VAEData(FlowData):
    """The part of `VAE` that looks at data, as `tfflows.Flow` does at its own.

    Integers are the pixels of an observation model, and there is no context.
    """

    def observed(self, x: tf.Tensor) -> tf.Tensor:
        """x as a checked tensor: integers for pixels, else finite floats."""
        x = x if tf.is_tensor(x) else tf.convert_to_tensor(as_array(x, self.name))
        self._check_shape_and_dtype(x.shape, x.dtype)
        self._check_pixels_dtype(x)
        x = self.checked_values(x)
        return x if self.num_bits is None else tf.cast(x, tf.int32)

    def checked_values(self, x: ArrayLike) -> tf.Tensor:
        """x itself, if it is finite, or NaN where that means that it is missing, or pixels."""
        if not isinstance(self.observation, Missing):
            return super().checked_values(x)
        x = tf.cast(x, self.compute_dtype)
        there = tf.where(tf.math.is_nan(x), tf.zeros_like(x), x)
        message = f"{self.name} needs x that is finite or NaN, where a value is missing"
        with tf.control_dependencies([require_finite(there, message)]):
            return tf.identity(x)

    def _check_pixels_dtype(self, x):
        dtype = tf.as_dtype(x.dtype)
        if self.num_bits is not None and not dtype.is_integer:
            raise ValueError(
                f"{self.name} has the observation model {self.observation}, of integers in "
                f"[0, {2**self.num_bits}), but found dtype {dtype.name}."
            )

    def for_keras(self, x: Any) -> Any:
        """Data as they are: the observation models' precision is that of Keras's inputs."""
        return x

    def checked_context(self, context: ArrayLike, x: ArrayLike) -> None:
        if context is not None:
            raise ValueError(
                f"{self.name} learns x from x alone, but was given something else as well; call "
                "fit(x), without targets."
            )
