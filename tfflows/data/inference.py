"""What the values of a column say about where they lie."""

from __future__ import annotations

import numpy as np

from tfflows.data.frames import is_missing, kind_of, numbers_of, plain_values
from tfflows.layers.supports import (
    Categories,
    Constant,
    HeavyTails,
    Integers,
    Positive,
    Real,
    Support,
)

KINDS = ("real", "positive", "integer", "category")
# Of texts in a column that is not declared one of categories.
_MOST_CATEGORIES = 100
# Beyond it, float32 has no room for the noise of dequantisation.
_LARGEST_INTEGER = 2**20
# Scales from the median on, beyond which tails are heavy: a normal distribution has none there.
_FAR = 20.0
# Of the largest value: a standard deviation below it is not resolved.
_LEAST_SPREAD = 1e-5


def inferred_support(values, name: str, wish: str | Support | None = None) -> Support:
    """The support of a column's values, of which some may be missing.

    Args:
        values: as `tfflows.data.frames.column_of` returns them.
        name: of the column, for errors.
        wish: what was asked for: one of `KINDS`, the support itself, or `None`.

    Raises:
        ValueError: for values that have no support, or not the one that was asked for.

    Example:
        >>> from tfflows.data.inference import inferred_support
        >>> inferred_support(np.array([3, 0, 12]), "children")
        Integers(low=0, high=None)
        >>> inferred_support(np.array(["no", "yes", "no"]), "answer")
        Categories(values=('no', 'yes'), ordered=False)
    """
    if isinstance(wish, Support):
        return wish
    if wish is not None and wish not in KINDS:
        raise ValueError(
            f"The support of column {name!r} is {wish!r}: expected one of {KINDS}, or a value of "
            "tfflows.layers.supports."
        )
    if is_missing(values).all():
        raise ValueError(f"Column {name!r} has no values at all: leave it out.")
    kind = wish or kind_of(values, name)
    if kind == "category":
        return _categories(values, name, declared=wish is not None)
    numbers = numbers_of(values, name)
    numbers = _finite(numbers[~np.isnan(numbers)], name)
    if numbers.min() == numbers.max():
        is_integer = kind_of(values, name) == "integer"
        return Constant(int(numbers[0]) if is_integer else float(numbers[0]))
    if kind == "integer":
        return _integers(numbers, name)
    _require_resolution(numbers, name)
    return Positive() if kind == "positive" else _real(numbers)


def _categories(values, name, declared) -> Support:
    is_pandas = str(values.dtype) == "category"
    plain = [value for value in plain_values(values) if value is not None]
    found = values.cat.categories.tolist() if is_pandas else _sorted(set(plain))
    strange = next((v for v in found if not isinstance(v, (str, bool, int, float))), None)
    if strange is not None:
        raise ValueError(
            f"Column {name!r} has values such as {strange!r}: expected numbers, texts or booleans."
        )
    if len(found) == 1:
        return Constant(found[0])
    most = min(_MOST_CATEGORIES, max(10, len(plain) // 2))
    if not (declared or is_pandas) and len(found) > most:
        raise ValueError(
            f"Column {name!r} has {len(found)} different texts in {len(plain)} rows, too many to "
            "be taken for categories unasked: leave it out, or say "
            f"support={{{name!r}: 'category'}}."
        )
    return Categories(tuple(found), bool(is_pandas and values.cat.ordered))


def _sorted(values):
    """In their own order, if they have one."""
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=lambda value: (type(value).__name__, value))


def _finite(numbers, name):
    largest = np.abs(numbers).max()
    if not largest < np.finfo("float32").max:
        raise ValueError(
            f"Column {name!r} has values up to {largest:g} in size: expected finite ones of "
            "float32."
        )
    return numbers


def _integers(numbers, name) -> Support:
    low, high = numbers.min(), numbers.max()
    if max(-low, high) > _LARGEST_INTEGER:
        raise ValueError(
            f"Column {name!r} has integers from {low:.0f} to {high:.0f}, more than float32 tells "
            f"apart once noise is added: leave it out (is it a key?), or say support={{{name!r}: "
            "'real'}, after which they come back rounded."
        )
    if low < 0:
        return Integers()
    # Yes and no.
    return Integers(0, 1) if high == 1 else Integers(0)


def _require_resolution(numbers, name):
    largest, spread = np.abs(numbers).max(), numbers.std()
    if spread < _LEAST_SPREAD * largest:
        raise ValueError(
            f"Column {name!r} has a standard deviation of {spread:.3g} around "
            f"{numbers.mean():.9g}, which float32 does not resolve: subtract a constant from it."
        )


def _real(numbers) -> Support:
    lower, median, upper = np.quantile(numbers, [0.25, 0.5, 0.75])
    # That of a normal distribution with these quartiles; where half of the values are one, of all.
    scale = (upper - lower) / 1.349 or numbers.std()
    if np.abs(numbers - median).max() > _FAR * scale:
        return HeavyTails(float(median), float(scale))
    return Real()
