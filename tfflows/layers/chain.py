"""Composition of invertible layers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import keras
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.layers.base import InvertibleLayer
from tfflows.layers.batch_normalization import BatchNormalization
from tfflows.layers.memory import inverse_in_little_memory, require_memory_mode
from tfflows.layers.parts import all_parts
from tfflows.layers.passes import Pass
from tfflows.layers.preprocessing import Reshape
from tfflows.layers.stack import Stack
from tfflows.layers.steps import StepView


@keras.saving.register_keras_serializable(package="tfflows")
class Chain(InvertibleLayer):
    """Composition of invertible layers, in the order that sampling runs through them.

        forward:  x = f_n(... f_2(f_1(z)))
        inverse:  z = f_1^-1(... f_n^-1(x))
        log-det:  the sum of the layers' log-dets

    The first layer is the one next to the base, as in `keras.Sequential` and contrary to
    `tfb.Chain`, whose last bijector acts first.

    Args:
        layers: invertible layers, base first. A layer with one set of weights may appear once.
        memory: how the gradient of the inverse pass comes by the layers' activations: `"store"`
            keeps all of them, `"checkpoint"` keeps the layers' inputs and computes the rest anew,
            `"invert"` keeps nothing and inverts, which is for layers whose two directions cost
            the same. The results are the same, but for rounding. It may be changed at any time
            before the next trace.
        precise: whether layers of float32 hand on float64 outside of training. Where an inverse
            enlarges errors, as that of a residual block does by up to 1 / (1 - c), rounding to
            float32 between many layers costs most digits. Weights stay float32, and z and x are
            rounded at both ends. It is for layers that cast their weights to the dtype of z or x:
            `ActNorm`, `Standardize`, `ResidualBlock`, `ContinuousLayer`, `MultiScale` and those
            without weights.

    Raises:
        ValueError: if `layers` is empty, holds the same layer twice or something else than
            an `InvertibleLayer`, or for an unknown `memory`.

    Example:
        >>> chain = tfflows.layers.Chain([tfflows.layers.Scale(), tfflows.layers.Reverse()])
        >>> x, log_det = chain.forward_and_log_det(tf.ones([3, 2]))
        >>> x.shape, log_det.shape
        (TensorShape([3, 2]), TensorShape([3]))
    """

    def __init__(
        self,
        layers: Sequence[InvertibleLayer],
        memory: str = "store",
        precise: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.memory = memory
        self.precise = bool(precise)
        layers = list(layers)
        if not layers:
            raise ValueError("Chain needs at least one layer, but found an empty list.")
        for layer in layers:
            if not isinstance(layer, InvertibleLayer):
                raise ValueError(
                    f"Chain takes InvertibleLayers, but found {layer!r}; wrap a tfb.Bijector with "
                    "tfflows.bijectors.BijectorLayer."
                )
            if layer.compute_dtype != self.compute_dtype:
                raise ValueError(
                    f"Chain computes in {self.compute_dtype}, but its layer '{layer.name}' has "
                    f"dtype {layer.compute_dtype}; give both the same dtype."
                )
        if len({id(layer) for layer in layers}) < len(layers):
            raise ValueError("Chain found the same layer twice; create one layer for each place.")
        self.layers = layers
        # Names in files, also of `tf.train.Checkpoint`, which does not look into Keras's lists. The
        # steps of a stack have those that they would have without it.
        for i, layer in enumerate(self.unrolled()):
            setattr(self, f"layer_{i:03d}", layer)
        for i, layer in enumerate(part for part in layers if isinstance(part, Stack)):
            setattr(self, f"stack_{i:03d}", layer)

    def unrolled(self) -> list[InvertibleLayer | StepView]:
        """The layers, base first, with the steps of stacks in the stacks' places."""
        parts = [layer.unrolled() if isinstance(layer, Stack) else [layer] for layer in self.layers]
        return [*itertools.chain(*parts)]

    def build(self, z_shape, context_shape=None):
        shape = tuple(z_shape)
        for layer in self.layers:
            if not layer.built:
                layer.build(shape, context_shape)
            shape = (shape[0], *layer.forward_event_shape(shape[1:]))
        if self.precise:
            for layer in self._flatten_layers(include_self=False):
                if isinstance(layer, InvertibleLayer):
                    layer.build_in_float64()
        super().build(z_shape, context_shape)

    def forward_event_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        for layer in self.layers:
            shape = layer.forward_event_shape(shape)
        return tuple(shape)

    def inverse_event_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        for layer in reversed(self.layers):
            shape = layer.inverse_event_shape(shape)
        return tuple(shape)

    def adapt(self, x: ArrayLike, context: ArrayLike | None = None) -> tf.Tensor:
        z = self._checked(x, "x", Pass(context))
        for layer in reversed(self.layers):
            z = layer.adapt(z, context)
        return z

    @property
    def needs_adapt(self) -> bool:
        return any(layer.needs_adapt for layer in self.layers)

    @property
    def log_det_estimator(self) -> str | None:
        found = (layer.log_det_estimator for layer in self.layers)
        return next(filter(None, found), None)

    def _forward(self, z, call):
        return self._in_float64(self._sequence, z, call)

    def _inverse(self, x, call):
        return self._in_float64(self._reversed_sequence, x, call)

    def _in_float64(self, sequence, value, call):
        if call.training or not self.precise:
            return sequence(value, call)
        context = None if call.context is None else tf.cast(call.context, tf.float64)
        wide = call.replace(context=context, dtype="float64")
        results = sequence(tf.cast(value, tf.float64), wide)
        return tuple(tf.cast(result, call.dtype or self.compute_dtype) for result in results)

    def _sequence(self, z, call):
        total = 0.0
        for layer in self.layers:
            z, log_det = layer.forward_pass(z, call)
            if call.log_dets:
                total += log_det
        return z, total

    @property
    def memory(self) -> str:
        """How the gradient of the inverse pass comes by the layers' activations."""
        return self._memory

    @memory.setter
    def memory(self, value: str):
        self._memory = require_memory_mode(value)

    @property
    def takes_float64(self) -> bool:
        return self._num_wide > 0

    @property
    def _num_wide(self):
        """How many layers a float64 x may pass before it has this chain's dtype."""
        for i, layer in enumerate(reversed(self.layers)):
            if not layer.takes_float64:
                break
            if not isinstance(layer, Reshape):
                return i + 1
        return 0

    def _reversed_sequence(self, x, call):
        is_wide = x.dtype != (call.dtype or self.compute_dtype)
        rest = len(self.layers) - (self._num_wide if is_wide else 0)
        x, total = self._run_reversed(self.layers[rest:], x, call)
        if self.memory == "store":
            x, log_det = self._run_reversed(self.layers[:rest], x, call)
        else:
            x, log_det = inverse_in_little_memory(self.layers[:rest], x, call, self.memory)
        return x, total + log_det

    @staticmethod
    def _run_reversed(layers, x, call):
        total = 0.0
        for layer in reversed(layers):
            x, log_det = layer.inverse_pass(x, call)
            if call.log_dets:
                total += log_det
        return x, total

    def inverse_gradients(
        self,
        z: tf.Tensor,
        x: tf.Tensor | None,
        call: Pass,
        output_gradients: Sequence,
        sources: Sequence,
    ) -> tuple:
        if x is not None:
            return super().inverse_gradients(z, x, call, output_gradients, sources)
        # One layer after the other, from z to x, each of which may have a short way.
        dz, d_log_det = output_gradients
        totals = [tf.zeros_like(source) for source in sources]
        for layer in self.layers:
            own = {id(weight.value) for weight in layer.trainable_weights} | {id(call.context)}
            places = [i for i, source in enumerate(sources) if id(source) in own]
            z, dz, found = layer.inverse_gradients(
                z, None, call, [dz, d_log_det], [sources[i] for i in places]
            )
            for i, gradient in zip(places, found, strict=True):
                totals[i] += gradient
        return z, dz, totals

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return {
            **super().get_config(),
            "layers": layers,
            "memory": self.memory,
            "precise": self.precise,
        }

    @classmethod
    def from_config(cls, config):
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config["layers"]]
        return cls(**{**config, "layers": layers})


def set_memory_mode(layer: InvertibleLayer, memory: str):
    """Set `memory` of the innermost chains of a layer: outer ones would do their work again.

    Raises:
        ValueError: for an unknown mode, or dropout or batch normalisation where activations are to
            be computed anew.
    """
    require_memory_mode(memory)
    parts = all_parts(layer)
    norms = [part.name for part in parts if isinstance(part, BatchNormalization)]
    if memory != "store" and norms:
        raise ValueError(
            f"memory={memory!r} computes activations anew, but found batch normalisation "
            f"('{norms[0]}'), whose running statistics that would move again; use memory='store'."
        )
    noisy = [part.name for part in parts if part._seed_generators]
    if memory != "store" and noisy:
        raise ValueError(
            f"memory={memory!r} calls the networks twice, but found dropout or the like "
            f"('{noisy[0]}'), which would not be the same in both calls; use memory='store'."
        )
    # A stack goes by its own mode, not by that of the chain that its steps have in common.
    for part in layer._flatten_layers():
        is_innermost = isinstance(part, Chain) and not any(map(_is_composite, part.layers))
        if isinstance(part, Stack) or is_innermost:
            part.memory = memory


def _is_composite(layer: InvertibleLayer) -> bool:
    if isinstance(layer, Stack):
        return True
    inner = layer._flatten_layers(include_self=False)
    return any(isinstance(part, InvertibleLayer) for part in inner)
