"""Ranks and coverage of conditional flows, against posteriors that are known."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfflows
from tfflows.data.simulators import SIMULATORS
from tfflows.evaluate import Calibration, calibration


class Normal:
    """What stands in for a flow: a normal density around the context, as wide as it is told."""

    name, is_conditional, num_bits = "normal", True, None

    def __init__(self, scale, shift=0.0):
        self.scale, self.shift = scale, shift

    def log_prob(self, x, context, batch_size=None):
        distances = scipy.stats.norm.logpdf(x, context + self.shift, self.scale)
        return tf.constant(distances.sum(-1))

    def sample_and_log_prob(self, n, seed=None, context=None, batch_size=None):
        noise = np.random.default_rng(seed).normal(size=context.shape)
        x = context + self.shift + self.scale * noise
        return tf.constant(x), self.log_prob(x, context)


def checked(flow, n=2000):
    rng = np.random.default_rng(1)
    context = rng.normal(size=(n, 2))
    return calibration(flow, context + rng.normal(size=(n, 2)), context, num_draws=99)


def test_the_exact_density_is_calibrated():
    result = checked(Normal(1.0))
    assert result.ranks.shape == (2000, 2)
    assert result.density_ranks.shape == (2000,)
    assert np.all(result.p_values > 0.01)
    for level in (0.1, 0.5, 0.9):
        assert np.all(np.abs(result.coverage(level) - level) < result.band())
        assert abs(result.density_coverage(level) - level) < result.band()


@pytest.mark.parametrize(
    "flow, covered", [(Normal(0.7), 0.516), (Normal(1.5), 0.866), (Normal(1.0, 1.0), 0.472)]
)
def test_other_densities_are_not(flow, covered):
    result = checked(flow)
    # Of the true x, in what the density says is 2/3 of it: by its closed form.
    half = flow.scale * scipy.stats.norm.ppf(5 / 6)
    expected = np.diff(scipy.stats.norm.cdf([flow.shift - half, flow.shift + half]))[0]
    assert expected == pytest.approx(covered, abs=0.02)
    np.testing.assert_allclose(result.coverage(2 / 3), expected, atol=0.05)
    assert np.min(result.p_values) < 1e-6
    assert "p-value 0.000" in str(result)


def test_ranks_are_counts_of_draws():
    class Fixed(Normal):
        def sample_and_log_prob(self, n, seed=None, context=None, batch_size=None):
            x = np.tile([[0.0, 5.0], [1.0, 6.0], [2.0, 7.0]], (len(context) // 3, 1))
            return tf.constant(x), self.log_prob(x, context)

    result = calibration(Fixed(1.0), [[1.5, 0.0]], [[0.0, 0.0]], num_draws=3)
    np.testing.assert_array_equal(result.ranks, [[2, 0]])
    np.testing.assert_array_equal(result.density_ranks, [0])


def test_the_band_holds_as_often_as_it_says():
    rng = np.random.default_rng(0)
    outside = 0
    for _ in range(300):
        ranks = rng.integers(100, size=(200, 1))
        result = Calibration(ranks, ranks[:, 0], 99)
        levels = np.linspace(0.01, 0.99, 99)
        worst = max(abs(result.density_coverage(level) - level) for level in levels)
        outside += worst > result.band()
    # 5 % of 300, and four standard errors; a coarse grid of levels sees a little less.
    assert outside <= 15 + 4 * np.sqrt(300 * 0.05 * 0.95)
    assert outside >= 2


def test_bad_input_raises():
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,))
    with pytest.raises(ValueError, match="compares continuous x .* takes no context"):
        calibration(flow, np.zeros([3, 2]), np.zeros([3, 1]))
    with pytest.raises(ValueError, match="num_draws must be at least 1, but found 0"):
        calibration(Normal(1.0), np.zeros([3, 2]), np.zeros([3, 2]), num_draws=0)
    pixels = tfflows.NICE((2, 2, 1), num_couplings=2, hidden=(4,), num_bits=4, num_classes=2)
    with pytest.raises(ValueError, match="is a flow of pixels"):
        calibration(pixels, np.zeros([3, 2, 2, 1], int), np.zeros([3], int))


@pytest.mark.slow
def test_a_trained_posterior_is_covered():
    keras.utils.set_random_seed(0)
    simulator = SIMULATORS["gaussian_linear"]
    parameters, observations = simulator.draw(50_000, seed=0)
    flow = tfflows.MAF((10,), num_layers=2, hidden=(64,), context_dim=10)
    flow.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, 2000)))
    flow.fit(parameters, observations, batch_size=250, epochs=10, verbose=0)
    parameters, observations = simulator.draw(1000, seed=1)
    result = calibration(flow, parameters, observations)
    for level in (0.5, 0.75, 0.9, 0.95):
        # The flow is close to the posterior, and no more.
        assert abs(result.density_coverage(level) - level) < result.band() + 0.03
        assert np.all(np.abs(result.coverage(level) - level) < result.band() + 0.03)
    exact = simulator.posterior_log_prob(parameters, observations)
    assert np.mean(exact - flow.log_prob(parameters, observations)) < 0.15
