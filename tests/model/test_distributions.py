"""Flows as distributions of TFP's."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import build_flow

import tfflows
from tfflows.layers import Chain, Logit, Scale

tfd = tfp.distributions


def bounded():
    """A density on the unit square."""
    return tfflows.Flow(Chain([Scale(), Logit(alpha=0.0)]), event_shape=(2,))


def test_densities_are_zero_outside_of_the_support():
    flow, inside = bounded(), np.array([[0.3, 0.6]], "float32")
    outside = np.array([[0.5, 1.2], [-0.1, 0.5], [np.inf, 0.5]], "float32")
    found = flow.distribution.log_prob(np.concatenate([inside, outside]))
    np.testing.assert_allclose(found[:1], flow.log_prob(inside), rtol=1e-6)
    np.testing.assert_array_equal(found[1:], [-np.inf] * 3)
    np.testing.assert_array_equal(flow.distribution.prob(outside), [0.0] * 3)
    with pytest.raises(ValueError, match="outside its support"):
        flow.log_prob(outside[:1])


def test_samplers_reject_steps_out_of_the_support():
    """The mean of a chain on the unit square is that of the density, 1/2 by symmetry."""
    flow = bounded()
    kernel = tfp.mcmc.HamiltonianMonteCarlo(
        flow.distribution.log_prob, step_size=0.4, num_leapfrog_steps=3
    )

    @tf.function(autograph=False)
    def chain():
        start = tf.fill([64, 2], 0.5)
        trace = lambda _, results: results.is_accepted  # noqa: E731
        return tfp.mcmc.sample_chain(50, start, kernel=kernel, trace_fn=trace, seed=[0, 1])

    x, is_accepted = chain()
    assert 0.05 < np.mean(is_accepted) < 0.95
    assert np.all((x > 0) & (x < 1))
    error = np.std(np.mean(x, 0), 0) / np.sqrt(64)
    assert np.all(np.abs(np.mean(x, (0, 1)) - 0.5) < 5 * error)


@pytest.mark.parametrize("name", ["realnvp_context", "realnvp_classes"])
def test_given_contexts_are_a_batch_of_densities(name):
    flow = build_flow(name)
    rng = np.random.default_rng(0)
    if flow.num_classes:
        contexts = np.array([1, 0, 1])
    else:
        contexts = rng.normal(size=(3, flow.context_dim)).astype("float32")
    x = rng.normal(size=(5, 3, *flow.event_shape)).astype("float32")
    several = flow.given(contexts)
    assert (several.batch_shape, several.event_shape) == ((3,), flow.event_shape)

    def log_prob(x):
        rows = [np.stack([context] * len(x)) for context in contexts]
        return np.stack([flow.log_prob(x[:, k], rows[k]) for k in range(3)], 1)

    expected = log_prob(x)
    np.testing.assert_allclose(several.log_prob(x), expected, rtol=1e-5, atol=1e-5)
    one = flow.given(contexts[1])
    assert one.batch_shape == ()
    np.testing.assert_allclose(one.log_prob(x[:, 1]), expected[:, 1], rtol=1e-5, atol=1e-5)

    samples, found = several.experimental_sample_and_log_prob(4, seed=[0, 1])
    assert samples.shape == (4, 3, *flow.event_shape)
    np.testing.assert_allclose(found, log_prob(samples), rtol=1e-4, atol=1e-4)

    weights = np.array([0.5, 0.2, 0.3], "float32")
    mixture = tfd.MixtureSameFamily(tfd.Categorical(probs=weights), several)
    each = several.log_prob(x[:, :1])
    expected = tf.reduce_logsumexp(np.log(weights) + each, 1)
    np.testing.assert_allclose(mixture.log_prob(x[:, 0]), expected, rtol=1e-5, atol=1e-5)


def test_given_needs_a_context_that_fits():
    with pytest.raises(ValueError, match="not conditional"):
        build_flow("realnvp").given([1.0])
    with pytest.raises(ValueError, match=r"\[batch, \d\].*found shape \(1, 9\)"):
        build_flow("realnvp_context").given(np.zeros(9, "float32"))
