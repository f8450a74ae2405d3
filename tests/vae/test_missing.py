"""Autoencoders of incomplete data, against closed forms of a linear Gaussian model."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from linear_gaussian import DIM, SCALE, LinearGaussian

import tfflows
from tfflows.vae import Bernoulli, Gaussian, ImportanceWeightedBound, Missing

MODEL = LinearGaussian(orthogonal=True)
COVARIANCE = MODEL.w @ MODEL.w.T + SCALE**2 * np.eye(DIM)
HOLES = np.array([[0, 1, 0, 0, 1], [1, 0, 0, 0, 0], [1, 1, 1, 0, 1]], bool)
X = np.where(HOLES, np.nan, MODEL.sample(3))


def incomplete_vae():
    """The model with a posterior that is wide enough for all that may be missing."""
    vae = MODEL.vae(dtype="float64", observation=Missing(Gaussian(scale=SCALE)))
    return MODEL.with_means(vae, np.ones(2))


def conditional(x):
    """Indices of what is missing in a row, and its mean and covariance given the rest."""
    missing, there = np.flatnonzero(np.isnan(x)), np.flatnonzero(~np.isnan(x))
    gain = COVARIANCE[np.ix_(missing, there)] @ np.linalg.inv(COVARIANCE[np.ix_(there, there)])
    mean = MODEL.b[missing] + gain @ (x[there] - MODEL.b[there])
    covariance = COVARIANCE[np.ix_(missing, missing)] - gain @ COVARIANCE[np.ix_(there, missing)]
    return missing, mean, covariance


def test_only_what_is_there_counts():
    outputs = tf.constant(np.random.default_rng(0).normal(size=(3, DIM)))
    model = Missing(Gaussian(scale=SCALE))
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        log_prob = model.distribution(outputs, (DIM,)).log_prob(X)
    expected = scipy.stats.norm.logpdf(X, outputs, SCALE)
    np.testing.assert_allclose(log_prob, np.nansum(expected, axis=1))
    gradient = tape.gradient(log_prob, outputs)
    np.testing.assert_allclose(gradient, np.nan_to_num((X - outputs) / SCALE**2))
    np.testing.assert_array_equal(model.as_input(X, "float64"), np.nan_to_num(X))


def test_the_bound_meets_the_likelihood_of_what_is_there():
    weights = incomplete_vae().log_weights(X, seed=0, num_samples=100_000).numpy()
    for row, log_weights in zip(X, weights, strict=True):
        there = np.flatnonzero(~np.isnan(row))
        marginal = scipy.stats.multivariate_normal(MODEL.b[there], COVARIANCE[np.ix_(there, there)])
        ratios = np.exp(log_weights - marginal.logpdf(row[there]))
        error = ratios.std() / len(ratios) ** 0.5
        assert error < 0.02
        assert abs(ratios.mean() - 1) < 4 * error


def test_imputed_means_are_conditional_expectations():
    filled = incomplete_vae().impute(X, num_samples=100_000, seed=0)
    np.testing.assert_array_equal(filled[~HOLES], X[~HOLES])
    for row, found in zip(X, filled, strict=True):
        missing, mean, _ = conditional(row)
        np.testing.assert_allclose(found[missing], mean, atol=0.02)


def test_draws_have_the_conditional_distribution():
    draws = incomplete_vae().impute(X, num_samples=50_000, num_draws=20_000, seed=0)
    assert draws.shape == (20_000, *X.shape)
    np.testing.assert_array_equal(draws[7][~HOLES], X[~HOLES])
    for row, found in zip(X, np.moveaxis(draws, 1, 0), strict=True):
        missing, mean, covariance = conditional(row)
        np.testing.assert_allclose(found[:, missing].mean(0), mean, atol=0.05)
        found_covariance = np.atleast_2d(np.cov(found[:, missing].T))
        np.testing.assert_allclose(found_covariance, covariance, atol=0.08 * COVARIANCE.max())


def test_training_saving_and_loading(tmp_path):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 1)) @ np.ones([1, 4]) + 0.1 * rng.normal(size=(1000, 4))
    x[rng.uniform(size=x.shape) < 0.5] = np.nan
    vae = tfflows.VAE((4,), 2, observation=Missing(Gaussian(scale=0.3)))
    vae.compile(keras.optimizers.Adam(5e-3), ImportanceWeightedBound(num_samples=8))
    history = vae.fit(x, epochs=20, batch_size=50, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    # A column is known from the others.
    row = np.array([[2.0, np.nan, 2.0, 2.0]])
    assert vae.impute(row, seed=0)[0, 1] == pytest.approx(2, abs=0.4)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    assert loaded.observation == vae.observation
    np.testing.assert_allclose(loaded.impute(row, seed=0), vae.impute(row, seed=0), rtol=1e-5)


def test_bad_input_raises():
    with pytest.raises(ValueError, match="model of real numbers, .* but found Bernoulli"):
        Missing(Bernoulli())
    vae = tfflows.VAE((2,), 1, observation=Missing())
    with pytest.raises(ValueError, match="finite or NaN, where a value is missing, but 1 of 2"):
        vae.elbo([[np.inf, 1.0]])
    with pytest.raises(ValueError, match="num_draws of at least 1, but found 10 and 0"):
        vae.impute([[np.nan, 1.0]], num_samples=10, num_draws=0)
    complete = tfflows.VAE((2,), 1, observation=Gaussian())
    with pytest.raises(ValueError, match="needs finite x"):
        complete.elbo([[np.nan, 1.0]])
    with pytest.raises(ValueError, match="to learn from incomplete x"):
        complete.impute([[0.0, 1.0]])
