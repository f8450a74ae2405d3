"""Observation models against closed forms."""

import itertools

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfflows
from tfflows.vae import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    DistributionObservation,
    Gaussian,
)
from tfflows.vae.discretized_logistic import DiscretizedLogistic

SHAPE = (2, 3)
DISCRETE = {
    "bernoulli": Bernoulli(),
    "categorical": Categorical(num_bits=2),
    "logistics": DiscretizedLogisticMixture(num_components=3, num_bits=3),
}


def outputs(observation, n=4, size=2.0, seed=0):
    shape = observation.output_shape(SHAPE)
    return tf.constant(size * np.random.default_rng(seed).normal(size=(n, *shape)))


@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_sum_to_one_and_give_the_mean(name):
    observation = DISCRETE[name]
    h, size = outputs(observation), 2**observation.pixel_bits
    p = observation.distribution(h, SHAPE)
    assert p.event_shape == SHAPE and p.batch_shape == (4,)
    # Of each dimension by itself.
    log_probs = np.stack([p.distribution.log_prob(np.full(SHAPE, v)) for v in range(size)])
    np.testing.assert_allclose(np.exp(log_probs).sum(0), 1, rtol=1e-6)
    expected = np.tensordot(np.arange(size), np.exp(log_probs), 1)
    np.testing.assert_allclose(observation.mean(h, SHAPE), expected, rtol=1e-5)
    x = np.random.default_rng(1).integers(size, size=(4, *SHAPE))
    rows = np.take_along_axis(log_probs, x[np.newaxis], 0)[0].sum((1, 2))
    np.testing.assert_allclose(p.log_prob(x), rows, rtol=1e-5)
    draws = p.sample(4000, seed=[1, 2]).numpy()
    assert draws.dtype == "int32" and draws.min() >= 0 and draws.max() < size
    errors = draws.std(0) / np.sqrt(4000) + 1e-3
    assert np.all(np.abs(draws.mean(0) - expected) < 5 * errors)


def test_bernoulli_and_categorical_are_their_formulas():
    h = outputs(Bernoulli())
    x = np.random.default_rng(1).integers(2, size=(4, *SHAPE))
    p = scipy.special.expit(h)
    expected = np.log(np.where(x, p, 1 - p)).sum((1, 2))
    np.testing.assert_allclose(Bernoulli().distribution(h, SHAPE).log_prob(x), expected, rtol=1e-6)
    categorical = Categorical(num_bits=2)
    h = outputs(categorical)
    logits = np.reshape(h, (4, *SHAPE, 4))
    x = np.random.default_rng(1).integers(4, size=(4, *SHAPE))
    logs = np.take_along_axis(scipy.special.log_softmax(logits, -1), x[..., None], -1)
    found = categorical.distribution(h, SHAPE).log_prob(x)
    np.testing.assert_allclose(found, logs.sum((1, 2, 3)), rtol=1e-6)


def test_logistics_are_differences_of_distribution_functions():
    observation = DiscretizedLogisticMixture(num_components=3, num_bits=3)
    h = outputs(observation)
    logits, means, log_scales = np.split(np.reshape(h, (4, *SHAPE, 9)), 3, -1)
    x = np.random.default_rng(1).integers(8, size=(4, *SHAPE))
    weights = scipy.special.softmax(logits, -1)
    scales = 3.5 * np.exp(log_scales)
    edges = np.where(x == 0, -np.inf, x - 0.5), np.where(x == 7, np.inf, x + 0.5)
    low, high = (scipy.special.expit((e[..., None] - 3.5 * (means + 1)) / scales) for e in edges)
    expected = np.log((weights * (high - low)).sum(-1)).sum((1, 2))
    found = observation.distribution(h, SHAPE).log_prob(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounded_logistics_keep_their_digits_far_out(dtype):
    loc = np.array([0.0, 100.0, 255.0, -500.0, 900.0])
    values = np.array([255, 0, 128, 200, 3])
    p = DiscretizedLogistic(loc.astype(dtype), np.full(5, 0.5, dtype), 256)
    # log sigmoid(b) - log sigmoid(a) in the tails, where both are exponentials.
    a, b = (values - 0.5 - loc) / 0.5, (values + 0.5 - loc) / 0.5
    expected = np.log(-np.expm1(-2.0)) - np.where(a > 0, a, -b)
    expected[0], expected[1] = -a[0], b[1]  # all that is above, all that is below
    np.testing.assert_allclose(p.log_prob(values), expected, rtol=1e-6)
    logs = tf.constant(loc.astype(dtype))
    with tf.GradientTape() as tape:
        tape.watch(logs)
        value = DiscretizedLogistic(logs, tf.fill([5], tf.cast(0.01, dtype)), 256).log_prob(values)
    assert np.all(np.isfinite(tape.gradient(value, logs)))


def test_gaussians():
    x = np.random.default_rng(1).normal(size=(4, *SHAPE))
    fixed = Gaussian(scale=0.3)
    h = outputs(fixed)
    expected = scipy.stats.norm(h, 0.3).logpdf(x).sum((1, 2))
    np.testing.assert_allclose(fixed.distribution(h, SHAPE).log_prob(x), expected, rtol=1e-6)
    learned = Gaussian(min_scale=0.05)
    h = outputs(learned)
    mean, raw = np.moveaxis(np.reshape(h, (4, *SHAPE, 2)), -1, 0)
    expected = scipy.stats.norm(mean, 0.05 + np.log1p(np.exp(raw))).logpdf(x).sum((1, 2))
    np.testing.assert_allclose(learned.distribution(h, SHAPE).log_prob(x), expected, rtol=1e-6)
    np.testing.assert_allclose(learned.mean(h, SHAPE), mean)


def test_a_learned_scale_has_a_likelihood_with_a_bound():
    """The decoder reproduces x, and is as sure of it as it may be."""
    observation = Gaussian(min_scale=0.05)
    h = np.stack([np.ones(SHAPE), np.full(SHAPE, -1e4)], -1).reshape(1, *SHAPE[:-1], 6)
    best = -np.log(0.05 * np.sqrt(2 * np.pi)) * 6
    found = observation.distribution(tf.constant(h), SHAPE).log_prob(np.ones([1, *SHAPE]))
    assert float(found[0]) == pytest.approx(best)


@keras.saving.register_keras_serializable(package="tests")
def counts(outputs):
    rates = tf.nn.softplus(outputs)
    return tfp.distributions.Independent(tfp.distributions.Poisson(rates), 1)


@pytest.mark.slow
def test_a_function_makes_any_distribution(tmp_path):
    x = np.random.default_rng(0).poisson(3.0, size=(64, 3))
    vae = tfflows.VAE((3,), 2, decoder=keras.layers.Dense(3), observation=counts)
    assert vae.observation == DistributionObservation(counts)
    vae.compile(keras.optimizers.Adam(0.02))
    history = vae.fit(x, epochs=5, verbose=0).history
    assert history["elbo"][-1] > history["elbo"][0] and "bits_per_dim" not in history
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    np.testing.assert_allclose(loaded.elbo(x, seed=1), vae.elbo(x, seed=1), rtol=1e-5)
    z = np.zeros([1, 2])
    rates = np.log1p(np.exp(vae.decoder(z)))
    expected = scipy.stats.poisson(rates).logpmf(x[:1]).sum()
    assert float(vae.likelihood_given(z).log_prob(x[:1])[0]) == pytest.approx(expected, rel=1e-5)


def test_a_function_whose_events_do_not_fit():
    def too_small(outputs):
        return tfp.distributions.Normal(outputs, 1.0)

    with pytest.raises(ValueError, match=r"event shape \(3,\) and batch .* made one of \(\) and"):
        tfflows.VAE((3,), 2, decoder=keras.layers.Dense(3), observation=too_small)


def test_images_keep_their_order():
    """Numbers of a pixel are neighbours in the last axis."""
    observation = Categorical(num_bits=1)
    h = np.zeros([1, 2, 2, 2 * 3])
    pixels = np.random.default_rng(0).integers(2, size=(1, 2, 2, 3))
    for row, column, colour in itertools.product(range(2), range(2), range(3)):
        h[0, row, column, 2 * colour + pixels[0, row, column, colour]] = 50.0
    p = observation.distribution(tf.constant(h), (2, 2, 3))
    np.testing.assert_allclose(p.log_prob(pixels), 0.0, atol=1e-10)
    np.testing.assert_allclose(observation.mean(tf.constant(h), (2, 2, 3)), pixels, atol=1e-10)
