"""Priors of autoencoders: bases, flows, VampPrior, and the hole between them and q(z)."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from cases import randomize
from linear_gaussian import (
    LinearGaussian,
    kl_of_gaussians,
    loss_of,
    require_gradients_of_differences,
)

import tfflows
from tfflows import evaluate
from tfflows.distributions import GaussianMixture, StudentT
from tfflows.layers.passes import Pass
from tfflows.random.noise import BatchNoise
from tfflows.vae import ELBO, VampPrior

MODEL = LinearGaussian(orthogonal=True)
X = MODEL.sample(20)


def small_flow(kind=tfflows.RealNVP, dtype="float32", **settings):
    name = "num_couplings" if kind is tfflows.RealNVP else "num_layers"
    return kind((2,), hidden=(8,), activation="tanh", dtype=dtype, **{name: 2}, **settings)


PRIORS = {
    "mixture": lambda dtype: GaussianMixture(3, dtype=dtype),
    "student": lambda dtype: StudentT(4.0, trainable=True, dtype=dtype),
    "realnvp": lambda dtype: small_flow(dtype=dtype),
    "nsf": lambda dtype: small_flow(tfflows.NSF, dtype),
    "maf": lambda dtype: small_flow(tfflows.MAF, dtype),
    "vamp": lambda dtype: VampPrior(5, dtype=dtype),
}


def moved(name, dtype="float32"):
    """An autoencoder whose prior has weights away from where they start."""
    vae = MODEL.exact_vae(prior=PRIORS[name](dtype), dtype=dtype)
    randomize(vae.prior, 0.5)
    return vae


@pytest.mark.parametrize("prior", [GaussianMixture(1, spread=0.0), small_flow()])
def test_a_prior_that_starts_as_the_normal_one_gives_the_likelihood(prior):
    """The divergence is estimated here, and not computed."""
    vae = MODEL.exact_vae(prior=prior)
    assert vae.kl_per_dimension(vae.posterior_parameters(vae.observed(X))) is None
    np.testing.assert_allclose(vae.elbo(X, seed=0), MODEL.marginal.logpdf(X), atol=1e-4)


@pytest.mark.parametrize("name", PRIORS)
def test_weights_have_the_density_of_the_prior(name):
    vae = moved(name, "float64")
    z = np.random.default_rng(0).normal(size=(7, 2))
    found = vae.prior.log_prob(tf.constant(z), Pass()).numpy()
    np.testing.assert_allclose(found, vae.prior.distribution.log_prob(z), rtol=1e-8)
    if name == "vamp":
        means, raw = np.split(vae.encoder(vae.prior.pseudo_inputs).numpy(), 2, -1)
        scales = np.log1p(np.exp(raw + np.log(np.expm1(1))))
        parts = scipy.stats.norm(means, scales).logpdf(z[:, np.newaxis]).sum(-1)
        expected = scipy.special.logsumexp(parts, -1) - np.log(5)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    if name in ("realnvp", "nsf", "maf"):
        np.testing.assert_allclose(found, vae.prior.flow.log_prob(z), rtol=1e-8)
    terms = vae.terms(vae.observed(X), tf.constant([0, 3]))
    plain = MODEL.exact_vae(dtype="float64").terms(vae.observed(X), tf.constant([0, 3]))
    np.testing.assert_allclose(terms.log_posterior, plain.log_posterior, rtol=1e-8)
    assert np.abs(terms.log_prior - plain.log_prior).max() > 0.1


@pytest.mark.parametrize("name", PRIORS)
def test_draws_have_the_density_of_the_prior(name):
    """E_p[r / p] = 1 for any density r: here a narrow Gaussian in the middle."""
    vae = moved(name)
    z = vae.prior.draw(BatchNoise(20_000, [0, 1], "float32"))
    log_p = vae.prior.log_prob(z, Pass()).numpy().astype("float64")
    low, middle, high = np.quantile(z, [0.25, 0.5, 0.75], axis=0)
    reference = scipy.stats.norm(middle, 0.3 * (high - low))
    ratios = np.exp(reference.logpdf(z.numpy().astype("float64")).sum(-1) - log_p)
    error = ratios.std(ddof=1) / np.sqrt(len(ratios))
    assert abs(ratios.mean() - 1) < 5 * error and error < 0.1
    assert vae.sample(5, temperature=0.5, seed=0).shape == (5, 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRIORS)
def test_gradients_are_those_of_finite_differences(name):
    vae = moved(name, "float64")
    require_gradients_of_differences(vae, lambda: loss_of(vae, X, ELBO(num_samples=2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", PRIORS)
def test_any_prior_is_trained_and_saved(name, tmp_path):
    vae = MODEL.vae(prior=PRIORS[name]("float32"))
    vae.compile(keras.optimizers.Adam(0.01))
    x = MODEL.sample(256)
    start = vae.evaluate(x, verbose=0, return_dict=True)["elbo"]
    before = [weight.numpy() for weight in vae.prior.trainable_weights]
    vae.fit(x, epochs=3, verbose=0)
    assert vae.evaluate(x, verbose=0, return_dict=True)["elbo"] > start
    after = [weight.numpy() for weight in vae.prior.trainable_weights]
    assert all(np.any(a != b) for a, b in zip(after, before, strict=True))
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    np.testing.assert_allclose(loaded.elbo(X, seed=1), vae.elbo(X, seed=1), rtol=1e-5)
    np.testing.assert_allclose(loaded.sample(3, seed=1), vae.sample(3, seed=1), rtol=1e-4)
    assert not loaded.needs_adapt


def test_pseudo_inputs_start_from_the_data():
    x = np.random.default_rng(0).integers(2, size=(30, 6))

    def started(start):
        keras.utils.set_random_seed(0)
        vae = tfflows.VAE((6,), 2, prior=VampPrior(8))
        vae.compile(keras.optimizers.SGD(0.0))
        assert vae.needs_adapt
        start(vae)
        assert not vae.needs_adapt
        return vae.prior.pseudo_inputs.numpy()

    inputs = {tuple(row) for row in 2.0 * x - 1}
    data = tf.data.Dataset.from_tensor_slices(x).batch(10)
    starts = [
        lambda vae: vae.adapt(x),
        lambda vae: vae.fit(x, verbose=0),
        lambda vae: vae.fit(data, verbose=0),
        lambda vae: vae.train_on_batch(x),
    ]
    for start in starts:
        found = started(start)
        assert all(tuple(row) in inputs for row in found)
        assert len(np.unique(found, axis=0)) > 4
    np.testing.assert_array_equal(started(starts[0]), started(starts[0]))
    with pytest.raises(ValueError, match="8 pseudo-inputs to start from data, but found only 5"):
        started(lambda vae: vae.fit(x[:5], verbose=0))


def gaussian_x(n, seed=0):
    """x whose encodings are not spread as the prior is, and their covariance and mean."""
    rng = np.random.default_rng(seed)
    covariance = MODEL.gain @ (0.3 * np.eye(5)) @ MODEL.gain.T + MODEL.posterior_covariance
    return rng.normal(MODEL.b + 1.0, np.sqrt(0.3), size=(n, 5)), covariance


def test_the_hole_is_between_its_estimates():
    vae = MODEL.exact_vae()
    x, covariance = gaussian_x(1000)
    mean = MODEL.gain @ np.ones(5)
    exact = kl_of_gaussians(mean, covariance, np.zeros(2), np.eye(2))
    hole = evaluate.prior_hole(vae, x, seed=1, batch_size=20_000)
    assert hole.lower - 3 * hole.lower_standard_error < exact
    assert exact < hole.upper + 3 * hole.upper_standard_error
    assert hole.lower < hole.upper < hole.lower + 0.1 and exact > 0.3
    assert str(hole).endswith("nats (1000 examples)")


def test_x_of_the_model_itself_leave_no_hole():
    hole = evaluate.prior_hole(MODEL.exact_vae(), MODEL.sample(1000), seed=1)
    assert hole.lower < 3 * hole.lower_standard_error
    assert -3 * hole.upper_standard_error < hole.upper < 0.1


def test_a_vamp_prior_at_all_x_leaves_no_hole():
    vae = MODEL.exact_vae(prior=VampPrior(50))
    x, _ = gaussian_x(50)
    vae.prior.start_from(x)
    hole = evaluate.prior_hole(vae, x)
    assert abs(hole.upper) < 1e-4 and hole.lower < hole.upper


def attached_twice():
    prior = VampPrior(5)
    for _ in range(2):
        MODEL.vae(prior=prior)


BAD = {
    "context": (lambda: MODEL.vae(prior=small_flow(context_dim=2)), "without a context, but .*"),
    "pixels": (
        lambda: MODEL.vae(prior=tfflows.NICE((2,), num_bits=3)),
        "flow of continuous z .* is one of pixels",
    ),
    "shape": (
        lambda: MODEL.vae(prior=tfflows.RealNVP((3,), num_couplings=2)),
        r"events of shape \(3,\), but latents have shape \(2,\)",
    ),
    "dtype": (lambda: MODEL.vae(prior=small_flow(dtype="float64")), "its prior has dtype float64"),
    "name": (lambda: MODEL.vae(prior="uniform"), "prior must be .*Base.* found 'uniform'"),
    "number": (lambda: VampPrior(0), "at least 1, but found 0"),
    "twice": (attached_twice, "make a new one for"),
    "elsewhere": (
        lambda: tfflows.RealNVP((2,), num_couplings=2, base=VampPrior(3)),
        "the prior of an autoencoder, .* and no base of anything else",
    ),
    "nothing to adapt": (lambda: MODEL.vae().adapt(X), "has nothing that starts from data"),
    "one example": (lambda: evaluate.prior_hole(MODEL.vae(), X[:1]), "at least 2 examples"),
    "estimates": (
        lambda: evaluate.prior_hole(
            MODEL.vae(prior=tfflows.FFJORD((2,), hidden=(8,), trace=tfflows.layers.Hutchinson())),
            X,
        ),
        "needs computed densities, but",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_an_error(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()
