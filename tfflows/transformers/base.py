"""What every transformer is, and what those that take one check."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Sequence
from typing import ClassVar

import keras
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Transformer:
    """An elementwise invertible map whose parameters a conditioner gives, as a value.

    Both directions take one parameter after the other, as unconstrained reals: every value of
    every parameter gives an increasing map. Each direction returns its own log-derivative, one
    number per dimension, which layers sum:

        forward:  x, log|dx/dz|        inverse:  z, log|dz/dx|

    A new transformer is a frozen dataclass, registered with Keras, whose fields are its settings.
    It states `num_parameters` and implements `_forward(z, *parameters)` and
    `_inverse(x, *parameters)`. A line in `tfflows/transformers/__init__.py` lists it, and all
    property tests then run on it.

    Attributes:
        num_parameters: number of parameters per dimension, which may be a property.
        domain, range: where z and x live: `"real"`, `"positive"` or `"unit"`.
        zeros_are_identity: whether parameters of 0 give the identity.

    Args of both directions:
        z, x: a floating tensor of any shape.
        parameters: a sequence of `num_parameters` tensors of that dtype, each of that shape or of
            one that broadcasts to it, in the order that the class names them.

    Raises:
        ValueError: if the number of parameters, a shape or a dtype is not as it should be.
    """

    num_parameters: ClassVar[int]
    domain: ClassVar[str] = "real"
    range: ClassVar[str] = "real"
    zeros_are_identity: ClassVar[bool] = True

    # What a new transformer implements.

    def _forward(self, z, *parameters):
        raise NotImplementedError(f"{type(self).__name__} has no forward map.")

    def _inverse(self, x, *parameters):
        raise NotImplementedError(f"{type(self).__name__} has no inverse map.")

    # What layers call.

    def forward(self, z: tf.Tensor, parameters: Sequence) -> tuple[tf.Tensor, tf.Tensor]:
        """Map `z` to `x` and return `x, log|dx/dz|`, both of z's shape."""
        z, parameters = self._checked(z, parameters)
        x, log_det = self._forward(z, *parameters)
        return x, _of_shape(log_det, z)

    def inverse(self, x: tf.Tensor, parameters: Sequence) -> tuple[tf.Tensor, tf.Tensor]:
        """Map `x` to `z` and return `z, log|dz/dx|`, both of x's shape."""
        x, parameters = self._checked(x, parameters)
        z, log_det = self._inverse(x, *parameters)
        return z, _of_shape(log_det, x)

    def _checked(self, value, parameters):
        value = tf.convert_to_tensor(value)
        if len(parameters) != self.num_parameters:
            raise ValueError(
                f"{type(self).__name__} takes {self.num_parameters} parameters per dimension, but "
                f"found {len(parameters)}."
            )
        return value, [self._checked_parameter(p, value) for p in parameters]

    def _checked_parameter(self, parameter, value):
        if not tf.is_tensor(parameter):
            parameter = tf.convert_to_tensor(parameter, value.dtype)
        if parameter.dtype != value.dtype:
            raise ValueError(
                f"{type(self).__name__} expected parameters of its values' dtype "
                f"{value.dtype.name}, but found {parameter.dtype.name}; cast them first."
            )
        if not _broadcasts_to(parameter.shape, value.shape):
            raise ValueError(
                f"{type(self).__name__} expected parameters of a shape that broadcasts to its "
                f"values' {tuple(value.shape)}, but found {tuple(parameter.shape)}."
            )
        return parameter

    # Keras's side of the contract.

    def get_config(self) -> dict:
        """The dataclass's fields, from which `from_config` makes an equal transformer."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_config(cls, config: dict) -> Transformer:
        """The transformer that has this configuration."""
        return cls(**config)


def _of_shape(log_det, value):
    # Most are of that shape already, and gradients of broadcasts take time.
    is_same = log_det.shape.rank is not None and log_det.shape.as_list() == value.shape.as_list()
    return log_det if is_same else tf.broadcast_to(log_det, tf.shape(value))


def _broadcasts_to(shape, target) -> bool:
    if shape.rank is None or target.rank is None:
        return True
    if shape.rank > target.rank:
        return False
    sizes = zip(reversed(shape), reversed(target), strict=False)
    return all(size in (1, None) or wanted in (size, None) for size, wanted in sizes)


def of_rank(parameters: Sequence[tf.Tensor], rank: int) -> list[tf.Tensor]:
    """Parameters with new axes in front, up to the values' rank, so that they can be stacked."""
    return [
        p if p.shape.rank == rank else p[(tf.newaxis,) * (rank - p.shape.rank)] for p in parameters
    ]


def as_transformer(value: tf.Tensor) -> Transformer:
    """The transformer that a layer was given, as itself or in Keras's serialised form.

    Args:
        value: a `Transformer`, or what `keras.saving.serialize_keras_object` makes of one.

    Raises:
        ValueError: if it is neither.

    Example:
        >>> config = keras.saving.serialize_keras_object(tfflows.transformers.Affine(bound=3.0))
        >>> tfflows.transformers.as_transformer(config)
        Affine(bound=3.0)
    """
    if isinstance(value, Transformer):
        return value
    expected = "A layer's transformer is a tfflows.transformers.Transformer, such as Affine()"
    if isinstance(value, dict):
        try:
            found = keras.saving.deserialize_keras_object(value)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{expected}, or its serialised form, but found a dictionary of which Keras makes "
                f"none: {value!r}."
            ) from error
        if isinstance(found, Transformer):
            return found
        value = found
    if isinstance(value, type) and issubclass(value, Transformer):
        raise ValueError(
            f"{expected}, but found the class {value.__name__}; make one: {value.__name__}()."
        )
    raise ValueError(f"{expected}, but found {value!r}.")


def checked_bound(transformer: Transformer, bound, name: str = "bound") -> float:
    """The bound of a parameter, a setting of that name, as a float.

    Raises:
        ValueError: if it is not a positive finite number.
    """
    if not (isinstance(bound, numbers.Real) and bound > 0 and math.isfinite(bound)):
        raise ValueError(
            f"{type(transformer).__name__} needs a positive finite {name}, but found {bound!r}."
        )
    return float(bound)


def checked_integer(transformer: Transformer, name: str, least: int) -> int:
    """A setting that is an integer of at least `least`.

    Raises:
        ValueError: if it is none.
    """
    value = getattr(transformer, name)
    if not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(
            f"{type(transformer).__name__} needs {name} to be an integer of at least {least}, but "
            f"found {value!r}."
        )
    return int(value)


def checked_share(transformer: Transformer, name: str, limit: float) -> float:
    """A setting that is a number between 0 and `limit`.

    Raises:
        ValueError: if it is none.
    """
    value = getattr(transformer, name)
    if not (isinstance(value, numbers.Real) and 0 < value < limit):
        raise ValueError(
            f"{type(transformer).__name__} needs {name} to be between 0 and {limit:g}, but found "
            f"{value!r}."
        )
    return float(value)
