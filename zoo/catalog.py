"""Which entries there are, and what their files say, without TensorFlow but for `recipe`."""

from __future__ import annotations

import difflib
import fnmatch
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfflows.training.recipe import Recipe


MODELS = Path(__file__).parent / "models"
_registered: dict[str, Path] = {}


def names(pattern: str = "*", pretrained: bool = False) -> list[str]:
    """Sorted names of the entries that match a shell pattern.

    Args:
        pattern: shell pattern.
        pretrained: leave out the entries that are a configuration and a recipe without weights.

    Example:
        >>> zoo.list("nice_d*")
        ['nice_digits']
    """
    built_in = {path.parent.name for path in MODELS.glob("*/config.json")}
    found = sorted(fnmatch.filter(built_in | set(_registered), pattern))
    return [name for name in found if not pretrained or "weights" in metadata(name)]


def register(name: str, folder: str | os.PathLike) -> None:
    """Make an entry of your own known by name, for this process.

    Args:
        name: not yet taken by another folder.
        folder: an entry's folder, as `zoo.publish` writes it.

    Raises:
        ValueError: if the name is taken, or the folder has no `config.json`.
    """
    folder = Path(folder).resolve()
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder} is not the folder of a zoo entry: it has no config.json. zoo.publish "
            "writes one."
        )
    if name in names() and folder_of(name) != folder:
        raise ValueError(f"The name {name!r} is taken by the entry in {folder_of(name)}.")
    _registered[name] = folder


def folder_of(name: str) -> Path:
    """Folder of an entry.

    Raises:
        ValueError: for an unknown name, with near matches.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise ValueError(
            f"There is no zoo entry {name!r}: {hint}zoo.list() names all {len(names())}."
        )
    return _registered.get(name, MODELS / name)


def card(name: str) -> str:
    """Text of an entry's card, in Markdown: what it is, how good, how it was made.

    Example:
        >>> zoo.card("realnvp_digits").splitlines()[0]
        '# realnvp_digits'
    """
    return (folder_of(name) / "card.md").read_text(encoding="utf-8")


def metadata(name: str) -> dict:
    """An entry's facts: data, measured figures, parameters, checksums, licence."""
    return _read_json(name, "metadata.json")


def config(name: str) -> dict:
    """An entry's flow, as `{"flow": class name, "config": hyper-parameters}`."""
    return _read_json(name, "config.json")


def recipe(name: str) -> Recipe:
    """An entry's `tfflows.training.Recipe`."""
    from tfflows.training.recipe import Recipe

    return Recipe.from_file(folder_of(name) / "recipe.json")


def _read_json(name: str, file: str) -> dict:
    return json.loads((folder_of(name) / file).read_text(encoding="utf-8"))
