"""How an autoencoder uses its latents."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from tfflows.random.seeds import stateless_seed
from tfflows.vae import VAE
from tfflows.vae.metrics import ACTIVE_VARIANCE


@dataclasses.dataclass(frozen=True)
class LatentUsage:
    """What each latent dimension tells of x.

    Attributes:
        kl_per_dimension: mean over x of each dimension's part of KL(q(z|x) || p(z)), in nats,
            `[latent_dim]`; `None` where it has no closed form.
        variances: over x, of the centre of q(z|x), `[latent_dim]`.
        num_examples: number of x.
    """

    kl_per_dimension: np.ndarray | None
    variances: np.ndarray
    num_examples: int

    @property
    def active_units(self) -> int:
        """Number of dimensions whose variance is above 0.01; see `tfflows.vae.metrics`."""
        return int(np.sum(self.variances > ACTIVE_VARIANCE))

    def __str__(self):
        text = f"{self.active_units} of {len(self.variances)} units active"
        if self.kl_per_dimension is not None:
            text += f", KL {self.kl_per_dimension.sum():.4f} nats"
        return f"{text} ({self.num_examples} examples)"


def latent_usage(vae: VAE, x: ArrayLike, batch_size: int = 500) -> LatentUsage:
    """Divergence from the prior and activity of each latent dimension, against collapse.

    Of a dimension that collapsed, q(z_i|x) = p(z_i) for all x, both are 0. The divergence by
    dimension is known for Gaussian posteriors and the standard normal prior; that of a posterior
    whose dimensions depend on each other is each dimension's given those before it, and that of a
    `tfflows.vae.HierarchicalPrior` each dimension's given a draw of the levels it depends on.

    Args:
        vae: the autoencoder.
        x: `[n, *event_shape]`.
        batch_size: examples at a time.

    Raises:
        ValueError: as `VAE.elbo` does.

    Example:
        >>> vae = tfflows.VAE((4,), latent_dim=2)
        >>> usage = tfflows.evaluate.latent_usage(vae, np.eye(4, dtype=int))
        >>> usage.kl_per_dimension.shape, usage.num_examples
        ((2,), 4)
    """
    x, divergences, centres = np.asarray(x), [], []
    vae.check_data(x)
    for start in range(0, len(x), batch_size):
        rows = vae.observed(x[start : start + batch_size])
        terms = vae.terms(rows, stateless_seed(0) + [0, start])
        centres.append(vae.centre(terms.parameters).numpy().astype("float64"))
        if terms.kl_per_dimension is not None:
            divergences.append(terms.kl_per_dimension.numpy().astype("float64"))
    kl = np.concatenate(divergences).mean(0) if divergences else None
    return LatentUsage(kl, np.concatenate(centres).var(0), len(x))
