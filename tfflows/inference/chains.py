"""Markov chains through a flow, and how well they mixed."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.random.seeds import stateless_seed


@dataclasses.dataclass(frozen=True)
class Chains:
    """Draws of parallel chains.

    Attributes:
        parts: of the joint distribution, each `[num_results, num_chains, ...]`.
        r_hat: of each part's numbers, the split chains' potential scale reduction: 1 where they
            agree; above 1.01 the chains were too short.
        effective_sample_size: of each part's numbers, how many independent draws have the error of
            the mean that all these have.
        acceptance_rate: mean over the draws.
        divergences: number of draws whose trajectory left the density's level by far.

    Example:
        >>> rate = np.full([500, 4], 3.0, "float32")
        >>> chains = tfflows.inference.Chains({"rate": rate}, {"rate": 1}, {"rate": 900}, 0.8, 0)
        >>> print(chains)
        4 chains of 500 draws: R-hat at most 1.000, effective sample size at least 900, ...
        >>> float(chains.mean()[0]["rate"])
        3.0
    """

    parts: Any
    r_hat: Any
    effective_sample_size: Any
    acceptance_rate: float
    divergences: int

    def mean(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Posterior mean of each part, and its Monte Carlo error: two structures like `parts`."""
        means = tf.nest.map_structure(lambda part: np.mean(part, axis=(0, 1)), self.parts)
        errors = tf.nest.map_structure(
            lambda part, size: np.std(part, axis=(0, 1)) / np.sqrt(size),
            self.parts,
            self.effective_sample_size,
        )
        return means, errors

    def __str__(self):
        r_hat = max(np.max(part) for part in tf.nest.flatten(self.r_hat))
        size = min(np.min(part) for part in tf.nest.flatten(self.effective_sample_size))
        num_results, num_chains = tf.nest.flatten(self.parts)[0].shape[:2]
        return (
            f"{num_chains} chains of {num_results} draws: R-hat at most {r_hat:.3f}, effective "
            f"sample size at least {size:.0f}, {self.divergences} divergent, acceptance rate "
            f"{self.acceptance_rate:.2f}"
        )


def sample_chains(flow, unconstrained, num_results, num_burnin_steps, num_chains, seed) -> Chains:
    """See `SurrogatePosterior.sample_chains`."""
    if min(num_results, num_burnin_steps) < 4 or num_chains < 2:
        raise ValueError(
            "sample_chains needs at least 4 results, 4 steps before them and 2 chains to compare, "
            f"but found {num_results}, {num_burnin_steps} and {num_chains}."
        )
    start, walk = tf.unstack(tf.random.experimental.stateless_split(stateless_seed(seed), 2))

    def log_prob(z):
        u, log_det = flow.transform.forward_and_log_det(z)
        return unconstrained.log_prob(u) + log_det

    kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
        tfp.mcmc.NoUTurnSampler(log_prob, step_size=tf.constant(0.3, flow.compute_dtype)),
        num_adaptation_steps=int(0.8 * num_burnin_steps),
        target_accept_prob=tf.constant(0.8, flow.compute_dtype),
    )

    def trace(_, results):
        inner = results.inner_results
        # Of NUTS the mean over the states of a trajectory, which dual averaging steers by.
        return tf.exp(tf.minimum(inner.log_accept_ratio, 0.0)), inner.has_divergence

    @tf.function(autograph=False)
    def run():
        return tfp.mcmc.sample_chain(
            num_results,
            flow.base.sample(num_chains, seed=start),
            kernel=kernel,
            num_burnin_steps=num_burnin_steps,
            trace_fn=trace,
            seed=walk,
        )

    z, (acceptance, divergent) = run()
    flat = tf.reshape(z, [-1, z.shape[-1]])
    parts = tf.nest.map_structure(
        lambda part: tf.reshape(part, [num_results, num_chains, *part.shape[1:]]).numpy(),
        unconstrained.bijector.forward(flow.decode(flat)),
    )
    of_each = tf.nest.map_structure
    return Chains(
        parts,
        of_each(
            lambda x: tfp.mcmc.diagnostic.potential_scale_reduction(
                x, 1, split_chains=True
            ).numpy(),
            parts,
        ),
        of_each(lambda x: tfp.mcmc.effective_sample_size(x, cross_chain_dims=1).numpy(), parts),
        float(np.mean(acceptance)),
        int(np.sum(divergent)),
    )
