"""From a name to a flow with its weights."""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.catalog import config, folder_of, metadata, names

if TYPE_CHECKING:
    from tfflows.flow import Flow


WEIGHTS = "model.weights.h5"


def load(name: str, weights: str | os.PathLike | None = "pretrained") -> Flow:
    """Build an entry's flow and load its weights.

    Weights are looked for in the entry's folder, then in `$TFFLOWS_ZOO/NAME/`, a folder of your
    own, and last at `$TFFLOWS_ZOO_URL/NAME/model.weights.h5`, kept in Keras's cache after the
    first download. Whatever the place, their SHA-256 must be the one in `metadata.json`.

    Args:
        name: see `zoo.list()`.
        weights: `"pretrained"`; `None` for random initial weights; or the path of a
            `.weights.h5` file of your own, which is not checked against a checksum.

    Returns:
        A `tfflows.Flow`.

    Raises:
        ValueError: for an unknown name, or weights that are truncated, altered or of another
            model.
        FileNotFoundError: if there are no weights at any of the places.

    Example:
        >>> flow = zoo.load("realnvp_digits")
        >>> flow.sample(4, seed=1).shape
        TensorShape([4, 8, 8, 1])
    """
    flow = build(name)
    if weights is None:
        return flow
    if weights == "pretrained":
        path = pretrained_weights(name)
        check_sha256(path, metadata(name)["weights"]["sha256"])
    else:
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(f"There is no weights file {path}.")
    try:
        flow.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"The weights in {path} do not fit the entry {name!r}: {error}") from error
    return flow


def build(name: str):
    """An entry's flow with random initial weights."""
    from tfflows.flows import flow_class

    description = config(name)
    return flow_class(description["flow"]).from_config(description["config"])


def pretrained_weights(name: str) -> Path:
    """Path of an entry's published weights, downloaded if need be."""
    folders = [folder_of(name)]
    if os.environ.get("TFFLOWS_ZOO"):
        folders.append(Path(os.environ["TFFLOWS_ZOO"]) / name)
    for folder in folders:
        if (folder / WEIGHTS).is_file():
            return folder / WEIGHTS
    sha256 = metadata(name).get("weights", {}).get("sha256")
    url = os.environ.get("TFFLOWS_ZOO_URL")
    if sha256 is None:
        family = name.split("_")[0]
        raise FileNotFoundError(
            f"No weights are published for {name!r}, only its configuration and recipe: load it "
            f"with weights=None, or train it with `tfflows train {name}` (its card tells the "
            f"cost). Published are {names(f'{family}_*', pretrained=True) or names('*', True)}."
        )
    if not url:
        raise FileNotFoundError(
            f"The weights of {name!r} are in none of {[str(f) for f in folders]}; set TFFLOWS_ZOO "
            "to a folder that has them as NAME/model.weights.h5, or TFFLOWS_ZOO_URL to the address "
            "of such a folder."
        )
    path = _cache() / f"{name}-{sha256[:16]}.weights.h5"
    if not path.is_file() or sha256_of(path) != sha256:
        _download(f"{url.rstrip('/')}/{name}/{WEIGHTS}", path, sha256)
    return path


def _cache() -> Path:
    """The folder of downloaded weights, where Keras keeps its own downloads."""
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    if not os.access(home, os.W_OK):
        home = Path(tempfile.gettempdir()) / ".keras"
    return home / "tfflows"


def _download(address: str, path: Path, sha256: str) -> None:
    """Download a file under a name of its own, and rename it once it is the right one.

    So whoever else downloads it at the same time, or reads it, has a whole file in every moment.

    Raises:
        FileNotFoundError: if it cannot be had.
        ValueError: if it is not the one that was published.
    """
    import keras

    unfinished = path.with_name(f"unfinished.{uuid.uuid4().hex}.{path.name}")
    folder, subfolder = path.parent.parent, path.parent.name
    try:
        keras.utils.get_file(
            unfinished.name, address, cache_dir=str(folder), cache_subdir=subfolder
        )
        check_sha256(unfinished, sha256)
        unfinished.replace(path)
    except ValueError:
        raise
    except Exception as error:  # what Keras raises for every failed download
        raise FileNotFoundError(f"The weights cannot be had from {address}: {error}.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def check_sha256(path: Path, expected: str) -> None:
    """Raise a ValueError if a file is not the one that was published."""
    found = sha256_of(path)
    if found != expected:
        raise ValueError(
            f"The weights in {path} are truncated or altered: their SHA-256 is {found}, but "
            f"{expected} was published. Delete the file and get it again."
        )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
