"""Copies of an entry that a test may spoil."""

import hashlib
import json
import shutil
from pathlib import Path

import zoo

WEIGHTS = "model.weights.h5"


def copy_of(published, folder, name: str = "copy") -> Path:
    """Copy and register an entry's folder."""
    path = Path(shutil.copytree(published, folder / name))
    zoo.register(name, path)
    return path


def edit_metadata(entry, **changes) -> None:
    file = entry / "metadata.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_recipe(entry, **changes) -> None:
    file = entry / "recipe.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def replace_weights(entry, flow) -> None:
    """Save a flow's weights, with the checksum that they then have."""
    flow.save_weights(entry / WEIGHTS)
    facts = json.loads((entry / "metadata.json").read_text())
    edit_metadata(entry, weights={**facts["weights"], "sha256": sha256(entry / WEIGHTS)})


def sha256(path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def flip_byte(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])
