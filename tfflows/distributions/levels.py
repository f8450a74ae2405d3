"""Bases of the levels of an image flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from tfflows.distributions.bases import Base

if TYPE_CHECKING:
    import tensorflow_probability as tfp


@keras.saving.register_keras_serializable(package="tfflows")
class PerLevel(Base):
    """A base for each level of an image flow with a `tfflows.layers.MultiScale`.

        p(z) = prod_i p_i(z_i),  z_0 the part of the coarsest level

    Args:
        bases: one `Base` a level, coarsest first; each sees its part of z as a vector.

    Raises:
        ValueError: if something else than bases is given, one of another dtype, or not as many as
            the flow has levels.

    Example:
        >>> bases = [tfflows.distributions.StudentT(4.0), tfflows.distributions.Normal()]
        >>> base = tfflows.distributions.PerLevel(bases)
        >>> flow = tfflows.Glow((4, 4, 1), levels=2, steps=1, width=4, base=base)
        >>> flow.base.event_shape
        TensorShape([16])
    """

    def __init__(self, bases: Sequence[Base], **kwargs):
        super().__init__(**kwargs)
        self.bases = list(bases)
        for base in self.bases:
            if not isinstance(base, Base):
                raise ValueError(f"PerLevel takes bases, but found {base!r}.")
            if base.compute_dtype != self.compute_dtype:
                raise ValueError(
                    f"PerLevel computes in {self.compute_dtype}, but its base '{base.name}' has "
                    f"dtype {base.compute_dtype}; give both the same dtype."
                )
        # tf.train.Checkpoint does not look into Keras's lists.
        for i, base in enumerate(self.bases):
            setattr(self, f"base_{i}", base)

    def build(self, latent_shape, part_shapes=None):
        if part_shapes is None:
            raise ValueError(
                "PerLevel is for flows whose transform has a tfflows.layers.MultiScale, but found "
                "none."
            )
        if len(part_shapes) != len(self.bases):
            raise ValueError(
                f"PerLevel needs a base for each of the {len(part_shapes)} levels, but found "
                f"{len(self.bases)}."
            )
        for base, shape in zip(self.bases, part_shapes, strict=True):
            if not base.built:
                base.build((math.prod(shape),))
            if base.latent_shape != (math.prod(shape),):
                raise ValueError(
                    f"A base of PerLevel was built for latents of shape {base.latent_shape}, but "
                    f"those of its level have shape {(math.prod(shape),)}; make a new base."
                )
        super().build(latent_shape, part_shapes)

    @property
    def distribution(self) -> tfp.distributions.Distribution:
        import tensorflow_probability as tfp

        return tfp.distributions.Blockwise([base.distribution for base in self.bases])

    def draw(self, noise: tf.Tensor, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        sizes = [math.prod(base.latent_shape) for base in self.bases]
        temperatures = tf.split(
            temperature * tf.ones(sum(sizes), self.compute_dtype), sizes, axis=-1
        )
        drawn = [
            base.draw(noise.part(i), own)
            for i, (base, own) in enumerate(zip(self.bases, temperatures, strict=True))
        ]
        return tf.concat(drawn, axis=-1)

    def get_config(self):
        bases = [keras.saving.serialize_keras_object(base) for base in self.bases]
        return {**super().get_config(), "bases": bases}

    @classmethod
    def from_config(cls, config):
        bases = [keras.saving.deserialize_keras_object(base) for base in config["bases"]]
        return cls(**{**config, "bases": bases})
