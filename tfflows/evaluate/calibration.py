"""Whether a conditional flow's spread is that of the truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.flow import Flow


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Ranks of true x among draws of a conditional flow, given the same contexts.

    Where the flow is the conditional distribution, every rank is equally likely.

    Attributes:
        ranks: of each number of x, how many of the draws are smaller, `[n, size]`.
        density_ranks: how many of the draws have a higher density than x, `[n]`.
        num_draws: draws for each x.

    Example:
        >>> ranks = np.arange(10)  # of ten x, each among 9 draws: every rank once
        >>> result = tfflows.evaluate.Calibration(ranks[:, np.newaxis], ranks, num_draws=9)
        >>> result.coverage(0.5).tolist(), result.density_coverage(0.9), round(result.band(), 3)
        ([0.4], 0.9, 0.409)
    """

    ranks: np.ndarray
    density_ranks: np.ndarray
    num_draws: int

    def coverage(self, level: float) -> np.ndarray:
        """Share of x in the central interval of a level, of each number, `[size]`."""
        return np.mean(np.abs(2 * self._positions(self.ranks) - 1) <= level, axis=0)

    def density_coverage(self, level: float) -> float:
        """Share of x in the region of highest density of a level."""
        return float(np.mean(self._positions(self.density_ranks) <= level))

    def band(self, confidence: float = 0.95) -> float:
        """How far a coverage may be from its level, over all levels at once, by chance alone.

        It is the quantile of the Kolmogorov-Smirnov statistic of n numbers.
        """
        from scipy.stats import kstwo  # which takes half a second to import

        return float(kstwo.ppf(confidence, len(self.ranks)))

    @property
    def p_values(self) -> np.ndarray:
        """Of the hypothesis that ranks are uniform, `[size + 1]`: each number's, and the density's.

        By the Kolmogorov-Smirnov test. Small values say that the flow is not calibrated; of
        several, the smallest counts as many times as there are.
        """
        from scipy.stats import kstest

        columns = [*self.ranks.T, self.density_ranks]
        tests = [kstest(self._positions(ranks), "uniform") for ranks in columns]
        return np.array([test.pvalue for test in tests])

    def _positions(self, ranks):
        """Ranks as numbers in [0, 1], uniform where each of `num_draws + 1` ranks is as likely."""
        noise = np.random.default_rng(0).uniform(size=ranks.shape)
        return (ranks + noise) / (self.num_draws + 1)

    def __str__(self):
        p_value = min(1.0, np.min(self.p_values) * len(self.p_values))
        levels = (0.5, 0.9)
        covered = ", ".join(f"{self.density_coverage(level):.3f} at {level}" for level in levels)
        return (
            f"coverage {covered}; p-value {p_value:.3f} of uniform ranks ({len(self.ranks)} "
            f"examples, {self.num_draws} draws of each)"
        )


def calibration(
    flow: Flow,
    x: ArrayLike,
    context: ArrayLike,
    *,
    num_draws: int = 100,
    seed: int = 0,
    batch_size: int = 10_000,
) -> Calibration:
    """Simulation-based calibration: are x like what the flow draws given their contexts?

    In simulation-based inference x are parameters, drawn from their prior, and contexts are what
    was simulated with them; the flow is then the posterior of all contexts.

    Args:
        flow: a conditional flow of continuous x.
        x: `[n, *event_shape]`, which the flow was not trained on.
        context: of each x.
        num_draws: draws for each x, at least 1.
        seed: of the draws.
        batch_size: draws at a time.

    Raises:
        ValueError: for a flow without context, or of pixels, and as `Flow.log_prob` does.

    Source: Talts, Betancourt, Simpson, Vehtari and Gelman, "Validating Bayesian inference
    algorithms with simulation-based calibration", 2018, https://arxiv.org/abs/1804.06788; ranks of
    the density: Hermans et al., "A trust crisis in simulation-based inference?", 2022,
    https://arxiv.org/abs/2110.06581.

    Example:
        >>> keras.utils.set_random_seed(0)
        >>> context = np.random.default_rng(0).normal(size=(2000, 1))
        >>> x = context + np.random.default_rng(1).normal(size=(2000, 2))
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), context_dim=1)
        >>> flow.compile(keras.optimizers.Adam(0.01))
        >>> history = flow.fit(x, context, epochs=10, verbose=0)
        >>> x = context + np.random.default_rng(2).normal(size=(2000, 2))
        >>> result = tfflows.evaluate.calibration(flow, x, context)
        >>> bool(abs(result.density_coverage(0.9) - 0.9) < 0.05)
        True
    """
    if not flow.is_conditional or flow.num_bits is not None:
        raise ValueError(
            f"calibration compares continuous x with draws given their contexts, but {flow.name} "
            f"{'is a flow of pixels' if flow.is_conditional else 'takes no context'}."
        )
    if num_draws < 1:
        raise ValueError(f"num_draws must be at least 1, but found {num_draws}.")
    x, context = np.asarray(x), np.asarray(context)
    log_prob = flow.log_prob(x, context, batch_size=batch_size).numpy()
    contexts = np.repeat(context, num_draws, axis=0)
    draws, log_probs = flow.sample_and_log_prob(
        len(contexts), seed=seed, context=contexts, batch_size=batch_size
    )
    draws = tf.reshape(draws, [len(x), num_draws, -1]).numpy()
    log_probs = tf.reshape(log_probs, [len(x), num_draws]).numpy()
    return Calibration(
        np.sum(draws < x.reshape(len(x), 1, -1), axis=1),
        np.sum(log_probs > log_prob[:, np.newaxis], axis=1),
        num_draws,
    )
