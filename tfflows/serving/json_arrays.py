"""Arrays from JSON, and JSON from arrays, both exact."""

from __future__ import annotations

import json

import numpy as np

from tfflows.serving.errors import RequestError


def object_of(body: bytes, required: set[str], optional: set[str]) -> dict:
    """The JSON object in a request's body.

    Raises:
        RequestError: for malformed JSON, NaN among it, another value than an object, or other
            keys, a slip of which would otherwise go unseen.
    """
    try:
        found = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The request's body is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise RequestError(f"The request's body should be a JSON object, but found {kind(found)}.")
    if not required <= set(found) <= required | optional:
        raise RequestError(
            f"A request has the keys {_listed(required)} and may have {_listed(optional)}, but "
            f"found {_listed(found)}."
        )
    return found


def array_of(name: str, value, dtype) -> np.ndarray:
    """A JSON value, numbers in lists of lists, as an array.

    Args:
        name: of the tensor, for errors.
        value: what the JSON parser made of it.
        dtype: float32 or int64.

    Raises:
        RequestError: for lists of different lengths, other things than numbers, fractions where
            integers are expected, or integers that do not fit.

    Example:
        >>> from tfflows.serving import json_arrays
        >>> json_arrays.array_of("x", [[1, 2.5], [3, 4]], np.float32).shape
        (2, 2)
    """
    dtype = np.dtype(dtype)
    cells = np.array(value, dtype=object)
    found = set(map(type, cells.reshape(-1)))
    if list in found:
        raise RequestError(f"The input {name} has lists of different lengths or depths.")
    wanted = {int} if dtype.kind == "i" else {int, float}
    if not found <= wanted:
        numbers = "integers" if dtype.kind == "i" else "numbers"
        example = next(cell for cell in cells.reshape(-1) if type(cell) not in wanted)
        raise RequestError(f"The input {name} takes {numbers}, but found {kind(example)}.")
    try:
        with np.errstate(over="ignore"):  # what becomes infinite is refused with the infinite
            return cells.astype(dtype)
    except OverflowError as error:
        raise RequestError(
            f"The input {name} has a number that does not fit into {dtype}."
        ) from error


def list_of(array: np.ndarray) -> list:
    """An array as lists of numbers or texts."""
    if array.dtype == object:  # TensorFlow's strings
        return [text.decode() for text in array]
    return array.tolist()


def kind(value) -> str:
    """What a JSON value is, for a sentence."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return f"the number {value}" if abs(value) < 1e20 else "a large number"
    names = {str: "a text", list: "a list", dict: "an object"}
    return names[type(value)]


def _refuse(constant):
    raise ValueError(f"{constant} is no JSON number")


def _listed(keys):
    return ", ".join(sorted(keys)) or "none"
