"""Columns of a data frame, or of a mapping of names to arrays, as numbers and plain values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_KINDS = {
    "real": ("float", "double"),
    "integer": ("int", "uint"),
    "category": ("bool", "category", "object", "str", "<u"),
}


def column_of(frame: Mapping, name: str):
    """The values of a column: a pandas series, or an array `[n]`.

    Raises:
        ValueError: if there is no such column, or several.
    """
    if name not in frame:
        raise ValueError(
            f"There is no column {name!r} in the frame, whose columns are {list(frame)[:10]}: "
            "expected all columns of the table."
        )
    values = frame[name]
    values = values if hasattr(values, "isna") else np.asarray(values)
    if values.ndim != 1:
        raise ValueError(
            f"Column {name!r} has shape {values.shape}: expected one value a row (is its name "
            "there twice?)."
        )
    return values


def kind_of(values, name: str) -> str:
    """What the dtype of a column suggests: `"real"`, `"integer"` or `"category"`.

    Raises:
        ValueError: for a dtype of something else, such as times.

    Example:
        >>> from tfflows.data.frames import kind_of
        >>> kind_of(np.array(["a", "b"]), "letter"), kind_of(np.array([1, 2]), "number")
        ('category', 'integer')
    """
    dtype = str(values.dtype).lower()
    for kind, beginnings in _KINDS.items():
        if dtype.startswith(beginnings):
            return kind
    raise ValueError(
        f"Column {name!r} has dtype {values.dtype}: expected numbers, texts, booleans or "
        "categories (of times, for instance the days since the first one)."
    )


def plain_values(values) -> list:
    """The values as Python's own numbers, texts and booleans, `None` where one is missing."""
    plain = values.tolist()
    return [None if gone else value for value, gone in zip(plain, is_missing(values), strict=True)]


def is_missing(values) -> np.ndarray:
    """Where a value is missing (`None`, NaN, pandas' `NA`): booleans `[n]`."""
    if hasattr(values, "isna"):
        return values.isna().to_numpy(bool)
    if values.dtype.kind in "biuf":
        return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    return np.array([value is None or value != value for value in values.tolist()], bool)


def numbers_of(values, name: str) -> np.ndarray:
    """The values as float64 `[n]`, NaN where one is missing.

    Raises:
        ValueError: for the first that is no number.
    """
    if not hasattr(values, "isna") and values.dtype.kind in "biuf":
        return values.astype("float64")
    numbers = np.full(len(values), np.nan)
    present = np.flatnonzero(~is_missing(values))
    plain = values.iloc[present].tolist() if hasattr(values, "iloc") else values[present].tolist()
    try:
        numbers[present] = np.array(plain, "float64")
    except (TypeError, ValueError):
        for row, value in zip(present, plain, strict=True):
            if not _is_number(value):
                raise ValueError(
                    f"Column {name!r} has {value!r} in row {row}: expected a number."
                ) from None
    return numbers


def _is_number(value) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def make_frame(columns: Mapping[str, tuple[np.ndarray, str, object]]):
    """A pandas data frame of columns' values.

    Args:
        columns: of each name the values `[n]`, their dtype, and for the dtype `"category"` the
            categories and whether they are ordered.

    Raises:
        ImportError: without pandas.
        ValueError: for missing values of a dtype that has no word for them.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError("Data frames need pandas: pip install tfflows[parquet].") from error
    frame = {}
    for name, (values, dtype, categories) in columns.items():
        if dtype.startswith(("int", "uint", "bool")) and is_missing(values).any():
            raise ValueError(
                f"Column {name!r} has dtype {dtype}, which has no missing values, but "
                f"{is_missing(values).sum()} of {len(values)} are: impute them first."
            )
        if dtype == "category":
            kind = pandas.CategoricalDtype(list(categories[0]), categories[1])
            frame[name] = pandas.Series(values, dtype=kind)
        else:
            series = pandas.Series(values)
            frame[name] = series if dtype.startswith("<U") else series.astype(dtype)
    return pandas.DataFrame(frame)


def filled(frame: Mapping, other):
    """A copy of a frame, as one of pandas, with another one's values where its own are missing.

    Args:
        other: a pandas data frame of some of its columns, in the same order of rows.
    """
    import pandas

    result = pandas.DataFrame(frame).copy()
    for name in other:
        values = other[name].set_axis(result.index)
        result[name] = result[name].where(result[name].notna(), values)
    return result
