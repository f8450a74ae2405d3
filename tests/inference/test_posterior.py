"""Posteriors of joint distributions by flows, against closed forms."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfflows
from tfflows.inference import fit_posterior
from tfflows.inference.unconstrained import Unconstrained

tfd = tfp.distributions

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(12, 3)).astype("float32")
NOISE, PRIOR = 0.5, 2.0
OUTPUTS = (INPUTS @ [1.0, -2.0, 0.5] + NOISE * RNG.normal(size=12)).astype("float32")


@tfd.JointDistributionCoroutineAutoBatched
def regression():
    weights = yield tfd.Sample(tfd.Normal(0.0, PRIOR), 3, name="weights")
    yield tfd.Independent(tfd.Normal(tf.linalg.matvec(INPUTS, weights), NOISE), 1, name="outputs")


def exact_regression():
    """Mean, covariance and log evidence, all normal."""
    precision = INPUTS.T @ INPUTS / NOISE**2 + np.eye(3) / PRIOR**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ INPUTS.T @ OUTPUTS / NOISE**2
    marginal = NOISE**2 * np.eye(12) + PRIOR**2 * INPUTS @ INPUTS.T
    log_evidence = -0.5 * (
        OUTPUTS @ np.linalg.solve(marginal, OUTPUTS)
        + np.linalg.slogdet(marginal)[1]
        + 12 * math.log(2 * math.pi)
    )
    return mean, covariance, log_evidence


def fitted(joint, **settings):
    keras.utils.set_random_seed(0)
    settings = {"epochs": 8, "steps_per_epoch": 50, "verbose": 0, **settings}
    return fit_posterior(joint, **settings)


@pytest.mark.slow
def test_regression_has_its_closed_form():
    mean, covariance, log_evidence = exact_regression()
    posterior = fitted(regression.experimental_pin(outputs=OUTPUTS))
    samples = posterior.importance_samples(20_000)
    assert abs(samples.log_evidence - log_evidence) < max(3 * samples.standard_error, 1e-4)
    assert samples.pareto_k < 0.7
    assert posterior.history["elbo"][-1] == pytest.approx(log_evidence, abs=0.1)

    draws = posterior.sample(20_000, seed=1)
    assert type(draws).__name__ == "StructTuple"
    # Of a mean over 20,000 draws, and of what the flow leaves.
    np.testing.assert_allclose(np.mean(draws.weights, axis=0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(draws.weights.numpy().T), covariance, atol=0.01)

    chains = posterior.sample_chains(100, num_burnin_steps=100, num_chains=4)
    (found,), (errors,) = chains.mean()
    assert np.all(np.abs(found - mean) < 4 * errors)
    assert np.max(chains.r_hat.weights) < 1.05
    assert chains.divergences == 0


def mixed_parts(kind):
    """A scale, a share, and a vector given the scale, in one of TFP's spellings."""
    parts = {
        "scale": tfd.Gamma(3.0, 2.0),
        "shares": tfd.Sample(tfd.Beta(2.0, 3.0), (2, 1)),
        "vector": lambda scale: tfd.Sample(tfd.Normal(0.0, scale), 2),
    }
    if kind == "named":
        return tfd.JointDistributionNamed(parts)
    if kind == "named_auto_batched":
        return tfd.JointDistributionNamedAutoBatched(parts)
    scale, shares, vector = parts.values()
    return tfd.JointDistributionSequential([scale, shares, lambda _, scale: vector(scale)])


KINDS = ["named", "named_auto_batched", "sequential"]


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_one_vector_and_back(kind):
    joint = mixed_parts(kind)
    target = Unconstrained(joint)
    assert target.size == 1 + 2 + 2
    assert target.dtype == "float32"
    parts = joint.sample(7, seed=0)
    u = target.bijector.inverse(parts)
    assert u.shape == (7, 5)
    again = target.bijector.forward(tf.identity(u))
    tf.nest.assert_same_structure(again, parts)
    for found, expected in zip(tf.nest.flatten(again), tf.nest.flatten(parts), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_prior_integrates_to_one():
    posterior = fitted(mixed_parts("named"), flow=tfflows.RealNVP)
    samples = posterior.importance_samples(20_000)
    assert samples.pareto_k < 0.7
    assert abs(samples.log_evidence) < max(3 * samples.standard_error, 1e-3)


def test_what_comes_out_has_the_shapes_of_the_joint_distribution():
    posterior = fitted(regression.experimental_pin(outputs=OUTPUTS), epochs=1, steps_per_epoch=2)
    draws = posterior.sample(5, seed=0)
    assert draws.weights.shape == (5, 3)
    assert posterior.log_prob(draws).shape == (5,)
    # All are reals here, so that the density is the flow's own.
    np.testing.assert_allclose(
        posterior.log_prob(draws), posterior.flow.log_prob(draws.weights), rtol=1e-5
    )
    assert posterior.distribution.event_shape.weights == (3,)
    np.testing.assert_array_equal(draws.weights, posterior.sample(5, seed=0).weights)


def test_the_flow_starts_at_the_scale_of_the_prior():
    wide = tfd.JointDistributionSequential([tfd.Normal(500.0, 70.0), tfd.Normal(-3.0, 0.01)])
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,))
    posterior = fitted(
        wide, flow=flow, epochs=1, steps_per_epoch=1, optimizer=keras.optimizers.SGD(0.0)
    )
    first, second = (np.asarray(part) for part in posterior.sample(4000, seed=0))
    # Within five standard errors of the draws from the prior and of these.
    assert abs(first.mean() - 500) < 15
    assert abs(first.std() - 70) < 10
    assert abs(second.std() - 0.01) < 0.0015


def test_a_flow_of_float64():
    joint = tfd.JointDistributionSequential([tfd.Normal(tf.zeros([], "float64"), 1.0)])
    posterior = fitted(joint, epochs=1, steps_per_epoch=1)
    assert posterior.flow.dtype == "float64"
    assert posterior.sample(3)[0].dtype == tf.float64


@pytest.mark.parametrize(
    "joint, message",
    [
        (lambda: tfd.Normal(0.0, 1.0), "takes a tfd.JointDistribution, .* but found Normal"),
        (
            lambda: tfd.JointDistributionSequential([tfd.Normal([0.0, 1.0], 1.0)]),
            r"has parts of batch shape \(2,\): make a vector one event",
        ),
        (
            lambda: tfd.JointDistributionSequential([tfd.Poisson(3.0), tfd.Bernoulli(0.5)]),
            "parts of real numbers, .* are of float32, int32: sum integers out",
        ),
    ],
)
def test_joint_distributions_that_no_flow_fits(joint, message):
    with pytest.raises(ValueError, match=message):
        fit_posterior(joint())


def test_other_bad_input_raises():
    joint = tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Normal(0.0, 1.0)])
    with pytest.raises(ValueError, match="are 2 unconstrained numbers, but the events of"):
        fit_posterior(joint, flow=tfflows.RealNVP((3,), num_couplings=2))
    posterior = fitted(joint, epochs=1, steps_per_epoch=1)
    with pytest.raises(ValueError, match="at least 4 results, .* found 1000, 2 and 8"):
        posterior.sample_chains(num_burnin_steps=2)


def test_the_density_of_the_vector_has_the_jacobian_of_its_map():
    joint = tfd.JointDistributionSequential([tfd.Gamma(3.0, 2.0), tfd.Beta(2.0, 3.0)])
    target = Unconstrained(joint)
    u = tf.constant([[0.3, -0.5], [-1.0, 1.2]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(u)
        parts = target.bijector.forward(u)
    slopes = [tape.gradient(part, u)[:, i] for i, part in enumerate(parts)]
    expected = joint.log_prob(parts) + tf.math.log(slopes[0]) + tf.math.log(slopes[1])
    np.testing.assert_allclose(target.log_prob(u), expected, rtol=1e-5)
