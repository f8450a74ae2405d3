"""Bounds, posteriors and gradients against closed forms and finite differences."""

import numpy as np
import pytest
from linear_gaussian import (
    LATENT_DIM,
    LinearGaussian,
    kl_of_gaussians,
    loss_of,
    require_gradients_of_differences,
)

from tfflows import evaluate
from tfflows.random import stateless_seed
from tfflows.vae import ELBO, ImportanceWeightedBound

MODEL = LinearGaussian(orthogonal=True)
X = MODEL.sample(20)


def wide_vae(**settings):
    """A posterior that is too wide by half, whose bounds are not tight."""
    scales = 1.5 * np.sqrt(np.diag(MODEL.posterior_covariance))
    return MODEL.with_means(MODEL.vae(**settings), scales), scales


def test_with_the_exact_posterior_every_weight_is_the_likelihood():
    vae, expected = MODEL.exact_vae(), MODEL.marginal.logpdf(X)
    weights = vae.log_weights(X, seed=0, num_samples=7).numpy()
    assert weights.shape == (20, 7)
    np.testing.assert_allclose(weights, np.repeat(expected[:, None], 7, 1), atol=1e-4)
    bound = evaluate.importance_weighted_bound(vae, X, num_samples=3)
    assert bound.nll == pytest.approx(-expected.mean(), abs=1e-4)
    assert evaluate.likelihood(vae, X).nll == pytest.approx(-expected.mean(), abs=1e-4)
    assert evaluate.likelihood(vae, X).estimator == "evidence lower bound"


def test_posterior_and_likelihood_are_the_closed_forms():
    vae = MODEL.exact_vae()
    posterior = vae.posterior_given(X)
    means = (X - MODEL.b) @ MODEL.gain.T
    np.testing.assert_allclose(posterior.mean(), means, atol=1e-4)
    np.testing.assert_allclose(vae.encode(X), means, atol=1e-4)
    variances = np.broadcast_to(np.diag(MODEL.posterior_covariance), means.shape)
    np.testing.assert_allclose(posterior.variance(), variances, atol=1e-4)
    np.testing.assert_allclose(vae.reconstruct(X), means @ MODEL.w.T + MODEL.b, atol=1e-4)
    p = vae.likelihood_given(means)
    np.testing.assert_allclose(p.mean(), means @ MODEL.w.T + MODEL.b, atol=1e-4)
    np.testing.assert_allclose(p.stddev(), np.full(X.shape, 0.7), rtol=1e-5)


def test_elbo_is_the_likelihood_minus_the_divergence():
    vae, scales = wide_vae(dtype="float64")
    gap = kl_of_gaussians(np.zeros(2), np.diag(scales**2), np.zeros(2), MODEL.posterior_covariance)
    expected = MODEL.marginal.logpdf(X) - gap
    elbos = np.stack([vae.elbo(X, seed, num_samples=2000) for seed in range(10)])
    errors = elbos.std(0, ddof=1) / np.sqrt(10)
    assert np.all(np.abs(elbos.mean(0) - expected) < 5 * errors)
    assert gap > 10 * errors.max()
    # The estimated divergence gives the same.
    weights = vae.log_weights(X, 0, num_samples=20_000).numpy()
    errors = weights.std(1, ddof=1) / np.sqrt(20_000)
    assert np.all(np.abs(weights.mean(1) - expected) < 5 * errors)


def test_divergence_from_the_prior_by_dimension():
    vae, scales = wide_vae()
    means = (X - MODEL.b) @ MODEL.gain.T
    found = vae.kl_per_dimension(vae.posterior_parameters(vae.observed(X))).numpy()
    for row, mean in zip(found, means, strict=True):
        for i in range(LATENT_DIM):
            one = kl_of_gaussians(mean[[i]], [[scales[i] ** 2]], np.zeros(1), np.eye(1))
            assert row[i] == pytest.approx(one, abs=1e-4)
    usage = evaluate.latent_usage(vae, X, batch_size=7)
    np.testing.assert_allclose(usage.kl_per_dimension, found.mean(0), atol=1e-4)
    np.testing.assert_allclose(usage.variances, means.var(0), rtol=1e-3)
    assert usage.active_units == 2
    assert str(usage).startswith("2 of 2 units active, KL ")


def test_the_importance_weighted_bound_rises_to_the_exact_value():
    vae, _ = wide_vae()
    x = np.repeat(X[:1], 500, 0)  # 500 estimates of one number
    exact = MODEL.marginal.logpdf(X[0])
    bounds, errors = [], []
    for k in (1, 8, 64):
        found = evaluate.importance_weighted_bound(vae, x, num_samples=k)
        assert found.num_draws == k
        bounds.append(-found.nll)
        errors.append(found.standard_error)
    assert np.all(np.diff(bounds) > 2 * np.array(errors[1:]))
    assert bounds[0] < exact - 0.1
    many = vae.log_weights(x, seed=1, num_samples=2000).numpy().astype("float64")
    estimates = np.log(np.mean(np.exp(many - exact), 1)) + exact
    error = estimates.std(ddof=1) / np.sqrt(len(estimates))
    assert abs(estimates.mean() - exact) < 2 * error + 1e-5  # of float32


OBJECTIVES = {
    "elbo": ELBO(),
    "samples": ELBO(num_samples=3),
    "beta": ELBO(beta=0.3),
    "warm-up": ELBO(beta=2.0, warm_up_steps=10),
    "free bits": ELBO(free_bits=0.6),
    "importance": ImportanceWeightedBound(num_samples=4),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_those_of_finite_differences(name):
    vae, _ = wide_vae(dtype="float64")
    require_gradients_of_differences(vae, lambda: loss_of(vae, X, OBJECTIVES[name]))


def test_objectives_are_their_formulas():
    vae, _ = wide_vae(dtype="float64")
    terms = vae.terms(vae.observed(X), stateless_seed(3))
    rec, kl = terms.reconstruction, terms.kl_per_dimension.numpy()
    mean = kl.mean(0)
    assert mean.min() < 0.6 < mean.max()  # one dimension is free, the other is not
    expected = {
        "elbo": np.mean(rec) + mean.sum(),
        "beta": np.mean(rec) + 0.3 * mean.sum(),
        "warm-up": np.mean(rec) + 0.8 * mean.sum(),
        "free bits": np.mean(rec) + np.maximum(mean, 0.6).sum(),
    }
    for name, value in expected.items():
        assert float(loss_of(vae, X, OBJECTIVES[name])) == pytest.approx(value, rel=1e-10)
    evaluated = ELBO(beta=2.0, warm_up_steps=10, free_bits=9.0)(
        vae, vae.observed(X), stateless_seed(3), training=False, step=0
    )
    np.testing.assert_allclose(evaluated["loss"], rec + 2 * kl.sum(1), rtol=1e-10)
    weights = vae.log_weights(X, 3, num_samples=4).numpy()
    bound = np.log(np.mean(np.exp(weights), 1))
    assert float(loss_of(vae, X, OBJECTIVES["importance"])) == pytest.approx(-bound.mean())
