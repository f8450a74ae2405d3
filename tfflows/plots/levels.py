"""Pictures of what the levels of a multi-scale flow hold."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tfflows.distributions.dequantization import quantize
from tfflows.flow import Flow
from tfflows.layers import MultiScale
from tfflows.layers.parts import layers_of_kind
from tfflows.plots.files import save
from tfflows.plots.images import figure_of_rows
from tfflows.random.seeds import stateless_seed


def figure_of_levels(
    flow: Flow,
    x: ArrayLike,
    context: ArrayLike | None = None,
    temperature: float = 1.0,
    seed: ArrayLike = 0,
) -> Figure:
    """Rows of images of which fewer and fewer levels keep their latents: what is left is theirs.

    The first row has the images themselves. In each row below, one more level's latents, finest
    level first, are drawn anew; in the last row only those of the coarsest one are the images' own.

    Args:
        flow: an image flow with a `MultiScale`, such as `Glow` and `ImageRealNVP`.
        x: images, `[n, height, width, channels]`.
        context: of the images, if the flow has one.
        temperature: of the latents that are drawn anew.
        seed: of these.

    Raises:
        ValueError: if the flow has no levels, and as `Flow.encode` does.

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017,
    appendix B, with other latents drawn anew.

    Example:
        >>> flow = tfflows.Glow((8, 8, 1), levels=2, steps=1, width=4, num_bits=4)
        >>> images = np.random.default_rng(0).integers(16, size=[3, 8, 8, 1])
        >>> figure = tfflows.plots.figure_of_levels(flow, images)
        >>> [text.get_text() for text in figure.texts]
        ['images', 'level 0 of 2']
    """
    (levels, *_) = (*layers_of_kind(flow.transform, MultiScale), None)
    if levels is None:
        raise ValueError(
            f"Levels are drawn of a flow with a MultiScale, but {type(flow).__name__} has none."
        )
    x = np.asarray(x)
    if flow.num_bits is not None:
        x = quantize(x, flow.num_bits) + 0.5
    z = flow.encode(x.astype(flow.compute_dtype), context)
    new = flow.base.sample(len(x), seed=stateless_seed(seed))
    own, new = levels.split(z), levels.split(temperature * new)
    rows, labels = [x], ["images"]
    for kept in range(len(own) - 1, 0, -1):
        mixed = levels.join([*own[:kept], *new[kept:]])
        rows.append(flow.decode(mixed, context).numpy())
        last = "0" if kept == 1 else f"0-{kept - 1}"
        labels.append(f"level{'s' * (kept > 1)} {last} of {len(own)}")
    return figure_of_rows(np.stack(rows), flow.num_bits or 8, row_labels=labels)


def save_levels(flow: Flow, path: str | os.PathLike, x: ArrayLike, **kwargs) -> Path:
    """Write `figure_of_levels(flow, x, **kwargs)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return save(figure_of_levels(flow, x, **kwargs), path)
