"""Files of a run: whole at any moment, and written by one process."""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

try:
    import fcntl
except ImportError:  # Windows has none.
    fcntl = None

# What a run writes, besides its backups.
_NAMES = (
    *("recipe.json", "rewinds.json", "run.json", "log.csv", "report.md"),
    *("samples.png", "curves.png", "best.weights.h5"),
)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Keep a run's folder for this process; gives False if another process has it.

    The lock is the operating system's, on `recipe.json`, and ends with the process, however that
    ends. What a process that was killed left unfinished is deleted, and nothing on a file system
    without locks, where another process may be writing it.
    """
    with open(folder / "recipe.json", "rb+") as file:
        locked = _locked(file)
        if locked:
            _clear(folder)
        yield locked is not False


def _locked(file) -> bool | None:
    """Whether it is, `None` on a system without locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (OSError, AttributeError):
        return None
    return True


def _clear(folder):
    endings = tuple(f".{name}" for name in _NAMES)
    left = [path for path in folder.glob("unfinished.*") if path.name.endswith(endings)]
    for path in [*left, *(folder / "backup").glob("unfinished.*")]:
        path.unlink(missing_ok=True)


def save_whole(model, path: Path):
    """Save weights (of the optimizer too) so that the file is never seen half-written.

    Raises:
        OSError: if there is no room; what was at this place before still is.
    """
    unfinished = path.with_name(f"unfinished.{path.name}")
    try:
        # Where it finds none, HDF5 brings the process down.
        _require_room(model, unfinished)
        model.save_weights(unfinished)
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        reason = error.strerror or error
        raise OSError(f"cannot write the weights {path}: {reason}") from error


def _require_room(model, path: Path):
    """Fill a file with as many bytes as the weights will take, at most."""
    variables = model.variables + (model.optimizer.variables if model.optimizer else [])
    size = sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables)
    # Groups and headers take a kilobyte for each.
    size += 2**11 * (len(variables) + 8)
    with open(path, "wb") as file:
        for start in range(0, size, 2**20):
            file.write(bytes(min(2**20, size - start)))


def write_whole(path: Path, text: str):
    """Write a text file so that it is never seen half-written, even if several processes do."""
    unfinished = path.with_name(f"unfinished.{uuid.uuid4().hex}.{path.name}")
    unfinished.write_text(text, encoding="utf-8", newline="")
    unfinished.replace(path)
