"""Pictures of an autoencoder's latents."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tfflows.plots.files import save
from tfflows.vae import VAE


def figure_of_latents(vae: VAE, x: ArrayLike, seed: ArrayLike = 0) -> Figure:
    """Picture of the aggregated posterior beside the prior: where the two differ is a hole.

    One panel has a draw of q(z|x) for each x, the other as many of the prior, both in the two
    dimensions in which the posterior's centres vary most over x.

    Args:
        vae: a `tfflows.VAE` of at least 2 latent dimensions.
        x: `[n, *event_shape]`.
        seed: of the draws.

    Raises:
        ValueError: if there is one latent dimension, and as `VAE.encode` does.

    Example:
        >>> vae = tfflows.VAE((4,), latent_dim=3)
        >>> figure = tfflows.plots.figure_of_latents(vae, np.eye(4, dtype=int))
        >>> [panel.get_title() for panel in figure.axes]
        ['aggregated posterior', 'prior']
    """
    if vae.latent_dim < 2:
        raise ValueError(
            f"Latents are drawn in two dimensions, but {vae.name} has latent_dim={vae.latent_dim}."
        )
    variances = np.var(vae.encode(x, batch_size=500), axis=0)
    dims = np.sort(np.argsort(variances)[-2:])
    posterior = vae.encode(x, seed, batch_size=500).numpy()[:, dims]
    prior = vae.sample_latents(len(posterior), seed=seed).numpy()[:, dims]
    figure = Figure(figsize=(8.4, 4.2), dpi=100, layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, points, title in zip(
        panels, (posterior, prior), ("aggregated posterior", "prior"), strict=True
    ):
        panel.scatter(*points.T, s=2, alpha=0.6, linewidths=0)
        panel.set(title=title, xlabel=f"z[{dims[0]}]", ylabel=f"z[{dims[1]}]")
    return figure


def save_latents(vae: VAE, path: str | os.PathLike, x: ArrayLike, seed: ArrayLike = 0) -> Path:
    """Write `figure_of_latents(vae, x, seed)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return save(figure_of_latents(vae, x, seed), path)
