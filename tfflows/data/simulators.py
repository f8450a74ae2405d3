"""Simulators whose posteriors are known, to try conditional flows on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Simulator:
    """A prior of parameters, and a program that makes observations of them.

    Attributes:
        name: of the simulator.
        description: what it is, and its source.
        prior: function of n and a `numpy.random.Generator` that draws parameters, `[n, dim]`.
        simulate: function of parameters `[n, dim]` and a generator that draws observations.
        posterior_log_prob: function of parameters and observations that returns the exact
            log-density of the parameters given each observation, in nats, `[n]`, up to what depends
            on the observation alone.

    Example:
        >>> from tfflows.data import simulators
        >>> parameters, observations = simulators.SIMULATORS["two_moons"].draw(1000, seed=0)
        >>> parameters.shape, observations.shape
        ((1000, 2), (1000, 2))
    """

    name: str
    description: str
    prior: Callable = dataclasses.field(repr=False)
    simulate: Callable = dataclasses.field(repr=False)
    posterior_log_prob: Callable = dataclasses.field(repr=False)

    def draw(self, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """n pairs of parameters and observations."""
        rng = np.random.default_rng(seed)
        parameters = self.prior(n, rng)
        return parameters, self.simulate(parameters, rng)


# The variance of the prior, and that of an observation.
_VARIANCE = 0.1
_SIZE = 10


def _linear_prior(n, rng):
    return rng.normal(scale=math.sqrt(_VARIANCE), size=(n, _SIZE))


def _linear_simulate(parameters, rng):
    return rng.normal(parameters, math.sqrt(_VARIANCE))


def _linear_posterior(parameters, observations):
    variance = _VARIANCE / 2
    distances = np.sum((parameters - observations / 2) ** 2, axis=-1)
    return -distances / (2 * variance) - _SIZE / 2 * math.log(2 * math.pi * variance)


_RADIUS, _WIDTH = 0.1, 0.01


def _uniform_prior(n, rng):
    return rng.uniform(-1, 1, size=(n, 2))


def _centres(parameters):
    """Where the moon of each pair of parameters is: the same for two of them."""
    first, second = parameters[..., 0], parameters[..., 1]
    shift = np.stack([-np.abs(first + second), second - first], -1) / math.sqrt(2)
    return shift + [0.25, 0.0]


def _moon_simulate(parameters, rng):
    angles = rng.uniform(-math.pi / 2, math.pi / 2, size=len(parameters))
    radii = rng.normal(_RADIUS, _WIDTH, size=len(parameters))
    moons = radii[:, np.newaxis] * np.stack([np.cos(angles), np.sin(angles)], -1)
    return _centres(parameters) + moons


def _moon_posterior(parameters, observations):
    right, up = np.moveaxis(observations - _centres(parameters), -1, 0)
    radius = np.hypot(right, up)
    inside = (right > 0) & np.all(np.abs(parameters) <= 1, axis=-1)
    with np.errstate(divide="ignore"):
        # Polar coordinates, half a circle of them.
        log_likelihood = _log_normal(radius) - np.log(math.pi * radius)
    return np.where(inside, log_likelihood, -np.inf)


def _log_normal(radius):
    standard = (radius - _RADIUS) / _WIDTH
    return -0.5 * standard**2 - math.log(_WIDTH) - 0.5 * math.log(2 * math.pi)


_LUECKMANN = "of Lueckmann et al., 'Benchmarking simulation-based inference', 2021"

SIMULATORS = {
    simulator.name: simulator
    for simulator in (
        Simulator(
            "gaussian_linear",
            f"A normal mean in ten dimensions under a normal prior, {_LUECKMANN}.",
            _linear_prior,
            _linear_simulate,
            _linear_posterior,
        ),
        Simulator(
            "two_moons",
            f"Half a ring that two regions of the parameters make, {_LUECKMANN}.",
            _uniform_prior,
            _moon_simulate,
            _moon_posterior,
        ),
    )
}
