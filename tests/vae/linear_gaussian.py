"""Probabilistic PCA as an autoencoder: all that training approximates is known of it."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfflows
from tfflows.random import stateless_seed
from tfflows.vae import DiagonalGaussian, Gaussian
from tfflows.vae.flow_posterior import as_posterior

DIM, LATENT_DIM, SCALE = 5, 2, 0.7


class LinearGaussian:
    """x = W z + b + SCALE e, of z and e standard normal.

    Args:
        orthogonal: whether the columns of W are, which makes the posterior's covariance diagonal.
    """

    def __init__(self, orthogonal: bool, seed: int = 0):
        rng = np.random.default_rng(seed)
        w = rng.normal(size=(DIM, LATENT_DIM))
        self.w = np.linalg.qr(w)[0] * [1.5, 0.8] if orthogonal else w
        self.b = rng.normal(size=DIM)
        self.marginal = scipy.stats.multivariate_normal(
            self.b, self.w @ self.w.T + SCALE**2 * np.eye(DIM)
        )
        self.posterior_covariance = np.linalg.inv(np.eye(LATENT_DIM) + self.w.T @ self.w / SCALE**2)
        # The posterior's mean is this matrix times x - b.
        self.gain = self.posterior_covariance @ self.w.T / SCALE**2

    def sample(self, n, seed=1):
        return self.marginal.rvs(n, random_state=seed).reshape(n, DIM)

    def vae(
        self,
        posterior=DiagonalGaussian(),  # noqa: B008
        dtype="float32",
        observation=Gaussian(scale=SCALE),  # noqa: B008
        **settings,
    ):
        """The autoencoder with this decoder, and an encoder that is to be set."""
        num_parameters = as_posterior(posterior).num_parameters(LATENT_DIM)
        encoder = keras.layers.Dense(num_parameters, dtype=dtype)
        decoder = keras.layers.Dense(DIM, dtype=dtype)
        vae = tfflows.VAE(
            (DIM,),
            LATENT_DIM,
            encoder=encoder,
            decoder=decoder,
            observation=observation,
            posterior=posterior,
            dtype=dtype,
            **settings,
        )
        decoder.set_weights([self.w.T, self.b])
        return vae

    def exact_vae(self, **settings):
        """With the exact posterior, of a W with orthogonal columns."""
        return self.with_means(self.vae(**settings), np.sqrt(np.diag(self.posterior_covariance)))

    def with_means(self, vae, scales):
        """Set the encoder to the exact means and these scales."""
        kernel = np.concatenate([self.gain.T, np.zeros([DIM, LATENT_DIM])], 1)
        bias = np.concatenate([-self.gain @ self.b, raw_scale(scales)])
        vae.encoder.set_weights([kernel, bias])
        return vae


def raw_scale(scale):
    """What a posterior's scale comes from."""
    return np.log(np.expm1(np.asarray(scale, "float64"))) - np.log(np.expm1(1.0))


def kl_of_gaussians(mean, covariance, other_mean, other_covariance):
    """KL(N(mean, covariance) || N(other_mean, other_covariance)) in nats, by the textbook."""
    inverse, difference = np.linalg.inv(other_covariance), other_mean - mean
    log_dets = np.linalg.slogdet(other_covariance)[1] - np.linalg.slogdet(covariance)[1]
    trace = np.trace(inverse @ covariance)
    return (trace + difference @ inverse @ difference - len(mean) + log_dets) / 2


def loss_of(vae, x, objective):
    """The loss of one step, the fifth."""
    values = objective(vae, vae.observed(x), stateless_seed(3), training=True, step=tf.constant(4))
    return tf.reduce_mean(values["loss"])


def require_gradients_of_differences(vae, loss, rtol=1e-5):
    """Compare gradients of all weights with central differences along random directions."""
    weights = [weight.value for weight in vae.trainable_weights]
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, weights)
    rng = np.random.default_rng(0)
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, weight.name
        start, direction = weight.numpy(), rng.normal(size=weight.shape)
        step = 1e-5
        weight.assign(start + step * direction)
        above = float(loss())
        weight.assign(start - step * direction)
        below = float(loss())
        weight.assign(start)
        expected = (above - below) / (2 * step)
        found = float(np.sum(gradient * direction))
        assert found == pytest.approx(expected, rel=rtol, abs=1e-7), weight.name
