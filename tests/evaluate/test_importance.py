"""Importance samples, against closed forms for two normal densities."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfflows
from tfflows.evaluate import ImportanceSamples, importance_samples

N = 20_000


@pytest.fixture(scope="module")
def flow():
    return tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))  # N(0, 1)


def shifted(x):
    """2 plus the log-density of N((0.6, 0), 1)."""
    return 2 - np.log(2 * np.pi) - tf.reduce_sum((x - [0.6, 0.0]) ** 2, -1) / 2


def test_evidence_and_sample_size(flow):
    samples = importance_samples(flow, shifted, N)
    assert samples.x.shape == (N, 2) and samples.log_weights.shape == (N,)
    # The weights are log-normal: E[w^2] / E[w]^2 = exp(m^2).
    spread = np.exp(0.6**2)
    assert samples.standard_error == pytest.approx(np.sqrt((spread - 1) / N), rel=0.1)
    assert samples.log_evidence == pytest.approx(2, abs=3 * samples.standard_error)
    assert samples.effective_sample_size == pytest.approx(N / spread, rel=0.05)
    assert samples.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(samples.mean(samples.x), [0.6, 0.0], atol=0.04)
    assert str(samples).startswith(f"log evidence {samples.log_evidence:.4f} +/- 0.00")
    assert f"of {N}" in str(samples)


def test_samples_follow_from_the_seed(flow):
    first, again, other = (importance_samples(flow, shifted, 6000, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.x, again.x)
    assert np.all(first.x != other.x)
    # Batches are drawn with seeds of their own.
    assert len(np.unique(first.x[:, 0])) == 6000


def test_errors_say_what_was_found(flow):
    with pytest.raises(ValueError, match="n of at least 2, but found 1"):
        importance_samples(flow, shifted, 1)
    with pytest.raises(ValueError, match="finite wherever the flow draws, but .* of 100 values"):
        importance_samples(flow, lambda x: tf.math.log(x[:, 0]), 100)
    for forgotten_axis in (None, 1):
        with pytest.raises(ValueError, match=r"of shape \[batch\], but for x of shape \(100, 2\)"):
            importance_samples(
                flow, lambda x, a=forgotten_axis: tf.reduce_sum(x**2, a, keepdims=True), 100
            )
    with pytest.raises(ValueError, match=r"it returned \(1,\)"):
        importance_samples(flow, lambda x: tf.reduce_sum(x**2)[tf.newaxis], 100)


@pytest.mark.parametrize("shape", [-0.5, 0.2, 0.5, 0.9])
def test_the_tail_of_weights_that_follow_a_pareto_distribution(shape):
    # What exceeds a threshold follows it, too, with the same shape.
    weights = 1 + scipy.stats.genpareto.rvs(shape, size=100_000, random_state=0)
    found = ImportanceSamples(np.zeros([100_000, 1]), np.log(weights)).pareto_k
    # The largest 949 of them, by the Fisher information of the shape.
    assert found == pytest.approx(shape, abs=4 * (1 + shape) / 949**0.5)


def test_weights_without_a_tail():
    assert ImportanceSamples(np.zeros([100, 1]), np.zeros(100)).pareto_k == -np.inf
    with pytest.raises(ValueError, match="at least 25 samples, but there are 10"):
        _ = ImportanceSamples(np.zeros([10, 1]), np.zeros(10)).pareto_k
