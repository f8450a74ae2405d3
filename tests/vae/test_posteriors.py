"""Posteriors of autoencoders: Gaussians against closed forms, flows by what must hold of any."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from linear_gaussian import (
    LinearGaussian,
    kl_of_gaussians,
    loss_of,
    raw_scale,
    require_gradients_of_differences,
)

import tfflows
from tfflows import evaluate, layers
from tfflows.layers.passes import Pass
from tfflows.vae import ELBO, DiagonalGaussian, FullGaussian, VampPrior

MODEL = LinearGaussian(orthogonal=False)
X = MODEL.sample(20)


def full_vae(factor=None, **settings):
    """With exact means, and the exact covariance or that of a factor."""
    vae = MODEL.vae(FullGaussian(), **settings)
    factor = np.linalg.cholesky(MODEL.posterior_covariance) if factor is None else factor
    raw = np.diag(raw_scale(np.diag(factor)))
    triangle = tfp.math.fill_triangular_inverse(np.tril(factor, -1) + raw)
    kernel = np.concatenate([MODEL.gain.T, np.zeros([5, 3])], 1)
    vae.encoder.set_weights([kernel, np.concatenate([-MODEL.gain @ MODEL.b, triangle])])
    return vae


def test_the_exact_covariance_gives_the_likelihood():
    vae, exact = full_vae(), MODEL.marginal.logpdf(X)
    np.testing.assert_allclose(
        vae.posterior_given(X).covariance()[0], MODEL.posterior_covariance, atol=1e-4
    )
    weights = vae.log_weights(X, seed=0, num_samples=3)
    np.testing.assert_allclose(weights, np.tile(exact[:, np.newaxis], 3), atol=1e-4)
    assert evaluate.likelihood(vae, X).nll == pytest.approx(-exact.mean(), abs=1e-4)


def test_a_full_divergence_is_the_closed_form():
    factor = np.array([[0.7, 0.0], [-0.9, 1.3]])
    vae = full_vae(factor)
    found = vae.kl_per_dimension(vae.posterior_parameters(vae.observed(X))).numpy()
    for row, x in zip(found, X, strict=True):
        mean = MODEL.gain @ (x - MODEL.b)
        whole = kl_of_gaussians(mean, factor @ factor.T, np.zeros(2), np.eye(2))
        first = kl_of_gaussians(mean[:1], [[0.49]], np.zeros(1), np.eye(1))
        np.testing.assert_allclose([row.sum(), row[0]], [whole, first], atol=1e-4)


def stacked(make):
    def flow(dtype):
        step = make(dtype)
        return tfflows.Flow(layers.Stack(step, 2, dtype=dtype), (2,), context_dim=3, dtype=dtype)

    return flow


def named(kind, **settings):
    return lambda dtype: kind((2,), hidden=(8,), context_dim=3, dtype=dtype, **settings)


FLOWS = {
    "planar": stacked(lambda dtype: layers.Planar(dtype=dtype)),
    "radial": stacked(lambda dtype: layers.Radial(dtype=dtype)),
    "sylvester": stacked(lambda dtype: layers.Sylvester(2, dtype=dtype)),
    "iaf": named(tfflows.IAF, num_layers=2, activation="tanh"),
    "realnvp": named(tfflows.RealNVP, num_couplings=2, activation="tanh"),
    "nsf": named(tfflows.NSF, num_layers=2, activation="tanh"),
    "ffjord": named(tfflows.FFJORD, solver=tfflows.ode.RungeKutta4(4)),
    "without context": lambda dtype: tfflows.RealNVP(
        (2,), num_couplings=2, hidden=(8,), activation="tanh", dtype=dtype
    ),
}


def flow_vae(name, dtype="float32", size=0.5, **settings):
    """With exact means for the Gaussian, wide scales, and a flow and context that are not zero."""
    flow, rng = FLOWS[name](dtype), np.random.default_rng(0)
    for weight in flow.trainable_weights:
        weight.assign(weight + size * rng.normal(size=weight.shape))
    context_dim = flow.context_dim or 0
    vae = MODEL.vae(flow, dtype=dtype, **settings)
    kernel = [MODEL.gain.T, np.zeros([5, 2]), 0.2 * rng.normal(size=(5, context_dim))]
    scales = 1.5 * np.sqrt(np.diag(MODEL.posterior_covariance))
    bias = [-MODEL.gain @ MODEL.b, raw_scale(scales), rng.normal(size=context_dim)]
    vae.encoder.set_weights([np.concatenate(kernel, 1), np.concatenate(bias)])
    return vae


@pytest.mark.parametrize("name", FLOWS)
def test_draws_and_densities_agree(name):
    vae = flow_vae(name, "float64")
    parameters = vae.posterior_parameters(vae.observed(X))
    noise = tf.constant(np.random.default_rng(1).normal(size=(20, 2)))
    z, log_q = vae.posterior.from_noise(noise, parameters, Pass())
    found = vae.posterior.log_prob(tf.identity(z), parameters, Pass())
    np.testing.assert_allclose(found, log_q, atol=1e-6)
    np.testing.assert_allclose(vae.posterior_given(X).log_prob(tf.identity(z)), log_q, atol=1e-6)
    # Against the Jacobian of the map from noise.
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(noise)
        z = vae.posterior.from_noise(noise, parameters, Pass())[0]
    jacobian = tape.batch_jacobian(z, noise, experimental_use_pfor=False)
    expected = -np.sum(noise**2, -1) / 2 - np.log(2 * np.pi) - np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(log_q, expected, atol=1e-3 if name == "ffjord" else 1e-8)
    # What the flow does is not the same for all x, but without a context.
    plain, _ = DiagonalGaussian().from_noise(noise, parameters[:, :4], Pass())
    assert np.abs(z - plain).max() > 1e-2
    others = tf.concat([parameters[:, :4], tf.reverse(parameters[:, 4:], [0])], 1)
    same = np.allclose(vae.posterior.from_noise(noise, others, Pass())[0], z)
    assert same == (name == "without context")


@pytest.mark.parametrize("name", FLOWS)
def test_weights_have_the_likelihood_as_their_mean(name):
    """E_q[p(x, z) / q(z|x)] = p(x), of any posterior."""
    vae = flow_vae(name, size=0.1)
    x = np.repeat(X[:1], 20_000, 0)
    weights = np.exp(vae.log_weights(x, seed=0)[:, 0] - MODEL.marginal.logpdf(X[0]))
    error = weights.std(ddof=1) / np.sqrt(len(weights))
    assert abs(weights.mean() - 1) < 5 * error and error < 0.1
    assert vae.encode(X).shape == (20, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_gradients_are_those_of_finite_differences(name):
    vae = flow_vae(name, "float64")
    require_gradients_of_differences(
        vae, lambda: loss_of(vae, X, ELBO(num_samples=2)), rtol=1e-2 if name == "ffjord" else 1e-4
    )


def test_gradients_of_a_full_covariance():
    vae = full_vae(np.array([[0.7, 0.0], [-0.9, 1.3]]), dtype="float64")
    require_gradients_of_differences(vae, lambda: loss_of(vae, X, ELBO()))


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_flows_are_trained_and_saved(name, tmp_path):
    keras.utils.set_random_seed(0)
    vae = MODEL.vae(FLOWS[name]("float32"))
    vae.compile(keras.optimizers.Adam(0.01), ELBO(free_bits=0.01))
    x = MODEL.sample(256)
    start = vae.evaluate(x, verbose=0, return_dict=True)["elbo"]
    vae.fit(x, epochs=3, verbose=0)
    assert vae.evaluate(x, verbose=0, return_dict=True)["elbo"] > start
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    np.testing.assert_allclose(loaded.elbo(X, seed=1), vae.elbo(X, seed=1), rtol=1e-4)
    np.testing.assert_allclose(loaded.encode(X, seed=1), vae.encode(X, seed=1), atol=1e-4)


@pytest.mark.slow
def test_a_flow_makes_the_bound_tighter():
    """A flow knows correlations that a diagonal Gaussian does not."""
    x = MODEL.sample(512)

    def fitted(posterior):
        keras.utils.set_random_seed(0)
        vae = MODEL.vae(posterior)
        vae.decoder.trainable = False
        vae.compile(keras.optimizers.Adam(0.02))
        vae.fit(x, epochs=30, batch_size=64, verbose=0)
        return -evaluate.likelihood(vae, x, num_draws=20).nll

    exact = MODEL.marginal.logpdf(x).mean()
    diagonal = fitted(DiagonalGaussian())
    flow = fitted(FLOWS["iaf"]("float32"))
    full = fitted(FullGaussian())
    assert diagonal < exact - 0.15
    # After so short a training.
    assert diagonal + 0.05 < flow < exact + 0.01
    assert diagonal + 0.05 < full < exact + 0.01


def test_a_vamp_prior_of_flows():
    """Densities of other z than draws, by the flow's opposite direction."""
    vae = flow_vae("realnvp", "float64", prior=VampPrior(3, dtype="float64"))
    vae.prior.start_from(X[:3])
    z = np.random.default_rng(0).normal(size=(6, 2))
    found = vae.prior.log_prob(tf.constant(z), Pass())
    np.testing.assert_allclose(found, vae.prior.distribution.log_prob(z), rtol=1e-8)
    np.testing.assert_allclose(evaluate.prior_hole(vae, X[:3]).upper, 0, atol=1e-8)


def hutchinson():
    return tfflows.FFJORD((2,), hidden=(8,), trace=tfflows.layers.Hutchinson())


BAD = {
    "shape": (
        lambda: MODEL.vae(tfflows.RealNVP((3,), num_couplings=2)),
        r"events of shape \(3,\), but latents have shape \(2,\)",
    ),
    "classes": (
        lambda: tfflows.VAE((4,), 2, posterior=tfflows.IAF((2,), num_layers=1, num_classes=2)),
        r"given a vector \(context_dim\), but .* has classes as its context",
    ),
    "pixels": (
        lambda: tfflows.VAE((4,), 2, posterior=tfflows.NICE((2,), num_bits=2)),
        "is one of pixels",
    ),
    "base": (
        lambda: tfflows.VAE((4,), 2, posterior=tfflows.IAF((2,), num_layers=1, base="logistic")),
        "in place of a standard normal base, but that of .* is <Logistic",
    ),
    "value": (lambda: tfflows.VAE((4,), 2, posterior="iaf"), "or a Flow, but found 'iaf'"),
    "dtype": (
        lambda: tfflows.VAE((4,), 2, posterior=FLOWS["iaf"]("float64")),
        "dtype is float32, but its posterior has dtype float64",
    ),
    "estimates": (
        lambda: evaluate.importance_weighted_bound(MODEL.vae(hutchinson()), X),
        "needs computed log-dets, but .* estimates",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_an_error(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()
