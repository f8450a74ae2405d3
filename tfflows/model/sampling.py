"""What a flow draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import as_dtype, require_dtype
from tfflows.distributions.standard import as_base
from tfflows.layers.multiscale import MultiScale
from tfflows.layers.parts import layers_of_kind
from tfflows.layers.passes import Pass
from tfflows.model.compiled import not_converted
from tfflows.model.row_batches import in_batches
from tfflows.random.noise import BatchNoise
from tfflows.random.seeds import stateless_seed

if TYPE_CHECKING:
    import tensorflow_probability as tfp


class FlowSampling:
    """The part of `Flow` that draws.

    It knows a flow's `transform`, `num_classes` and `compute_dtype`.
    """

    def _init_base(self, base):
        layer = as_base(base, self.compute_dtype)
        require_dtype("base", layer, self.compute_dtype)
        if not layer.built:
            multiscale = layers_of_kind(self.transform, MultiScale)
            part_shapes = multiscale[0].part_shapes if multiscale else None
            layer.build(self.transform.latent_shape, part_shapes)
        if layer.latent_shape != self.transform.latent_shape:
            raise ValueError(
                f"The base was built for latents of shape {layer.latent_shape}, but those of the "
                f"transform have shape {self.transform.latent_shape}; make a new base."
            )
        self.base_layer = layer
        self._base_name = base if isinstance(base, str) else None

    @property
    def base(self) -> tfp.distributions.Distribution:
        """Distribution of z; its weights are those of `base_layer`."""
        return self.base_layer.distribution

    @not_converted
    def sample(
        self,
        n: int,
        temperature: float = 1.0,
        seed: ArrayLike | None = None,
        context: ArrayLike | None = None,
        batch_size: int | None = None,
    ) -> tf.Tensor:
        """Draw `[n, *event_shape]` samples, continuous values also for images.

        Args:
            n: number of samples.
            temperature: factor on z, for some bases on its deviation from a centre; 1 for the
                density itself, below 1 for more typical samples.
            seed: an integer (or a pair) for reproducible samples, up to rounding the same in eager
                mode, in `tf.function` and under XLA (there a base that is a distribution of TFP
                draws other ones, if the seed is a tensor).
            context: `[n, context_dim]` or labels `[n]`, or one context for all samples; for n
                samples of each of m contexts, see `given`.
            batch_size: samples at a time, for more than fit into memory at once; `None` for all.

        Raises:
            ValueError: if n or the batch size is below 1, the temperature negative, or the context
                does not fit.
        """
        return self._draw(n, temperature, seed, context, batch_size, log_dets=False)[0]

    @not_converted
    def sample_and_log_prob(
        self,
        n: int,
        temperature: float = 1.0,
        seed: ArrayLike | None = None,
        context: ArrayLike | None = None,
        batch_size: int | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`sample`, and the `log_prob` of what was drawn, `[n]`, from the same pass.

        It is that of the flow itself, whatever the temperature; arguments and errors as for
        `sample`.
        """
        return self._draw(n, temperature, seed, context, batch_size, log_dets=True)

    def draw_base(self, n: int, seed: ArrayLike, temperature: float = 1.0) -> tf.Tensor:
        """n latents of the base, n a number or a scalar tensor."""
        return self.base_layer.draw(BatchNoise(n, seed, self.compute_dtype), temperature)

    def _draw(self, n, temperature, seed, context, batch_size, log_dets) -> Any:
        if tf.is_tensor(n) and n.dtype.is_integer and tf.executing_eagerly():
            n = n.numpy()
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(f"sample needs an integer n of at least 1, but found {n}.")
        if not tf.is_tensor(temperature) and not temperature >= 0:
            raise ValueError(f"sample needs a temperature of at least 0, but found {temperature}.")
        if context is not None and self.is_conditional:
            context = tf.convert_to_tensor(context)
            if context.shape.rank == (0 if self.num_classes else 1):
                context = tf.repeat(context[tf.newaxis], n, axis=0)
            elif context.shape[0] not in (None, n):
                raise ValueError(
                    f"{self.name} was asked for {n} samples with {context.shape[0]} contexts: give "
                    "one for all or one for each. given(context).sample(n) draws n of each."
                )
        context = self.layer_context(context, tf.TensorSpec((n, *self.transform.latent_shape)))
        temperature = as_dtype(temperature, self.compute_dtype)
        numbers = tf.constant(n, tf.int32), stateless_seed(seed), temperature
        if batch_size is None:
            return self._compiled(self._drawn, (context,), numbers, log_dets=log_dets)
        # All latents at once, so that they are the same for all batch sizes.
        z = self._compiled(self.draw_base, (), numbers)

        def decoded(z, context):
            return self._compiled(self._decoded, (z, context), log_dets=log_dets)

        return in_batches(decoded, (z, context), batch_size)

    def _drawn(self, context, n, seed, temperature, log_dets):
        return self._decoded(self.draw_base(n, seed, temperature), context, log_dets)

    def _decoded(self, z, context, log_dets):
        call = Pass(context, log_dets=log_dets)
        x, log_det = self.transform.forward_pass(z, call)
        return x, self.base_layer.log_prob(z, call) - log_det if log_dets else None
