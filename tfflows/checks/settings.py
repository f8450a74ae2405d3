"""Settings as values: frozen dataclasses that Keras saves."""

from __future__ import annotations

import dataclasses
import math
import numbers

import keras


@dataclasses.dataclass(frozen=True)
class Settings:
    """A frozen dataclass whose fields are settings, to be registered with Keras.

    Fields are numbers, strings, `None` or other `Settings`; `get_config` serialises those, and
    `__post_init__` of a class that has some calls `as_value` on them.

    Example:
        >>> solver = tfflows.ode.RungeKutta4(steps=5)
        >>> solver.get_config()
        {'steps': 5}
        >>> type(solver).from_config(solver.get_config()) == solver
        True
    """

    def get_config(self) -> dict:
        """The fields, from which `from_config` makes an equal value."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: serialized(value) for name, value in values.items()}

    @classmethod
    def from_config(cls, config: dict) -> Settings:
        """The value that has this configuration."""
        return cls(**config)


def serialized(value):
    """Keras's form of a `Settings`; other values as they are."""
    return keras.saving.serialize_keras_object(value) if isinstance(value, Settings) else value


def as_value(kind: type, value, expected: str):
    """The value of a kind that an argument is, as itself or in Keras's serialised form.

    Args:
        kind: a class that Keras serialises, such as a subclass of `Settings`.
        value: one of them, or what `keras.saving.serialize_keras_object` makes of it.
        expected: a sentence without its full stop that says what the argument is.

    Raises:
        ValueError: if it is neither.

    Example:
        >>> from tfflows.checks.settings import as_value
        >>> as_value(tfflows.ode.Solver, "rk4", "A solver is a value, such as RungeKutta4()")
        Traceback (most recent call last):
        ValueError: A solver is a value, such as RungeKutta4(), but found 'rk4'.
    """
    found = value
    if isinstance(value, dict):
        try:
            found = keras.saving.deserialize_keras_object(value)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{expected}, but Keras makes none of {value!r}.") from error
    if isinstance(found, type) and issubclass(found, kind):
        raise ValueError(
            f"{expected}, but found the class {found.__name__}; make one: {found.__name__}()."
        )
    if not isinstance(found, kind):
        raise ValueError(f"{expected}, but found {found!r}.")
    return found


def set_positive(settings: Settings, *names: str, integers: bool = False):
    """Make fields of frozen settings floats, or check that they are integers.

    Raises:
        ValueError: unless they are positive and finite.
    """
    for name in names:
        value = getattr(settings, name)
        kind, words = (numbers.Integral, "integer") if integers else (numbers.Real, "finite")
        if not isinstance(value, kind) or not 0 < value < math.inf:
            raise ValueError(
                f"{type(settings).__name__} needs a positive {words} {name}, but found {value!r}."
            )
        object.__setattr__(settings, name, int(value) if integers else float(value))
