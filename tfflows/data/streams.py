"""Examples out of files that need not fit into memory, some at a time."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tfflows.data.table_files import fault_of, is_text


def batches_of(path, event_shape: Sequence[int], size: int, start: int = 0) -> Iterator[np.ndarray]:
    """Batches of the rows of a `.csv` or `.npy` file, or of the images of a folder.

    Args:
        path: the file or folder. A CSV file has numbers alone, below a header or not; images are
            cut and scaled as on the command line, and come sorted by name.
        event_shape: of one example.
        size: examples in a batch, of which the last may have fewer.
        start: how many examples to leave out, which were seen before.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for another kind of file, examples of another shape, or no numbers in a row,
            which is then named.

    Example:
        >>> from tfflows.data.streams import batches_of
        >>> np.save("rows.npy", np.arange(10.0).reshape(5, 2))
        >>> [len(batch) for batch in batches_of("rows.npy", (2,), size=2)]
        [2, 2, 1]
    """
    path, event_shape = Path(path), tuple(event_shape)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if path.is_dir():
        return _images(path, event_shape, size, start)
    if path.suffix == ".npy":
        return _arrays(path, event_shape, size, start)
    if path.suffix == ".csv":
        return _rows(path, event_shape, size, start)
    raise ValueError(f"{path} is neither a .csv or .npy file nor a folder of images.")


def _arrays(path, event_shape, size, start):
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read ({error}): expected an array of NumPy.") from error
    if array.shape[1:] != event_shape or array.dtype.kind not in "biuf":
        raise ValueError(
            f"{path} has an array of shape {array.shape} and dtype {array.dtype}: expected numbers "
            f"[n, {', '.join(map(str, event_shape))}]."
        )
    for first in range(start, len(array), size):
        yield np.array(array[first : first + size])


def _rows(path, event_shape, size, start):
    if len(event_shape) != 1:
        raise ValueError(
            f"The rows of {path} are vectors, but the events have shape {event_shape}."
        )
    with open(path, encoding="utf-8-sig", newline="") as lines:
        first = next(csv.reader(lines), [])
        if len(first) != event_shape[0]:
            raise ValueError(
                f"{path} has {len(first)} columns, but the events have shape {event_shape}."
            )
        if not any(map(is_text, first)):
            lines.seek(0)
        seen = 0
        while batch := _take(lines, size):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # of no rows
                    rows = np.loadtxt(batch, delimiter=",", quotechar='"', comments=None, ndmin=2)
            except ValueError:
                rows = np.zeros([0, 0])
            if rows.shape != (len(batch), *event_shape) or not np.isfinite(rows).all():
                raise ValueError(fault_of(path) or f"{path} cannot be read as a CSV file.")
            seen += len(rows)
            if seen > start:
                yield rows[max(0, start - seen + len(rows)) :]


def _take(lines, size):
    """The next lines that are not empty."""
    taken = []
    for line in lines:
        if line.strip():
            taken.append(line)
        if len(taken) == size:
            break
    return taken


def _images(path, event_shape, size, start):
    from tfflows.data.images import fit_image, image_files, open_image

    if len(event_shape) != 3 or event_shape[-1] not in (1, 3):
        raise ValueError(f"{path} is a folder of images, but the events have shape {event_shape}.")
    files = image_files(path)[start:]
    for first in range(0, len(files), size):
        batch = []
        for file in files[first : first + size]:
            with open_image(file) as image:
                batch.append(fit_image(image, event_shape))
        yield np.stack(batch)
