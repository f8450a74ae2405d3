"""Figures as files."""

from __future__ import annotations

import contextlib
from pathlib import Path

from matplotlib.figure import Figure


def save(figure: Figure, path) -> Path:
    """Write a figure as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    path = Path(path)
    unfinished = path.parent / f"unfinished.{path.name}"
    try:
        figure.savefig(unfinished, format="png")
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise OSError(f"Cannot write the picture {path}: {error.strerror or error}.") from error
    return path
