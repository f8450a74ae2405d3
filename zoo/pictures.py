"""Pictures of an image entry: samples by temperature, interpolations, edits of attributes.

All of them show images that the flow made: no image of a data set is copied into an entry.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfflows import edit, plots

TEMPERATURES = (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
STRENGTHS = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
_TEMPERATURE = 0.7
_SEED = 0


def draw(flow, directions: dict[str, np.ndarray], folder: Path) -> dict[str, str]:
    """Draw what an image flow can do into a folder; captions by file name.

    Args:
        flow: an unconditional image flow.
        directions: of attributes in its latent space, by name; see `zoo.directions`.
        folder: gets the PNG files.
    """
    captions = {}

    def save(name, images, caption, **labels):
        plots.save_rows(folder / name, images, num_bits=flow.num_bits, **labels)
        captions[name] = caption

    rows = [edit.sample(flow, 6, t, seed=_SEED).numpy() for t in TEMPERATURES]
    save(
        "temperatures.png",
        np.stack(rows, axis=1),
        f"Samples at temperatures from {TEMPERATURES[0]:g} to {TEMPERATURES[-1]:g}, a row for each "
        "draw of the noise.",
        column_labels=[f"{t:g}" for t in TEMPERATURES],
    )

    samples = edit.sample(flow, 8, _TEMPERATURE, seed=_SEED).numpy()
    samples = np.clip(samples, 0.5, 2.0**flow.num_bits - 0.5)
    paths = [edit.interpolate(flow, samples[i], samples[i + 4]) for i in range(4)]
    save(
        "interpolations.png",
        np.stack(paths),
        "Spherical interpolations in latent space between two samples at temperature "
        f"{_TEMPERATURE:g}, the first and the last of each row.",
    )

    if directions:
        rows = [
            edit.manipulate(flow, sample[np.newaxis], direction, STRENGTHS)[0]
            for sample, direction in zip(samples, directions.values(), strict=False)
        ]
        save(
            "attributes.png",
            np.stack(rows),
            f"Samples at temperature {_TEMPERATURE:g}, moved along the mean latent difference of "
            "training images with and without an attribute, by strength.",
            row_labels=[name.replace("_", " ") for name in directions],
            column_labels=[f"{strength:+g}" for strength in STRENGTHS],
        )
    return captions
