"""Tables that a user uploads, as rows of numbers that a flow takes."""

from __future__ import annotations

import csv
import math

from tfflows.serving.errors import RequestError
from tfflows.serving.model import MAX_VALUES


def table_of(content: bytes, num_columns: int, names=None) -> tuple[list[str] | None, list]:
    """A CSV file as rows of numbers.

    Values are separated by commas, semicolons or tabs, whichever the first line has most of. If
    that line is not all numbers, it has the columns' names.

    Args:
        content: the file.
        num_columns: of the flow.
        names: the flow's own names of its columns, if it has any. A file with names is then read by
            them, in any order and with columns besides.

    Returns:
        Names of the columns, or None where nothing names them, and the rows.

    Raises:
        RequestError: for another number of columns, a cell that is no finite number, columns that
            are missing, no rows, or more than `MAX_VALUES` numbers.

    Example:
        >>> from tfflows.serving import csv_files
        >>> csv_files.table_of(b"height,width\\n1.5,2\\n3,4", num_columns=2)
        (['height', 'width'], [[1.5, 2.0], [3.0, 4.0]])
    """
    lines = _lines_of(content)
    header = None
    if lines and not all(_is_number(cell) for cell in lines[0][1]):
        header = [cell.strip() for cell in lines.pop(0)[1]]
    if not lines:
        raise RequestError("The file has no rows of numbers.")
    if len(lines) * num_columns > MAX_VALUES:
        raise RequestError(
            f"The file has {len(lines):,} rows, more than the {MAX_VALUES // num_columns:,} that "
            "are read.",
            413,
        )
    width = len(header or lines[0][1])
    if header and names:
        picked = _places_of(names, header)
    elif width == num_columns:
        picked = range(width)
    else:
        raise RequestError(f"The file has {width} columns, but the flow takes {num_columns}.")
    names = list(names or header or []) or None
    rows = []
    for number, cells in lines:
        if len(cells) != width:
            raise RequestError(f"Line {number} has {len(cells)} values: expected {width}.")
        rows.append([_number_of(cells[i], number, header[i] if header else i + 1) for i in picked])
    return names, rows


def _lines_of(content):
    """Numbers, from 1, and cells of the lines that are not empty."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise RequestError("The file is not text in UTF-8: expected a CSV file.") from error
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    try:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        return [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise RequestError(f"The file cannot be read as CSV: {error}.") from error


def _places_of(names, header):
    missing = [name for name in names if header.count(name) != 1]
    if missing:
        raise RequestError(
            f"The file needs each of the flow's columns once, but not so {', '.join(missing)}: "
            f"found {', '.join(header)}."
        )
    return [header.index(name) for name in names]


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number_of(cell, line, column):
    if not _is_number(cell) or not math.isfinite(float(cell)):
        found = repr(cell[:40]) if cell.strip() else "nothing"
        raise RequestError(
            f"Line {line}, column {column}: expected a finite number, but found {found}."
        )
    return float(cell)
