"""How far an autoencoder's prior is from what its encoder makes of data."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.layers.passes import Pass
from tfflows.vae import VAE


@dataclasses.dataclass(frozen=True)
class PriorHole:
    """How far the prior is from the aggregated posterior, q(z) = E_x[q(z|x)], in nats.

    Attributes:
        upper: KL of the mean of q(z|x) over the given x from the prior. In expectation over sets of
            x it is above KL(q(z) || p(z)), by less the more x there are.
        upper_standard_error: of `upper` over the draws.
        lower: the same with each draw's own x left out of the mean, in expectation below
            KL(q(z) || p(z)).
        lower_standard_error: likewise.
        num_examples: number of x, with a draw each.
    """

    upper: float
    upper_standard_error: float
    lower: float
    lower_standard_error: float
    num_examples: int

    def __str__(self):
        return (
            f"KL(aggregated posterior || prior) from {self.lower:.4f} +/- "
            f"{self.lower_standard_error:.4f} to {self.upper:.4f} +/- "
            f"{self.upper_standard_error:.4f} nats ({self.num_examples} examples)"
        )


def prior_hole(vae: VAE, x: ArrayLike, seed: int = 0, batch_size: int = 2**16) -> PriorHole:
    """KL(q(z) || p(z)) of the aggregated posterior from the prior, between two estimates.

        upper: mean_i log (1/n) sum_j q(z_i|x_j) - log p(z_i),  z_i ~ q(z|x_i)
        lower: mean_i log (1/(n-1)) sum_{j != i} q(z_i|x_j) - log p(z_i)

    Where it is large, there are regions that the prior draws from and no x is encoded to, or the
    other way around, and samples look worse than reconstructions. No number of x can show an
    I(x; z) above log n: where the posteriors of n examples hardly overlap, the two are far apart.
    What is left of the mean KL(q(z|x) || p(z)) is I(x; z), which no prior can take away.

    Args:
        vae: the autoencoder.
        x: `[n, *event_shape]`, at least 2; all n^2 pairs are evaluated.
        seed: of the draws.
        batch_size: pairs at a time.

    Raises:
        ValueError: if there are fewer than 2 examples, if the posterior's or the prior's densities
            are estimates, and as `VAE.elbo` does.

    Source: Hoffman and Johnson, "ELBO surgery", 2016; the two estimates: Poole, Ozair, van den
    Oord, Alemi and Tucker, "On variational bounds of mutual information", 2019,
    https://arxiv.org/abs/1905.06922, section 2.4.

    Example:
        >>> keras.utils.set_random_seed(0)
        >>> vae = tfflows.VAE((4,), latent_dim=2)
        >>> hole = tfflows.evaluate.prior_hole(vae, np.eye(4, dtype=int))
        >>> hole.lower < hole.upper
        True
    """
    x = np.asarray(x)
    vae.check_data(x)
    if len(x) < 2:
        raise ValueError(f"prior_hole needs at least 2 examples, but found {len(x)}.")
    if vae.log_det_estimator is not None:
        raise ValueError(
            f"prior_hole needs computed densities, but {vae.name} estimates log-dets by "
            f"{vae.log_det_estimator}."
        )
    call, num = Pass(), len(x)
    parameters = tf.concat(
        [vae.posterior_parameters(vae.observed(x[i : i + 500])) for i in range(0, num, 500)], 0
    )
    z = vae.encode(x, seed, batch_size=500)

    @tf.function(autograph=False, reduce_retracing=True)
    def log_q_of_pairs(rows):
        """log q(z_i|x_j), `[rows, n]`."""
        pairs = tf.repeat(rows, num, axis=0), tf.tile(parameters, [tf.shape(rows)[0], 1])
        return tf.reshape(vae.posterior.log_prob(*pairs, call), [-1, num])

    together, others = [], []
    rows = max(1, batch_size // num)
    for start in range(0, num, rows):
        batch = z[start : start + rows]
        log_q = log_q_of_pairs(batch).numpy().astype("float64")
        log_p = vae.prior.log_prob(batch, call).numpy().astype("float64")
        together.append(np.logaddexp.reduce(log_q, 1) - math.log(num) - log_p)
        log_q[np.arange(len(batch)), start + np.arange(len(batch))] = -np.inf
        others.append(np.logaddexp.reduce(log_q, 1) - math.log(num - 1) - log_p)
    together, others = np.concatenate(together), np.concatenate(others)
    return PriorHole(*_mean_and_error(together), *_mean_and_error(others), num)


def _mean_and_error(values):
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
