"""Directions of attributes in an entry's latent space, for edits without the data set."""

from __future__ import annotations

import numpy as np

from zoo.catalog import folder_of

FILE = "attributes.npz"
ATTRIBUTES = ("Smiling", "Male", "Blond_Hair", "Young")
# Encoded for the directions.
_MOST_EXAMPLES = 4096


def directions(name: str) -> dict[str, np.ndarray]:
    """Directions of an entry's attributes by name, each of the latent shape.

    They are for `tfflows.edit.manipulate`, where a strength of 1 adds the mean difference between
    training images with the attribute and without it. Only entries of faces have any.

    Raises:
        ValueError: for an unknown name.

    Example:
        >>> {key: value.shape for key, value in zoo.directions("glow_celeba").items()}
        {'Smiling': (12288,), 'Male': (12288,), 'Blond_Hair': (12288,), 'Young': (12288,)}
        >>> zoo.directions("nice_digits")
        {}
    """
    path = folder_of(name) / FILE
    if not path.is_file():
        return {}
    with np.load(path) as file:
        return {key: file[key].astype("float32") for key in file}


def compute(flow, data) -> dict[str, np.ndarray]:
    """Directions of those `ATTRIBUTES` that a data set has, in its flow's latent space.

    Args:
        flow: an unconditional image flow.
        data: the data set that it was trained on; `_MOST_EXAMPLES` of its training images are
            encoded.
    """
    from tfflows import edit

    known = [name for name in ATTRIBUTES if name in (data.attribute_names or ())]
    if not known:
        return {}
    columns = [data.attribute_names.index(name) for name in known]
    x, y = data.train.x[:_MOST_EXAMPLES], data.train.y[:_MOST_EXAMPLES, columns]
    return dict(zip(known, edit.attribute_direction(flow, x, y > 0), strict=True))


def save(found: dict[str, np.ndarray], folder) -> None:
    """Write directions into an entry's folder, in float16: they are means of noisy values."""
    halves = {name: value.astype("float16") for name, value in found.items()}
    np.savez_compressed(folder / FILE, **halves)
