"""Levels of latents: densities, draws and divergences against closed forms and integrals."""

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf

import tfflows
from tfflows.layers import Pass
from tfflows.random.noise import BatchNoise
from tfflows.vae import BottomUp, DiagonalGaussian, HierarchicalPrior, TopDown
from tfflows.vae.hierarchy import gaussian_kl

DIMS = (2, 1, 3)
CALL = Pass()


def randomize(layer, seed=0):
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return layer


def made_prior(dims=DIMS, dtype="float64"):
    prior = HierarchicalPrior(dims, hidden=(4,), activation="tanh", dtype=dtype)
    prior.build((sum(dims),))
    return randomize(prior)


def made_posterior(kind, dims=DIMS, prior=None):
    if kind == "bottom_up":
        settings = {"hidden": (4,), "activation": "tanh", "dtype": "float64"}
        posterior = randomize(BottomUp(dims, **settings), seed=1)
    else:
        posterior = TopDown(dtype="float64")
    posterior.attach(prior or made_prior(dims))
    return posterior


def parameters_of(posterior, n, dims=DIMS):
    shape = (n, posterior.num_parameters(sum(dims)))
    return tf.constant(np.random.default_rng(2).normal(size=shape))


KINDS = ["top_down", "bottom_up"]


def log_det_of(function, noise):
    """Logarithm of the Jacobian's determinant, by automatic differentiation."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(noise)
        z = function(noise)
    return np.linalg.slogdet(tape.batch_jacobian(z, noise, experimental_use_pfor=False))[1]


@pytest.mark.parametrize("kind", KINDS)
def test_draws_and_densities_of_posteriors_agree(kind):
    posterior = made_posterior(kind)
    parameters = parameters_of(posterior, 5)
    noise = tf.constant(np.random.default_rng(3).normal(size=(5, 6)))
    z, log_q = posterior.from_noise(noise, parameters, CALL)
    log_noise = scipy.stats.norm.logpdf(noise).sum(-1)
    log_det = log_det_of(lambda noise: posterior.from_noise(noise, parameters, CALL)[0], noise)
    np.testing.assert_allclose(log_q, log_noise - log_det, rtol=1e-10)
    np.testing.assert_allclose(posterior.log_prob(z, parameters, CALL), log_q, rtol=1e-10)
    mean, scale = posterior.conditionals(z, parameters)
    np.testing.assert_allclose((z - mean) / scale, noise, rtol=1e-8, atol=1e-10)


def test_draws_and_densities_of_the_prior_agree():
    prior = made_prior()
    noise = BatchNoise(5, tf.constant([1, 2]), "float64").normal(6)
    z = prior.draw(BatchNoise(5, tf.constant([1, 2]), "float64"))
    mean, scale = prior.conditionals(z)
    np.testing.assert_allclose((z - mean) / scale, noise, rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(mean[:, :2], 0)
    expected = scipy.stats.norm.logpdf(z, mean, scale).sum(-1)
    np.testing.assert_allclose(prior.log_prob(z, CALL), expected)
    np.testing.assert_allclose(prior.distribution.log_prob(z), expected)
    drawn = prior.distribution.sample(50_000, seed=[1, 2])
    mean, scale = prior.conditionals(drawn)
    noise = ((drawn - mean) / scale).numpy()
    np.testing.assert_allclose(np.cov(noise.T), np.eye(6), atol=0.03)


def test_the_prior_integrates_to_one():
    prior = made_prior((1, 1))

    def density(a, b):
        return np.exp(prior.log_prob(tf.constant([[b, a]], tf.float64), CALL).numpy()[0])

    grid = np.linspace(-9, 9, 181)
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    values = np.exp(prior.log_prob(tf.constant(points), CALL)).reshape(181, 181)
    assert scipy.integrate.simpson(scipy.integrate.simpson(values, x=grid), x=grid) == (
        pytest.approx(1, abs=1e-3)
    )


def test_a_level_from_the_top_is_the_product_of_both():
    prior = made_prior((1, 1))
    posterior = made_posterior("top_down", (1, 1), prior)
    parameters, z = parameters_of(posterior, 3, (1, 1)), tf.constant([[0.3, 0.1]] * 3, tf.float64)
    mean, scale = posterior.conditionals(z, parameters)
    encoded = DiagonalGaussian().conditionals(z, parameters)
    np.testing.assert_allclose(mean[:, 0], encoded[0][:, 0])
    given = prior.conditionals(z)
    grid = np.linspace(-20, 20, 20001)
    for i in range(3):
        product = scipy.stats.norm.pdf(grid, encoded[0][i, 1], encoded[1][i, 1])
        product *= scipy.stats.norm.pdf(grid, given[0][i, 1], given[1][i, 1])
        product /= product.sum()
        assert (grid * product).sum() == pytest.approx(float(mean[i, 1]), abs=1e-6)
        deviation = np.sqrt((grid**2 * product).sum() - float(mean[i, 1]) ** 2)
        assert deviation == pytest.approx(float(scale[i, 1]), rel=1e-6)


def test_divergence_of_gaussians():
    found = gaussian_kl(tf.constant(1.0), 0.5, -0.3, 2.0)
    grid = np.linspace(-10, 10, 100_001)
    p, q = scipy.stats.norm.logpdf(grid, 1.0, 0.5), scipy.stats.norm.logpdf(grid, -0.3, 2.0)
    expected = scipy.integrate.simpson(np.exp(p) * (p - q), x=grid)
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, "gaussian"])
def test_the_divergence_by_level_is_that_of_the_densities(kind):
    prior = HierarchicalPrior([1, 2], hidden=(4,), activation="tanh", dtype="float64")
    posterior = {
        "top_down": lambda: TopDown(dtype="float64"),
        "bottom_up": lambda: BottomUp([1, 2], hidden=(4,), dtype="float64"),
        "gaussian": DiagonalGaussian,
    }[kind]()
    vae = tfflows.VAE((4,), 3, prior=prior, posterior=posterior, dtype="float64")
    randomize(prior)
    if kind == "bottom_up":
        randomize(posterior, seed=1)
    x = vae.observed(np.eye(4, dtype=int))
    terms = vae.terms(x, tf.constant([1, 2]), num_samples=20_000)
    ratio = terms.log_posterior - terms.log_prior
    error = np.std(ratio, axis=0) / 20_000**0.5
    assert terms.kl_per_dimension.shape == (4, 3)
    assert np.all(np.abs(np.mean(ratio, axis=0) - terms.kl) < 5 * error)
    # By level, as means of differences of log-densities.
    z = tf.reshape(terms.latents, [-1, 3])
    parameters = tf.tile(terms.parameters, [20_000, 1])
    q = scipy.stats.norm.logpdf(z, *posterior.conditionals(z, parameters))
    p = scipy.stats.norm.logpdf(z, *prior.conditionals(z))
    by_level = np.reshape(q - p, [20_000, 4, 3])
    error = by_level.std(0) / 20_000**0.5 + 1e-12
    assert np.all(np.abs(by_level.mean(0) - terms.kl_per_dimension) < 5 * error)


@pytest.mark.parametrize("kind", KINDS)
def test_fitting_saving_and_loading(kind, tmp_path):
    keras.utils.set_random_seed(0)
    posterior = TopDown() if kind == "top_down" else BottomUp([1, 2], hidden=(8,))
    prior = HierarchicalPrior([1, 2], hidden=(8,))
    vae = tfflows.VAE((8,), 3, prior=prior, posterior=posterior)
    x = np.random.default_rng(0).integers(2, size=(200, 1)).repeat(8, axis=1)
    vae.compile(keras.optimizers.Adam(0.01))
    before = vae.evaluate(x, verbose=0, return_dict=True)["elbo"]
    vae.fit(x, epochs=5, verbose=0)
    assert vae.evaluate(x, verbose=0, return_dict=True)["elbo"] > before
    own = {id(weight.value) for weight in vae.trainable_weights}
    with tf.GradientTape() as tape:
        vae.terms(vae.observed(x[:4]), tf.constant([0, 1]))
    assert {id(variable) for variable in tape.watched_variables()} <= own
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    np.testing.assert_allclose(loaded.elbo(x[:5], seed=1), vae.elbo(x[:5], seed=1), rtol=1e-5)
    assert loaded.sample(3, seed=0).shape == (3, 8)
    np.testing.assert_array_equal(loaded.sample(3, seed=0), vae.sample(3, seed=0))


def test_bad_input_raises():
    with pytest.raises(ValueError, match="at least two levels, each at least 1, but found"):
        HierarchicalPrior([3])
    with pytest.raises(ValueError, match="levels of 1 \\+ 2 dimensions, but latents have 4"):
        tfflows.VAE((4,), 4, prior=HierarchicalPrior([1, 2]))
    with pytest.raises(ValueError, match="levels of 1 \\+ 1 dimensions, but latents have 3"):
        tfflows.VAE((4,), 3, posterior=BottomUp([1, 1]))
    with pytest.raises(ValueError, match="the posterior of a HierarchicalPrior, but the prior is"):
        tfflows.VAE((4,), 3, posterior=TopDown())
