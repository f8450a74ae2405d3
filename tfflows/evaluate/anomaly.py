"""How unusual examples are to a flow, with a rate of false alarms that holds for any flow."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.flow import Flow
from tfflows.layers.passes import Pass
from tfflows.random.seeds import stateless_seed

KINDS = ("density", "typicality", "score_norm", "ratio")
# Samples of the flow whose mean log-density is what is typical.
_TYPICAL = 2000


@dataclasses.dataclass(frozen=True)
class Threshold:
    """From where on an example counts as an anomaly.

    Attributes:
        value: scores above it are alarms.
        rate: of false alarms, at most, over draws of the reference and of an ordinary example.
        interval: where the rate lies with probability 0.95 for the one reference that there is.
    """

    value: float
    rate: float
    interval: tuple[float, float]


class AnomalyDetector:
    """Anomaly scores of a flow, higher for what is less like its data, and their p-values.

        density:     -log p(x)
        typicality:  |log p(x) - E_p[log p]|, of samples of the flow
        score_norm:  |d log p(x) / dx|
        ratio:       log p_background(x) - log p(x)

    A low density alone need not be unusual: what all images have in common may outweigh it, which
    the ratio to a flow of other or coarser data takes away. p-values and thresholds are conformal:
    they compare with scores of ordinary examples that nothing was trained on, and hold in finite
    samples whatever the flow is, as long as new ordinary examples are drawn like these.

    Args:
        flow: a `tfflows.Flow`.
        reference: ordinary examples, `[n, *event_shape]`, which the flow was not trained on.
        kind: one of the scores above.
        context: of each, for a conditional flow.
        background: a flow of the same events, for the ratio.
        seed: of the noise that pixels are dequantised with, and of the samples of typicality.
        batch_size: examples at a time.

    Raises:
        ValueError: for another kind, no background for the ratio or one that is not wanted, and as
            `Flow.log_prob` does; x outside of the flow's support has the score inf.

    Source: conformal p-values: Vovk, Gammerman and Shafer, "Algorithmic learning in a random
    world", 2005; typicality: Nalisnick, Matsukawa, Teh and Lakshminarayanan, "Detecting
    out-of-distribution inputs to deep generative models using typicality", 2019,
    https://arxiv.org/abs/1906.02994; score: Grathwohl et al., "Your classifier is secretly an
    energy based model and you should treat it like one", 2020, https://arxiv.org/abs/1912.03263;
    ratio: Ren et al., "Likelihood ratios for out-of-distribution detection", 2019,
    https://arxiv.org/abs/1906.02845.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))  # untrained, so N(0, 1)
        >>> rng = np.random.default_rng(0)
        >>> detector = tfflows.evaluate.AnomalyDetector(flow, rng.normal(size=(999, 2)))
        >>> detector.p_values(detector.scores([[0.0, 0.1], [4.0, 3.0]]))
        array([0.994, 0.001])
        >>> threshold = detector.threshold(0.01)
        >>> threshold.interval[0] < 0.01 < threshold.interval[1]
        True
    """

    def __init__(
        self,
        flow: Flow,
        reference: ArrayLike,
        *,
        kind: str = "density",
        context: ArrayLike | None = None,
        background: Flow | None = None,
        seed: int = 0,
        batch_size: int = 1000,
    ):
        if kind not in KINDS:
            raise ValueError(f"An anomaly score is one of {', '.join(KINDS)}, but found {kind!r}.")
        if (background is not None) != (kind == "ratio"):
            raise ValueError(
                "The score 'ratio', and no other, needs a background flow, but found kind "
                f"{kind!r} and background {background and background.name}."
            )
        self.flow, self.kind, self.background = flow, kind, background
        self._seed, self._batch_size = seed, batch_size
        self._log_probs = [_log_prob_of(flow), background and _log_prob_of(background)]
        self._typical = None
        if kind == "typicality":
            if flow.is_conditional:
                raise ValueError(
                    f"What is typical of {flow.name} depends on the context; take another score."
                )
            x = flow.sample(_TYPICAL, seed=seed, batch_size=batch_size)
            self._typical = np.mean(flow.log_prob(x, batch_size=batch_size))
        self.reference = np.sort(self.scores(reference, context))

    def scores(self, x: ArrayLike, context: ArrayLike | None = None) -> np.ndarray:
        """Scores of x, `[n]`; arguments as those of the reference."""
        x = np.asarray(x)
        context = None if context is None else np.asarray(context)
        parts = []
        for start in range(0, len(x), self._batch_size):
            rows = slice(start, start + self._batch_size)
            seed = stateless_seed(self._seed) + [0, start]
            parts.append(self._scores(x[rows], None if context is None else context[rows], seed))
        return np.concatenate(parts) if parts else np.zeros(0)

    def p_values(self, scores: ArrayLike) -> np.ndarray:
        """Of the hypothesis that an example is an ordinary one: uniform or larger if it is."""
        below = np.searchsorted(self.reference, scores, side="left")
        n = len(self.reference)
        return (1 + n - below) / (1 + n)

    def threshold(self, rate: float) -> Threshold:
        """The threshold whose false alarms are at most a share of `rate` of ordinary examples.

        Raises:
            ValueError: if that is not between 0 and 1, or takes more reference examples.
        """
        n = len(self.reference)
        if not 0 < rate < 1 or rate * (n + 1) < 1:
            raise ValueError(
                f"A rate of false alarms is between 0 and 1, and {n} reference examples tell those "
                f"from {1 / (n + 1):.2g} on, but found {rate}."
            )
        from scipy.stats import beta  # which takes half a second to import

        rank = math.floor(rate * (n + 1))
        low, high = beta.interval(0.95, rank, n + 1 - rank)
        return Threshold(float(self.reference[n - rank]), rate, (float(low), float(high)))

    def _scores(self, x, context, seed):
        if self.kind == "score_norm":
            score = self.flow.score(x, context, seed=seed).numpy()
            return np.linalg.norm(score.reshape(len(score), -1).astype("float64"), axis=1)
        log_prob = self._log_probs[0](x, context, seed)
        if self.kind == "typicality":
            return np.abs(log_prob - self._typical)
        if self.kind == "ratio":
            ratio = self._log_probs[1](x, context, seed) - log_prob
            return np.where(np.isneginf(log_prob), math.inf, ratio)
        return -log_prob


def _log_prob_of(flow):
    """As `flow.log_prob`, but -inf outside of the support, float64 `[n]`."""

    def log_prob(x, context, seed):
        x, log_q = flow.continuous(x, seed)
        context = flow.layer_context(context, x)
        values = graph(x, context, seed) - log_q
        values = values.numpy().astype("float64")
        return np.where(np.isnan(values), -math.inf, values)

    @tf.function(autograph=False, reduce_retracing=True)
    def graph(x, context, seed):
        return flow.log_prob_pass(x, Pass(context, seed=seed))

    return log_prob
