"""Equal layers one after the other, traced once and run in a loop."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import keras
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.layers.base import InvertibleLayer
from tfflows.layers.memory import require_memory_mode
from tfflows.layers.passes import Pass
from tfflows.layers.stacked_steps import StackedSteps
from tfflows.layers.starts import starts
from tfflows.layers.steps import StepView
from tfflows.layers.untracked import Untracked
from tfflows.random.seeds import generator_state_of_step


@keras.saving.register_keras_serializable(package="tfflows")
class Stack(InvertibleLayer):
    """n equal layers with weights of their own, as a `Chain` of them, but traced once.

        forward:  x = f_n(... f_2(f_1(z)))
        inverse:  z = f_1^-1(... f_n^-1(x))
        log-det:  the sum of the steps' log-dets

    Each weight of the n steps lies in one array, `[n, ...]`, and the steps run in a loop, so that
    tracing costs the same for 4 of them and for 48. Files hold the steps' weights one by one, as
    those of a `Chain` of n layers would be. In an export, whose weights are constants, the loop is
    written out.

    Args:
        layer: what the steps have in common, an `InvertibleLayer` that was not built yet and keeps
            the event's shape. Each step starts from an initialisation of its own.
        n: number of steps, at least 1.
        memory: how the gradient of the inverse pass comes by the steps' activations, see
            `tfflows.layers.Chain`.

    Raises:
        ValueError: if the layer is none, was built, changes the event's shape or has a memory mode
            of its own, if n is below 1, or for an unknown `memory`.

    Example:
        >>> coupling = tfflows.layers.AffineCoupling(tfflows.networks.MLP(4, hidden=(8,)), "half")
        >>> stack = tfflows.layers.Stack(
        ...     tfflows.layers.Chain([coupling, tfflows.layers.Reverse()]), n=3
        ... )
        >>> x, log_det = stack.forward_and_log_det(tf.ones([5, 4]))
        >>> sorted(tuple(weight.shape) for weight in stack.weights)
        [(3, 2, 8), (3, 4), (3, 8), (3, 8, 4)]
        >>> stack.steps[1].layers[0].conditioner.hidden_0.kernel.shape
        TensorShape([2, 8])
    """

    def __init__(self, layer: InvertibleLayer, n: int, memory: str = "store", **kwargs):
        super().__init__(**kwargs)
        if not isinstance(layer, InvertibleLayer):
            raise ValueError(f"Stack takes an InvertibleLayer, but found {layer!r}.")
        if layer.built:
            raise ValueError(
                f"Stack takes a layer that was not built yet, which it builds {n} times, but "
                f"'{layer.name}' has weights already."
            )
        if n < 1:
            raise ValueError(f"Stack needs n of at least 1, but found {n}.")
        if layer.compute_dtype != self.compute_dtype:
            raise ValueError(
                f"Stack computes in {self.compute_dtype}, but its layer '{layer.name}' has dtype "
                f"{layer.compute_dtype}; give both the same dtype."
            )
        for part in layer._flatten_layers():
            if getattr(part, "memory", "store") != "store":
                raise ValueError(
                    f"Stack takes the memory mode of its steps as its own argument, but found "
                    f"memory={part.memory!r} in '{part.name}'; give it to the Stack."
                )
        self.n = int(n)
        # As it is now, without weights.
        self._layer_config = keras.saving.serialize_keras_object(layer)
        self.memory = memory
        # Its own weights only lend their places to those of the step that is looked at.
        self._template = Untracked(layer)
        self.views = [{} for _ in range(self.n)]
        self.steps = [StepView.of(self, k, layer) for k in range(self.n)]
        for k, step in enumerate(self.steps):
            setattr(self, f"step_{k:03d}", step)
        self.supports_jit = all(part.supports_jit for part in layer._flatten_layers())

    def template(self) -> InvertibleLayer:
        """What the steps have in common: a layer in whose weights' places those of a step go."""
        return self._template.value

    @property
    def memory(self) -> str:
        """How the gradient of the inverse pass comes by the steps' activations."""
        return self._memory

    @memory.setter
    def memory(self, value: str):
        self._memory = require_memory_mode(value)

    def build(self, z_shape, context_shape=None):
        layer = self.template()
        # In this scope weights are only described; at its end they start.
        with keras.StatelessScope():
            layer.build(z_shape, context_shape)
            initializers = [weight._initializer for weight in layer.weights]
        found = tuple(layer.forward_event_shape(tuple(z_shape[1:])))
        if found != tuple(z_shape[1:]):
            raise ValueError(
                f"Stack takes layers that keep the shape of the event, but '{layer.name}' maps "
                f"{tuple(z_shape[1:])} to {found}."
            )
        self._variables = Untracked(list(layer.weights))
        self.stacked = [
            self._stacked_weight(weight, initializer)
            for weight, initializer in zip(layer.weights, initializers, strict=True)
        ]
        self.places = {id(weight): i for i, weight in enumerate(layer.weights)}
        super().build(z_shape, context_shape)

    def _stacked_weight(self, weight, initializer):
        if weight.constraint is not None:
            raise ValueError(
                f"Stack '{self.name}' found a constraint on the weight '{weight.path}', which "
                "would act on the weights of all steps at once; leave it out."
            )
        values = starts(initializer, weight, self.n)
        return self.add_weight(
            shape=(self.n, *weight.shape),
            initializer=lambda shape, dtype: values,
            dtype=weight.dtype,
            trainable=weight.trainable,
            autocast=False,
            regularizer=weight.regularizer,
            aggregation=weight.aggregation,
            name=weight.name,
        )

    # The steps' weights, one by one.

    def unrolled(self) -> list[StepView]:
        """The layers of a `Chain` that would do the same, base first."""
        parts = [getattr(step, "layers", [step]) for step in self.steps]
        return [layer for step in parts for layer in step]

    def weight_of(self, index: int | tf.Tensor, weight: keras.Variable) -> tf.Tensor:
        """Step `index`'s value of a weight of the template."""
        return tf.convert_to_tensor(self._array_of(weight))[index]

    def set_weight_of(self, index: int, weight: keras.Variable, value: ArrayLike) -> None:
        """Set it."""
        array = self._array_of(weight)
        if isinstance(array.value, tf.distribute.DistributedValues):  # which have no slices
            values = array.numpy()
            values[index] = value
            array.assign(values)
        else:
            array.value[index].assign(value)

    def _array_of(self, weight):
        return self.stacked[self.places[id(weight)]]

    def weights_of(self, index: int, constants: bool = False) -> list[tf.Tensor]:
        """All weights of a step; as constants they are those of this moment, in a graph too."""
        with tf.init_scope() if constants else contextlib.nullcontext():
            return [tf.convert_to_tensor(weight)[index] for weight in self.stacked]

    @property
    def variables_of_layer(self) -> list[keras.Variable]:
        """The weights of the template, in whose places a step's are put."""
        return self._variables.value

    def with_weights_of(
        self,
        index: int | tf.Tensor,
        weights: Sequence[keras.Variable] | None = None,
        seeds: Sequence = (),
    ) -> contextlib.AbstractContextManager:
        """Scope in which the template has a step's weights, and updates of them are collected."""
        if not self.built:
            return contextlib.nullcontext()
        if weights is None:
            return _WeightsOnDemand(self, index)
        values = [*zip(self.variables_of_layer, weights, strict=True)]
        values += [(state, generator_state_of_step(seed, index)) for state, seed in seeds]
        return keras.StatelessScope(values)

    # Data-dependent state.

    def adapt(self, x: ArrayLike, context: ArrayLike | None = None) -> tf.Tensor:
        z = self._checked(x, "x", Pass(context))

        @tf.function(autograph=False)
        def adapt_step(x, weights):
            with self.with_weights_of(None, weights) as scope:
                x = self.template().adapt(x, context)
            now = [scope.get_current_value(weight) for weight in self.variables_of_layer]
            changed = [i for i, weight in enumerate(weights) if now[i] is not weight]
            return x, {i: now[i] for i in changed}

        adapted = []
        unstacked = [tf.unstack(tf.convert_to_tensor(weight)) for weight in self.stacked]
        for weights in reversed([*zip(*unstacked, strict=True)]):
            z, changed = adapt_step(z, weights)
            adapted.insert(0, changed)
        for i in adapted[0]:
            self.stacked[i].assign(tf.stack([changed[i] for changed in adapted]))
        return z

    @property
    def needs_adapt(self) -> bool:
        with self.with_weights_of(0):
            return self.template().needs_adapt

    @property
    def log_det_estimator(self) -> str | None:
        return self.template().log_det_estimator

    # The maps.

    def _forward(self, z, call):
        return self._composed("forward_pass", z, call, range(self.n))

    def _inverse(self, x, call):
        return self._composed("inverse_pass", x, call, range(self.n - 1, -1, -1))

    def _composed(self, method, value, call, indices):
        steps = StackedSteps(self, call)
        # What is recorded within a loop could not leave it.
        if call.constants or call.costs is not None or self.n == 1:
            value, total, states = steps.written_out(method, value, indices)
        elif method == "inverse_pass" and self.memory != "store":
            value, total, states = steps.inverse_in_little_memory(value, indices, self.memory)
        else:
            value, total, states, _ = steps.loop(method, value, indices)
        for i in steps.changed:
            self.stacked[i].assign(states[steps.state.index(i)])
        return value, total

    def save_own_variables(self, store):
        """Nothing to do: each step saves its own."""

    def load_own_variables(self, store):
        """Nothing to do: each step loads its own."""

    def get_config(self):
        config = {"layer": self._layer_config, "n": self.n, "memory": self.memory}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})


class _WeightsOnDemand(keras.StatelessScope):
    """A scope that looks up a step's weights when asked for them, and keeps what they become."""

    def __init__(self, stack: Stack, index: int):
        super().__init__()
        self._stack, self._index = stack, index
        self._assigned = {}

    def get_current_value(self, variable):
        if id(variable) in self._stack.places and id(variable) not in self.state_mapping:
            self.state_mapping[id(variable)] = self._stack.weight_of(self._index, variable)
        return super().get_current_value(variable)

    def add_update(self, update):
        super().add_update(update)
        variable, value = update
        if id(variable) in self._stack.places:
            self._assigned[id(variable)] = variable, value

    def __exit__(self, *args, **kwargs):
        super().__exit__(*args, **kwargs)
        for variable, value in self._assigned.values():
            self._stack.set_weight_of(self._index, variable, value)
