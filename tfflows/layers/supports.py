"""Where the values of a column lie, and the real line mapped onto it."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from tfflows.checks.settings import Settings, set_positive


@dataclasses.dataclass(frozen=True)
class Support(Settings):
    """Where the values of a column of a table lie, as a value.

    Both directions are elementwise and return their own log-derivative:

        forward:  x, log|dx/dz|        inverse:  z, log|dz/dx|

    with z on the real line and x in the column's own units. The inverse is not finite where x is
    outside of the support.

    A column of discrete values has codes k, integers, of which `x = k + u` with uniform noise u in
    (0, 1) stands for k: the support is that of x.

    Attributes:
        has_dimension: whether the column has a place in x.
        is_discrete: whether its values are codes.
        words: what its values are, in an error.
    """

    has_dimension: ClassVar[bool] = True
    is_discrete: ClassVar[bool] = False
    words: ClassVar[str]

    def forward(self, z):
        """Map `z` to `x` and return `x, log|dx/dz|`, both of z's shape."""
        raise NotImplementedError(f"{type(self).__name__} has no forward map.")

    def inverse(self, x):
        """Map `x` to `z` and return `z, log|dz/dx|`, both of x's shape."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse map.")

    def contains(self, values: np.ndarray) -> np.ndarray:
        """Which numbers, or codes, are values of the column; booleans of their shape."""
        return np.isfinite(values)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Real(Support):
    """Any number: x = z."""

    words: ClassVar[str] = "a finite number"

    def forward(self, z):
        return z, tf.zeros_like(z)

    def inverse(self, x):
        return x, tf.zeros_like(x)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class HeavyTails(Support):
    """Any number, some of them far from the others: x = location + scale sinh(z).

    Near its location the map is affine, far away z grows with the logarithm of x.

    Args:
        location: of the middle of the values.
        scale: of their bulk, positive.

    Raises:
        ValueError: if `scale` is not positive.

    Source: Burbidge, Magee and Robb, "Alternative transformations to handle extreme values of the
    dependent variable", 1988.

    Example:
        >>> support = tfflows.layers.supports.HeavyTails(location=0.0, scale=1.0)
        >>> z, log_slope = support.inverse(tf.constant([0.1, 1e6]))
        >>> print(z.numpy().round(2), log_slope.numpy().round(2))
        [ 0.1  14.51] [ -0.   -13.82]
    """

    location: float = 0.0
    scale: float = 1.0
    words: ClassVar[str] = "a finite number"

    def __post_init__(self):
        set_positive(self, "scale")

    def forward(self, z):
        return self.location + self.scale * tf.sinh(z), self._log_slope(z)

    def inverse(self, x):
        z = tf.asinh((x - self.location) / self.scale)
        return z, -self._log_slope(z)

    def _log_slope(self, z):
        size = tf.abs(z)
        return math.log(self.scale / 2) + size + tf.math.log1p(tf.exp(-2 * size))


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Positive(Support):
    """Numbers above another one, by default 0: x = low + exp(z).

    Args:
        low: what all values are above of.

    Example:
        >>> x, _ = tfflows.layers.supports.Positive().forward(tf.constant([-1.0, 0.0, 1.0]))
        >>> print(x.numpy().round(3))
        [0.368 1.    2.718]
    """

    low: float = 0.0

    @property
    def words(self) -> str:
        return f"a number above {self.low:g}"

    def forward(self, z):
        return tf.maximum(self.low + tf.exp(z), _above(self.low, z.dtype)), z

    def inverse(self, x):
        z = tf.math.log(x - self.low)
        return z, -z

    def contains(self, values):
        return np.isfinite(values) & (values > self.low)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Interval(Support):
    """Numbers between two others: x = low + (high - low) sigmoid(z).

    Args:
        low, high: the ends, which are no values themselves.

    Raises:
        ValueError: unless both are finite and `low` is below `high`.

    Example:
        >>> support = tfflows.layers.supports.Interval(-1.0, 1.0)
        >>> x, _ = support.forward(tf.constant([-3.0, 0.0, 3.0]))
        >>> print(x.numpy().round(3))
        [-0.905  0.     0.905]
    """

    low: float
    high: float

    def __post_init__(self):
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(
                f"Interval needs low below high, both finite, but found {self.low!r} and "
                f"{self.high!r}."
            )

    @property
    def words(self) -> str:
        return f"a number between {self.low:g} and {self.high:g}, these excluded"

    def forward(self, z):
        x = self.low + (self.high - self.low) * tf.sigmoid(z)
        first, last = _above(self.low, z.dtype), -_above(-self.high, z.dtype)
        return tf.clip_by_value(x, first, last), self._log_slope(z)

    def inverse(self, x):
        z = tf.math.log(x - self.low) - tf.math.log(self.high - x)
        return z, -self._log_slope(z)

    def _log_slope(self, z):
        # log sigmoid(z) + log sigmoid(-z), finite in both tails.
        size = tf.abs(z)
        return math.log(self.high - self.low) - size - 2 * tf.math.softplus(-size)

    def contains(self, values):
        return (values > self.low) & (values < self.high)


@dataclasses.dataclass(frozen=True)
class Discrete(Support):
    """A support whose values are codes k; `continuous` is the one of k + u."""

    is_discrete: ClassVar[bool] = True

    @property
    def continuous(self) -> Support:
        """The support of k + u."""
        raise NotImplementedError(f"{type(self).__name__} does not say where k + u lies.")

    def forward(self, z):
        return self.continuous.forward(z)

    def inverse(self, x):
        return self.continuous.inverse(x)

    def contains(self, values):
        return (values == np.floor(values)) & self.continuous.contains(values + 0.5)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Integers(Discrete):
    """Integers, which are their own codes: counts with `low=0`.

    Args:
        low: the lowest; `None` if there is none, and then there is no highest either.
        high: the highest, or `None`.

    Raises:
        ValueError: if `high` is below `low`, or given without it.

    Example:
        >>> from tfflows.layers.supports import Integers
        >>> Integers(0).continuous, Integers(0, 1).continuous
        (Positive(low=0.0), Interval(low=0.0, high=2.0))
    """

    low: int | None = None
    high: int | None = None

    def __post_init__(self):
        if self.high is not None and (self.low is None or self.high < self.low):
            raise ValueError(
                f"Integers with high={self.high} need a low of at most that, but found {self.low}."
            )

    @property
    def words(self) -> str:
        ends = [("from", self.low), ("to", self.high)]
        return " ".join(["an integer", *(f"{word} {end}" for word, end in ends if end is not None)])

    @property
    def continuous(self) -> Support:
        if self.low is None:
            return Real()
        low = float(self.low)
        return Positive(low) if self.high is None else Interval(low, self.high + 1.0)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Categories(Discrete):
    """Values without numbers; their places in a list are their codes.

    Args:
        values: all of them: texts, integers, numbers or booleans, each once.
        ordered: whether pandas is to know them as ordered.

    Raises:
        ValueError: if there are none, or one is there twice.

    Example:
        >>> tfflows.layers.supports.Categories(("low", "high")).continuous
        Interval(low=0.0, high=2.0)
    """

    values: tuple
    ordered: bool = False

    def __post_init__(self):
        object.__setattr__(self, "values", tuple(self.values))
        if len(set(self.values)) < len(self.values) or not self.values:
            raise ValueError(
                f"Categories are one value or more, each once, but found {self.values!r}."
            )

    @property
    def words(self) -> str:
        shown = ", ".join(map(repr, self.values[:5]))
        rest = len(self.values) - 5
        return f"one of {shown}" + (f" and {rest} more" if rest > 0 else "")

    @property
    def continuous(self) -> Support:
        return Interval(0.0, float(len(self.values)))


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Constant(Support):
    """One value alone, which no flow has to model: the column has no place in x.

    Args:
        value: a number, a text or a boolean.
    """

    value: object
    has_dimension: ClassVar[bool] = False

    @property
    def words(self) -> str:
        return f"{self.value!r}, as everywhere else"


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class CopyOf(Support):
    """The values of another column once more: the column has no place in x.

    Args:
        name: of the other column.
    """

    name: str
    has_dimension: ClassVar[bool] = False

    @property
    def words(self) -> str:
        return f"the value of column {self.name!r}"


def _above(value: float, dtype) -> float:
    """The first number above a value that its dtype tells from it, and that is not denormal."""
    kind = tf.as_dtype(dtype).as_numpy_dtype
    tiny = np.finfo(kind).tiny
    return max(np.nextafter(kind(value), kind(np.inf)), kind(value) + tiny)
