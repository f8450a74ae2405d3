"""From an entry to a model server's folder."""

from __future__ import annotations

from pathlib import Path

from zoo.catalog import card
from zoo.loading import load


def export(name: str, directory, version: int = 1) -> Path:
    """Write an entry as a SavedModel to `directory/name/version/`, as model servers expect it.

    Args:
        name: see `zoo.list()`.
        directory: the server's model folder, made if need be.
        version: a positive integer.

    Returns:
        Path of the SavedModel; `assets.extra/card.md` in it is the entry's card.

    Raises:
        ValueError: for an unknown name or a version below 1.
        FileExistsError: if that version exists; it is not overwritten.
        OSError: if the folder cannot be written; nothing is left behind then.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = zoo.export("realnvp_moons", folder)
        ...     model = tf.saved_model.load(path)
        ...     model.log_prob(tf.zeros([3, 2]))["log_prob"].shape
        TensorShape([3])
    """
    from tfflows import export as exporter

    path = exporter.version_path(directory, name, version)
    return exporter.save(load(name), path, extra_files={"card.md": card(name)})
