"""Tables of numbers in files: CSV, and Parquet by pandas."""

from __future__ import annotations

import csv
import math
import warnings
from pathlib import Path

import numpy as np

from tfflows.data.arrays import make_dataset
from tfflows.data.dataset import Dataset
from tfflows.data.files import LICENCE

# Different integers in a column that are called few, if there are ten times as many rows.
_FEW = 20


def read_table(path: Path, num_bits: int, seed: int) -> Dataset:
    """Data set of a `.csv` or `.parquet` file; `load` says what these hold."""
    names, x = (_read_parquet if path.suffix == ".parquet" else _read_csv)(path)
    _warn_of_columns(path, names, x)
    about = f"Read from {path.name}. {LICENCE}"
    return make_dataset(path.stem, about, {"train": (x, None)}, num_bits, seed, column_names=names)


def _warn_of_columns(path, names, x):
    """Say which columns have values that a density gives an infinite height to."""
    constant, integers = [], []
    for i, column in enumerate(x.T):
        values = np.unique(column)
        name = repr(names[i]) if names else str(i + 1)
        if len(values) == 1:
            constant.append(name)
        elif len(values) <= min(_FEW, len(x) / 10) and np.all(values == np.rint(values)):
            integers.append(name)
    # As if from the line that calls `load`, which calls `read_table`, which calls this.
    if constant:
        warnings.warn(
            f"File {path.name!r} has one value alone in each of the columns {', '.join(constant)}: "
            "the likelihood of a density grows there without bound and says nothing; leave them "
            "out.",
            stacklevel=4,
        )
    if integers:
        warnings.warn(
            f"File {path.name!r} has at most {_FEW} integers in each of the columns "
            f"{', '.join(integers)}: the likelihood of a density grows there without bound and "
            "says nothing; take a tfflows.data.Table, which knows integers and categories, or add "
            "noise between 0 and 1 to them.",
            stacklevel=4,
        )


def _read_csv(path: Path) -> tuple[list[str] | None, np.ndarray]:
    """The names in the header, if there is one, and the numbers `[n, D]` below it.

    Raises:
        ValueError: for the first row that does not have a finite number in each column.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            first = next(csv.reader(lines), [])
            names = [name.strip() for name in first] if any(map(is_text, first)) else None
            if names is None:
                lines.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of no rows, which is an error here
                x = np.loadtxt(lines, delimiter=",", quotechar='"', comments=None, ndmin=2)
    except (ValueError, csv.Error) as error:
        raise ValueError(fault_of(path) or _unreadable(path, error)) from error
    if names is not None and "" in names:
        raise ValueError(
            f"File {str(path)!r} has no name for column {names.index('') + 1} in its header: "
            "expected one for each column (pandas writes such a column of row numbers unless "
            "index=False)."
        )
    expected = len(first) if x.size else 0
    if x.shape[1] != expected or not np.isfinite(x).all():
        raise ValueError(fault_of(path))
    return names, x


def fault_of(path: Path) -> str | None:
    """What is wrong with the first row that is not one of numbers, counted as spreadsheets do."""
    expected = names = None
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            for number, row in enumerate(csv.reader(lines), 1):
                if not row:
                    continue
                if expected is None:
                    expected = len(row)
                    if any(map(is_text, row)):
                        names = [name.strip() for name in row]
                        continue
                if len(row) != expected:
                    return (
                        f"File {str(path)!r} has {len(row)} values in row {number}: expected "
                        f"{expected}, as in its first row."
                    )
                for i, text in enumerate(row):
                    if is_text(text) or not text.strip() or not math.isfinite(float(text)):
                        found = f"{text.strip()[:40]!r}" if text.strip() else "no value"
                        column = repr(names[i]) if names else i + 1
                        return (
                            f"File {str(path)!r} has {found} in row {number}, column {column}: "
                            "expected a finite number in each column, with commas between them. "
                            "In Python, tfflows.data.Table takes words and gaps, too."
                        )
    except (ValueError, csv.Error):
        return None
    return f"File {str(path)!r} has no rows of numbers: expected at least 10."


def is_text(cell: str) -> bool:
    """Whether a cell has something else than a number in it."""
    try:
        float(cell.strip() or 0)
    except ValueError:
        return True
    return False


def _unreadable(path: Path, error) -> str:
    return f"File {str(path)!r} cannot be read ({error}): expected a CSV file in UTF-8."


def _read_parquet(path: Path) -> tuple[list[str], np.ndarray]:
    """The columns' names, and their numbers `[n, D]`.

    Raises:
        ImportError: without pandas, or what it reads Parquet with.
        ValueError: for a column of something else than numbers, or without a value in a row.
    """
    try:
        import pandas

        table = pandas.read_parquet(path)
    except ImportError as error:
        raise ImportError(
            f"File {str(path)!r} needs pandas and pyarrow ({str(error).splitlines()[0]}): "
            "pip install tfflows[parquet]."
        ) from error
    except (ValueError, OSError) as error:
        raise ValueError(
            f"File {str(path)!r} cannot be read ({error}): expected a Parquet file."
        ) from error
    names = [str(name) for name in table.columns]
    for name, kind in zip(names, table.dtypes, strict=True):
        if not pandas.api.types.is_numeric_dtype(kind):
            raise ValueError(
                f"File {str(path)!r} has values of {kind} in column {name!r}: expected numbers. "
                "In Python, tfflows.data.Table takes words, too."
            )
    x = table.to_numpy("float64", na_value=np.nan)
    rows, columns = np.nonzero(~np.isfinite(x))
    if len(rows):
        raise ValueError(
            f"File {str(path)!r} has {x[rows[0], columns[0]]} in row {rows[0] + 1}, column "
            f"{names[columns[0]]!r}: expected a finite number in each column."
        )
    return names, x
