"""What a flow that was fitted to an unnormalised density says about it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from tfflows.flow import Flow
from tfflows.model.reverse_kl import target_values
from tfflows.random.seeds import stateless_seed

# Samples at a time.
_BATCH = 5000


@dataclasses.dataclass(frozen=True)
class ImportanceSamples:
    """Samples of a flow with the weights that make them samples of a target.

    Attributes:
        x: `[n, *event_shape]`.
        log_weights: log p(x) - log q(x) in nats, `[n]`.
    """

    x: np.ndarray
    log_weights: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Of each sample, with a sum of 1, `[n]`."""
        weights = np.exp(self.log_weights - np.max(self.log_weights))
        return weights / weights.sum()

    @property
    def log_evidence(self) -> float:
        """Logarithm of the target's integral: that of the mean weight, in nats."""
        return float(np.logaddexp.reduce(self.log_weights) - math.log(len(self.log_weights)))

    @property
    def standard_error(self) -> float:
        """That of `log_evidence`, in nats: the mean weight's, relative to it.

        It is an underestimate where q misses a part of p, which no weight tells.
        """
        n = len(self.log_weights)
        return float(np.std(n * self.weights, ddof=1) / math.sqrt(n))

    @property
    def effective_sample_size(self) -> float:
        """Number of samples of the target that would be worth as much: 1 / sum of weights^2."""
        return float(1 / np.sum(self.weights**2))

    @property
    def pareto_k(self) -> float:
        """Shape k of the generalised Pareto distribution that the largest weights follow.

        Weights have 1 / k finite moments. Below 0.7 means of this many samples can be trusted, and
        from 1 on no number of samples would do. -inf if the largest weights are all equal.

        Source: Vehtari, Simpson, Gelman, Yao and Gabry, "Pareto smoothed importance sampling",
        2024, https://arxiv.org/abs/1507.02646, whose prior of ten values of 0.5 is added; the
        estimate is that of Zhang and Stephens, "A new and efficient estimation method for the
        generalized Pareto distribution", 2009.
        """
        weights = np.sort(self.weights)
        tail = int(min(len(weights) // 5, math.ceil(3 * math.sqrt(len(weights)))))
        if tail < 5:
            raise ValueError(
                f"pareto_k needs at least 25 samples, but there are {len(weights)} of them."
            )
        shape = _generalized_pareto_shape(weights[-tail:] - weights[-tail - 1])
        return (tail * shape + 10 * 0.5) / (tail + 10)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Expectation under the target of something that was computed of each x, `[n, ...]`."""
        return np.tensordot(self.weights, values, 1)

    def __str__(self):
        size = self.effective_sample_size / len(self.log_weights)
        return (
            f"log evidence {self.log_evidence:.4f} +/- {self.standard_error:.4f} nats, effective "
            f"sample size {size:.1%} of {len(self.log_weights)}"
        )


def _generalized_pareto_shape(excesses: np.ndarray) -> float:
    """The shape k of excesses over a threshold, sorted, by a mean over likely values.

    The profile likelihood of theta = -k / scale is averaged over a grid of quantiles of its prior.
    """
    n, largest = len(excesses), excesses[-1]
    quartile = excesses[int(n / 4 + 0.5) - 1]
    if quartile <= 0:
        return -math.inf
    number = 30 + int(math.sqrt(n))
    quantiles = np.sqrt(number / (np.arange(number) + 0.5))
    theta = 1 / largest + (1 - quantiles) / (3 * quartile)
    shape = np.mean(np.log1p(-theta[:, np.newaxis] * excesses), axis=1)
    log_likelihood = n * (np.log(-theta / shape) - shape - 1)
    weights = np.exp(log_likelihood - np.max(log_likelihood))
    mean = np.sum(theta * weights) / np.sum(weights)
    return float(np.mean(np.log1p(-mean * excesses)))


def importance_samples(
    flow: Flow, target_log_prob: Callable, n: int = 10_000, seed: int = 0
) -> ImportanceSamples:
    """n samples of a flow, weighted to be those of a target that is known up to a factor.

        w = p(x) / q(x),  x ~ q;  Z = E[w]

    Args:
        flow: q, without a context.
        target_log_prob: see `tfflows.training.ReverseKL`.
        n: number of samples, at least 2.
        seed: of the samples.

    Raises:
        ValueError: if n is below 2, or the target returns another shape or is not finite.

    Source: Owen, "Monte Carlo theory, methods and examples", 2013, chapter 9; effective sample
    size: Kong, "A note on importance sampling using standardized weights", 1992.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        >>> target = lambda x: 3.0 - tf.reduce_sum(x**2, -1) / 2
        >>> samples = tfflows.evaluate.importance_samples(flow, target, n=1000)
        >>> print(samples)
        log evidence 4.8379 +/- 0.0000 nats, effective sample size 100.0% of 1000
    """
    if n < 2:
        raise ValueError(f"importance_samples needs n of at least 2, but found {n}.")
    xs, log_weights = [], []
    for start in range(0, n, _BATCH):
        x, log_q = flow.sample_and_log_prob(
            min(_BATCH, n - start), seed=stateless_seed(seed) + [0, start]
        )
        log_p = target_values(target_log_prob, x)
        xs.append(x.numpy())
        log_weights.append(np.asarray(log_p, "float64") - np.asarray(log_q, "float64"))
    return ImportanceSamples(np.concatenate(xs), np.concatenate(log_weights))
