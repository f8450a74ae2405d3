"""From an entry to a model server's folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from zoo.attributes import directions
from zoo.catalog import card, metadata
from zoo.loading import load


def export(name: str, directory: str | os.PathLike, version: int = 1) -> Path:
    """Write an entry as a SavedModel to `directory/name/version/`, as model servers expect it.

    Args:
        name: see `zoo.list()`.
        directory: the server's model folder, made if need be.
        version: a positive integer.

    Returns:
        Path of the SavedModel; in `assets.extra` are `card.md`, `card.json` with the entry's
        figures, and `attributes.json` with the directions of its attributes, if it has any.

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
    facts = metadata(name)
    texts = {"card.md": card(name), "card.json": json.dumps(facts, indent=2) + "\n"}
    attributes = {key: value.reshape(-1).tolist() for key, value in directions(name).items()}
    if attributes:
        texts["attributes.json"] = json.dumps(attributes)
    return exporter.save(load(name), path, texts, facts["held_out_log_probs"])
