"""One step of a stack, seen as the layer that it would be by itself."""

from __future__ import annotations

import functools
import inspect

import keras
from keras.src.saving.keras_saveable import KerasSaveable


class StepView(KerasSaveable):
    """A layer of a `Stack` with the weights of one step: `stack.steps[k]` and what is within it.

    It reads and computes as the layer itself would: attributes that are layers come as such views,
    weights as `StepWeight`s, and methods run with the step's weights, which they may move. Keras
    saves and loads the step through it, under the names that the layer's weights have outside of a
    stack. All else is common to the steps, and set for all of them at once: see `Stack.template`.

    Raises:
        AttributeError: if an attribute is set.

    Example:
        >>> stack = tfflows.layers.Stack(tfflows.layers.ActNorm(), n=3)
        >>> stack.build((None, 2))
        >>> stack.steps[2].shift.assign([5.0, 6.0])
        >>> print(stack.steps[2].forward_and_log_det(tf.zeros([1, 2]))[0].numpy())
        [[5. 6.]]
        >>> print(stack.steps[1].forward_and_log_det(tf.zeros([1, 2]))[0].numpy())
        [[0. 0.]]
    """

    def __init__(self, stack, index: int, layer):
        vars(self).update(_stack=stack, _index=index, _layer=layer)

    @staticmethod
    def of(stack, index: int, layer) -> StepView:
        """The one view of a layer at a step: Keras knows what it has saved by its identity."""
        views = stack.views[index]
        if id(layer) not in views:
            views[id(layer)] = _view_of(type(layer))(stack, index, layer)
        return views[id(layer)]

    def is_a(self, kind: type) -> bool:
        """Whether what is seen is of a class."""
        return isinstance(self._layer, kind)

    def __dir__(self):
        return dir(self._layer)

    def __repr__(self):
        return f"<step {self._index} of Stack '{self._stack.name}': {self._layer!r}>"

    def __getattr__(self, name):
        with self._stack.with_weights_of(self._index):
            return self._seen(name, getattr(self._layer, name))

    def __setattr__(self, name, value):
        raise AttributeError(
            f"Step {self._index} of Stack '{self._stack.name}' has no attributes of its own: set "
            f"{name} of all steps at once, in stack.template(), or assign to a weight."
        )

    @property
    def name(self) -> str:
        """The layer's name and the step's number."""
        return f"{self._layer.name}/{self._index}"

    def _obj_type(self):
        return self._layer._obj_type()

    def _seen(self, name, value):
        if isinstance(value, keras.Variable):
            return StepWeight(self._stack, self._index, value)
        if isinstance(value, keras.layers.Layer):
            return StepView.of(self._stack, self._index, value)
        if isinstance(value, (list, tuple)):
            return type(value)(self._seen(name, part) for part in value)
        if inspect.ismethod(value):
            return functools.partial(self._call, value)
        return value

    def _call(self, method, *args, **kwargs):
        with self._stack.with_weights_of(self._index):
            return method(*args, **kwargs)

    # What Keras calls, with the layer's own weights as the place of the step's.

    def save_own_variables(self, store):
        """Write the step's weights of this layer as the layer writes its own."""
        for weight in _own_weights(self._layer):
            weight.assign(self._stack.weight_of(self._index, weight))
        self._layer.save_own_variables(store)

    def load_own_variables(self, store):
        """Read the step's weights of this layer as the layer reads its own."""
        self._layer.load_own_variables(store)
        for weight in _own_weights(self._layer):
            self._stack.set_weight_of(self._index, weight, weight.value)


@functools.cache
def _view_of(kind: type) -> type[StepView]:
    """The class of views of layers of a class, of its name: Keras names what it saves after it."""
    return type(kind.__name__, (StepView,), {"__doc__": StepView.__doc__})


class StepWeight:
    """The weight of one step of a stack, `value[k]` of the array of all steps' weights."""

    def __init__(self, stack, index, weight):
        self._stack, self._index, self._weight = stack, index, weight
        self.shape, self.dtype, self.name = weight.shape, weight.dtype, weight.name

    @property
    def value(self):
        """The weight, as a tensor."""
        return self._stack.weight_of(self._index, self._weight)

    def numpy(self):
        """The weight, as an array."""
        return self.value.numpy()

    def assign(self, value):
        """Set the weight."""
        self._stack.set_weight_of(self._index, self._weight, value)

    def __array__(self, dtype=None, copy=None):
        return self.numpy() if dtype is None else self.numpy().astype(dtype)


def _own_weights(layer):
    return [*layer._trainable_variables, *layer._non_trainable_variables]
