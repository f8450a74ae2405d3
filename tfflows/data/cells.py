"""One column's values as numbers or codes, with noise and without."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfflows.data.frames import column_of, is_missing, numbers_of, plain_values
from tfflows.layers import Column
from tfflows.layers.supports import Categories, Constant, CopyOf

# Of the noise, in (0, 1): no value is at an end of its cell.
_NOISE_LEVELS = 2**20


def cells_of(column: Column, frame: Mapping) -> np.ndarray:
    """A column's numbers or codes, float64 `[n]`, NaN where missing; none without a place in x.

    Raises:
        ValueError: for the first value that is not in the column's support.
    """
    support = column.support
    values = column_of(frame, column.name)
    if isinstance(support, (Constant, CopyOf)):
        return _require_equal(column, plain_values(values), frame)
    if isinstance(support, Categories):
        codes = {value: float(code) for code, value in enumerate(support.values)}
        cells = np.array([_code(codes, value) for value in plain_values(values)])
    else:
        cells = numbers_of(values, column.name)
    bad = ~is_missing(values) & ~support.contains(cells)
    if bad.any():
        raise _unexpected(column, values.tolist(), np.argmax(bad))
    return cells


def _code(codes, value):
    return np.nan if value is None else codes.get(value, -1.0)


def _require_equal(column, found, frame):
    """Raise unless all that is there is the constant, or what the other column has."""
    if isinstance(column.support, Constant):
        expected = [column.support.value] * len(found)
    else:
        expected = plain_values(column_of(frame, column.support.name))
    for row, (value, wanted) in enumerate(zip(found, expected, strict=True)):
        if value is not None and wanted is not None and value != wanted:
            raise _unexpected(column, found, row)
    return np.empty(0)


def _unexpected(column, values, row):
    return ValueError(
        f"Column {column.name!r} has {values[row]!r} in row {row}: expected {column.support.words}."
    )


def noisy(codes: np.ndarray, random: np.random.Generator, dtype: str) -> np.ndarray:
    """k + u, between k and k + 1 also after rounding.

    Example:
        >>> from tfflows.data.cells import noisy
        >>> x = noisy(np.array([0.0, 7.0, np.nan]), np.random.default_rng(0), "float32")
        >>> print(np.floor(x))
        [ 0.  7. nan]
    """
    noise = (random.integers(_NOISE_LEVELS, size=codes.shape) + 0.5) / _NOISE_LEVELS
    kind = np.dtype(dtype).type
    first = np.nextafter(codes.astype(kind), kind(np.inf))
    last = np.nextafter((codes + 1).astype(kind), kind(-np.inf))
    return np.clip((codes + noise).astype(kind), first, last)


def decoded(column: Column, x: np.ndarray) -> np.ndarray:
    """The values that a column of x, float64 `[n]`, stands for: codes are rounded down.

    Raises:
        ValueError: for the first code that is not in the column's support.
    """
    support = column.support
    if not support.is_discrete:
        is_integer = column.dtype.lower().startswith(("int", "uint"))
        return np.rint(x) if is_integer else x
    codes = np.floor(x)
    bad = ~np.isnan(x) & ~support.contains(codes)
    if bad.any():
        row = np.argmax(bad)
        raise ValueError(
            f"Column {column.name!r} of x has {x[row]:g} in row {row}, which stands for no value "
            f"of it: expected {support.words}."
        )
    if not isinstance(support, Categories):
        return codes
    values = np.empty(len(x), object)
    values[:] = [None if np.isnan(code) else support.values[int(code)] for code in codes]
    return values
