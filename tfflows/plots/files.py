"""Figures as files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure


def save(figure: Figure, path) -> Path:
    """Write a figure as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    path = Path(path)
    with unfinished(path, "picture") as file:
        figure.savefig(file, format="png")
    return path


@contextlib.contextmanager
def unfinished(path: Path, kind: str) -> Iterator[Path]:
    """The file beside `path` to write first, which takes its place once it is whole.

    Raises:
        OSError: if it cannot be written, named as the `kind` that it is; nothing is left behind.
    """
    file = path.parent / f"unfinished.{path.name}"
    try:
        yield file
        file.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        raise OSError(f"Cannot write the {kind} {path}: {error.strerror or error}.") from error
