"""Multi-scale architecture: part of the channels leaves at each level."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.layers.base import InvertibleLayer
from tfflows.layers.passes import Pass


@keras.saving.register_keras_serializable(package="tfflows")
class MultiScale(InvertibleLayer):
    """Multi-scale architecture: levels that hand on half of their channels.

        forward:  h_0 = f_0(z_0),  h_i = f_i([h_{i-1}, z_i]),  x = h_{L-1}
        inverse:  [h_{i-1}, z_i] = f_i^-1(h_i),  from h_{L-1} = x down to z_0 = f_0^-1(h_0)
        log-det:  the sum of the levels' log-dets

    Level 0 is the coarsest, next to the base, and level L-1 makes the data. The brackets join the
    channels of two equal halves: what a level's f^-1 returns is split into the part that goes on
    to the coarser level and z_i, the part that is factored out. z is flat, the levels' parts one
    after the other: `split(z)` returns `[z_0, ..., z_{L-1}]` in their own shapes, and `join` makes
    the flat z of such a list.

    A prior of z_i that depends on h_{i-1} is an affine coupling at the latent end of f_i, whose
    first half of the channels conditions (Glow's `split2d`).

    Args:
        levels: `InvertibleLayer`s, coarsest first; their latents and outputs are images.
        image_shape: event shape of x, (height, width, channels), which a flat z does not tell.

    Raises:
        ValueError: if `levels` is empty or holds something else, and at `build` if the shapes of
            two levels do not fit or a level's channels cannot be halved.

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017,
    section 3.6.

    Example:
        >>> levels = [tfflows.layers.Squeeze(), tfflows.layers.Squeeze()]
        >>> layer = tfflows.layers.MultiScale(levels, image_shape=(8, 8, 3))
        >>> z, _ = layer.inverse_and_log_det(tf.ones([5, 8, 8, 3]))
        >>> z.shape, [tuple(part.shape) for part in layer.split(z)]
        (TensorShape([5, 192]), [(5, 2, 2, 24), (5, 4, 4, 6)])
    """

    def __init__(self, levels: Sequence[InvertibleLayer], image_shape: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.image_shape = tuple(int(size) for size in image_shape)
        levels = list(levels)
        if not levels or not all(isinstance(level, InvertibleLayer) for level in levels):
            raise ValueError(
                f"MultiScale takes one or more InvertibleLayers as levels, but found {levels!r}."
            )
        if len({id(level) for level in levels}) < len(levels):
            raise ValueError("MultiScale found the same level twice; create one for each place.")
        self.levels = levels
        # tf.train.Checkpoint does not look into Keras's lists.
        for i, level in enumerate(levels):
            setattr(self, f"level_{i}", level)

    def forward_event_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return self.image_shape

    def inverse_event_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        return (math.prod(self.image_shape),)

    def build(self, z_shape, context_shape=None):
        shape = self.image_shape
        self._part_shapes = []
        for i, level in reversed(list(enumerate(self.levels))):
            shape = level.inverse_event_shape(shape)
            if not level.built:
                level.build((None, *shape), context_shape)
            if i == 0:
                self._part_shapes.insert(0, shape)
                break
            if shape[-1] % 2:
                raise ValueError(
                    f"MultiScale cannot halve the {shape[-1]} channels of level {i}, of latent "
                    f"shape {shape}."
                )
            shape = (*shape[:-1], shape[-1] // 2)
            self._part_shapes.insert(0, shape)
        super().build(z_shape, context_shape)

    @property
    def part_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the levels' parts of z, coarsest first."""
        self._require_built("ask for the shapes of its levels")
        return list(self._part_shapes)

    def split(self, z: ArrayLike) -> list[tf.Tensor]:
        """The levels' parts of a flat z `[batch, D]`, coarsest first, each `[batch, h, w, c]`."""
        sizes = [math.prod(shape) for shape in self.part_shapes]
        parts = tf.split(z, sizes, axis=-1)
        return [
            tf.reshape(part, [-1, *shape])
            for part, shape in zip(parts, self.part_shapes, strict=True)
        ]

    def join(self, parts: Sequence) -> tf.Tensor:
        """The flat z `[batch, D]` of the levels' parts, coarsest first: undoes `split`."""
        sizes = [math.prod(shape) for shape in self.part_shapes]
        flat = [tf.reshape(part, [-1, size]) for part, size in zip(parts, sizes, strict=True)]
        return tf.concat(flat, axis=-1)

    def adapt(self, x: ArrayLike, context: ArrayLike | None = None) -> tf.Tensor:
        x = self._checked(x, "x", Pass(context))
        parts = []
        for level in reversed(self.levels[1:]):
            x, part = tf.split(level.adapt(x, context), 2, axis=-1)
            parts.insert(0, part)
        return self.join([self.levels[0].adapt(x, context), *parts])

    @property
    def needs_adapt(self) -> bool:
        return any(level.needs_adapt for level in self.levels)

    @property
    def log_det_estimator(self) -> str | None:
        found = (layer.log_det_estimator for layer in self.levels)
        return next(filter(None, found), None)

    def _forward(self, z, call):
        first, *parts = self.split(z)
        x, total = self.levels[0].forward_pass(first, call)
        for level, part in zip(self.levels[1:], parts, strict=True):
            joined = tf.concat([x, part], axis=-1)
            x, log_det = level.forward_pass(joined, call)
            total += log_det
        return x, total

    def _inverse(self, x, call):
        total, parts = 0.0, []
        for level in reversed(self.levels[1:]):
            latent, log_det = level.inverse_pass(x, call)
            x, part = tf.split(latent, 2, axis=-1)
            parts.insert(0, part)
            total += log_det
        z, log_det = self.levels[0].inverse_pass(x, call)
        return self.join([z, *parts]), total + log_det

    def get_config(self):
        levels = [keras.saving.serialize_keras_object(level) for level in self.levels]
        return {**super().get_config(), "levels": levels, "image_shape": self.image_shape}

    @classmethod
    def from_config(cls, config):
        levels = [keras.saving.deserialize_keras_object(level) for level in config["levels"]]
        return cls(**{**config, "levels": levels})
