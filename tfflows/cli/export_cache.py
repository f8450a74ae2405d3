"""Exports that `tfflows serve` made before, kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from importlib.metadata import version
from pathlib import Path

import tfflows
import zoo
from tfflows.cli.arguments import export_of
from zoo.catalog import folder_of
from zoo.loading import pretrained_weights

_LIBRARIES = ("keras", "numpy", "tensorflow", "tensorflow-probability", "tf-keras")
_SECONDS_KEPT = 7 * 24 * 3600


def cached_export(name: str) -> Path:
    """The SavedModel of a zoo entry or of a `.keras` file, written if there is none of it yet.

    Its folder's name is a hash of all that decides what is in it: the entry's files or the saved
    flow, the code of tfflows and the versions of the libraries under it. Exports that nobody has
    asked for in a week are deleted when a new one is written.

    Raises:
        ValueError: as `export_of` does.
        FileNotFoundError: where there are no weights, or no such file.
        OSError: if the cache cannot be written.
        ImportError: without platformdirs.
    """
    from platformdirs import user_cache_path

    exports = user_cache_path("tfflows") / "exports"
    folder = exports / _key(name)
    path = folder / Path(name).stem / "1"
    if path.is_dir():
        os.utime(folder)
    else:
        print(f"Exporting {name}, which may take a minute the first time ...", flush=True)
        _forget_unused(exports)
        try:
            export_of(name, folder)
        except OSError as error:
            # Another process may have been the first to finish; what it wrote is the same.
            if not path.is_dir():
                raise OSError(
                    f"{error} Exports are cached in {exports}; set XDG_CACHE_HOME to a folder "
                    "that can be written, or serve a folder that `tfflows export` wrote."
                ) from error
    return path


def _key(name):
    """Hash of all that decides what an export has in it."""
    digest = hashlib.sha256()
    for library in _LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    code = [
        path for package in (tfflows, zoo) for path in Path(package.__file__).parent.rglob("*.py")
    ]
    for path in [*sorted(code), *_files_of(name)]:
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _files_of(name):
    if not name.endswith(".keras"):
        files = sorted(path for path in folder_of(name).iterdir() if path.is_file())
        return [*files, pretrained_weights(name)]
    if not Path(name).is_file():
        raise FileNotFoundError(f"There is no saved flow {name}.")
    return [Path(name)]


def _forget_unused(exports):
    """Delete what was not used lately, and what killed processes left."""
    oldest = time.time() - _SECONDS_KEPT
    for folder in exports.glob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process deletes them, too
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
