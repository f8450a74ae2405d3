"""Checks of a density in one or two dimensions: its integral, and samples against it."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.auditing.measured import Precision, rows_of
from tfflows.auditing.report import OK, OPEN, WRONG, Finding
from tfflows.auditing.subjects import Subject

_DRAWS = 20_000
# Chance finds five standard errors once in two million checks.
_STANDARD_ERRORS = 5


def check_density(
    subject: Subject, is_standard: bool, precision: Precision, seed: int
) -> list[Finding]:
    """The integral of the density, and moments of samples against those of the density.

    A map has the density of f(z) for standard normal z. Points are drawn from a wider Student-t
    distribution; their weights give the integral and moments with standard errors.

    Args:
        is_standard: whether standard normal z lie in a map's domain.
    """
    names = ["density integrates to 1", "samples have the density's moments"]
    reason = None
    if math.prod(subject.event_shape) > 2:
        reason = "only in one or two dimensions"
    elif subject.sample is None and not is_standard:
        reason = "the domain is not that of normal z"
    if reason is None:
        samples = np.asarray(_sample(subject, seed), "float64")
        shape = samples.shape[1:]
        samples = samples.reshape(_DRAWS, -1)
        if samples.shape[1] > 2 or np.linalg.matrix_rank(np.cov(samples.T)) < samples.shape[1]:
            reason = "x has other degrees of freedom than z"
    if reason is not None:
        return [Finding(name, OPEN, reason) for name in names]

    center = np.median(samples, 0)
    spread = np.diff(np.quantile(samples, [0.1, 0.9], 0), axis=0)[0] / 2
    proposal = tfp.distributions.StudentT(
        np.float64(2), np.zeros_like(center), np.ones_like(center)
    )
    units = proposal.sample(_DRAWS, seed=[seed, 1]).numpy()
    log_q = proposal.log_prob(units).numpy().sum(-1) - np.log(spread).sum()
    x = (center + spread * units).reshape(-1, *shape)
    log_p = _log_prob(subject, tf.constant(x, subject.dtype))
    weights = np.where(np.isfinite(log_p), np.exp(np.minimum(log_p, 500.0) - log_q), 0.0)
    return [
        _integral(names[0], weights, precision),
        _moments(names[1], weights, units, (samples - center) / spread),
    ]


def _sample(subject, seed):
    if subject.sample is not None:
        return subject.sample(_DRAWS, seed)
    return subject.forward(subject.standard(_DRAWS, seed))[0]


def _log_prob(subject, x):
    if subject.log_prob is not None:
        return np.asarray(subject.log_prob(x), "float64")
    z, log_det = subject.inverse(x)
    z = np.asarray(z, "float64").reshape(len(x), -1)
    with np.errstate(over="ignore", invalid="ignore"):
        base = -0.5 * (z**2 + math.log(2 * math.pi)).sum(-1)
        return base + rows_of(log_det, len(x))


def _integral(name, weights, precision):
    error = weights.std() / math.sqrt(_DRAWS)
    if error > 0.05:
        return Finding(name, OPEN, "points of a wider distribution do not cover the density")
    off = abs(weights.mean() - 1)
    allowed = _STANDARD_ERRORS * error + precision.allowed(1)
    note = "" if off <= allowed else f"the integral is {weights.mean():.4g} +/- {error:.2g}"
    return Finding(name, WRONG if note else OK, note, off, allowed)


def _moments(name, weights, units, samples):
    """Bounded functions of all, so that no tail decides."""
    total = weights.sum()
    if total == 0 or weights.std() / math.sqrt(_DRAWS) > 0.05:
        return Finding(name, OPEN, "points of a wider distribution do not cover the density")
    worst = Finding(name, OK, "", 0.0, 1.0)
    for function in (np.tanh, np.cos, lambda u: np.sin(2 * u)):
        expected, found = function(units), function(samples)
        mean = weights @ expected / total
        error = np.sqrt((weights**2 @ (expected - mean) ** 2) / total**2)
        allowed = _STANDARD_ERRORS * np.hypot(error, found.std(0) / math.sqrt(_DRAWS))
        off = np.abs(found.mean(0) - mean)
        i = int(np.argmax(off / allowed))
        if off[i] / allowed[i] > worst.error / worst.allowed:
            verdict = WRONG if off[i] > allowed[i] else OK
            note = "samples do not follow the density" if verdict == WRONG else ""
            worst = Finding(name, verdict, note, float(off[i]), float(allowed[i]))
    return worst
