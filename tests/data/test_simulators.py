"""Simulators and their exact posteriors."""

import math

import numpy as np
import pytest
import scipy.stats

from tfflows.data.simulators import SIMULATORS


@pytest.mark.parametrize("name", SIMULATORS)
def test_draws_follow_from_the_seed(name):
    first, again = (SIMULATORS[name].draw(50, seed=3) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert len(a) == 50
        np.testing.assert_array_equal(a, b)


def test_the_linear_posterior_is_that_of_conjugate_normals():
    simulator = SIMULATORS["gaussian_linear"]
    parameters, observations = simulator.draw(20, seed=0)
    prior = scipy.stats.norm.logpdf(parameters, 0, math.sqrt(0.1)).sum(-1)
    likelihood = scipy.stats.norm.logpdf(observations, parameters, math.sqrt(0.1)).sum(-1)
    evidence = scipy.stats.norm.logpdf(observations, 0, math.sqrt(0.2)).sum(-1)
    found = simulator.posterior_log_prob(parameters, observations)
    np.testing.assert_allclose(found, prior + likelihood - evidence, rtol=1e-10)


def test_two_moons_are_drawn_from_their_density():
    simulator = SIMULATORS["two_moons"]
    parameters = np.array([0.3, -0.5])
    # The density of what is simulated, over a grid of 0.001.
    axes = np.arange(0.1, 0.3, 0.001), np.arange(-0.75, -0.35, 0.001)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    density = np.exp(simulator.posterior_log_prob(np.broadcast_to(parameters, grid.shape), grid))
    assert density.sum() * 1e-6 == pytest.approx(1, abs=0.01)
    rng = np.random.default_rng(0)
    drawn = simulator.simulate(np.tile(parameters, (50_000, 1)), rng)
    mean = (grid * density[..., np.newaxis]).sum((0, 1)) * 1e-6
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.002)
    # Outside of the prior there is nothing.
    assert simulator.posterior_log_prob(np.array([[1.5, 0.0]]), drawn[:1]) == -np.inf
