"""Posteriors of an autoencoder: what its encoder's outputs say about z."""

from __future__ import annotations

import dataclasses
import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.checks.settings import Settings
from tfflows.layers.passes import Pass

tfd = tfp.distributions


class Posterior:
    """The distribution q(z|x) of one z, made of what the encoder returns for x.

    It is a map from standard normal noise to z, so that its draws have gradients. Rows of noise, z
    and parameters belong together. A new one that has no weights is a frozen dataclass, registered
    with Keras, see `DiagonalGaussian`.
    """

    def num_parameters(self, latent_dim: int) -> int:
        """Numbers that the encoder returns for one x."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it needs.")

    def from_noise(self, noise, parameters, call: Pass):
        """z and log q(z|x) in nats, `[batch]`.

        Args:
            noise: standard normal, `[batch, latent_dim]`.
            parameters: what the encoder returned, `[batch, num_parameters]`.
            call: what it may depend on besides, see `tfflows.layers.Pass`.
        """
        raise NotImplementedError(f"{type(self).__name__} draws nothing.")

    def log_prob(self, z, parameters, call: Pass):
        """log q(z|x) of any z in nats, `[batch]`; arguments as for `from_noise`."""
        raise NotImplementedError(f"{type(self).__name__} has no density.")

    def distribution(self, parameters) -> tfd.Distribution:
        """q(z|x) as one of TFP's distributions, of batch shape `[batch]`."""
        raise NotImplementedError(f"{type(self).__name__} is no distribution of TFP's.")

    def kl_per_dimension(self, parameters):
        """KL(q(z|x) || N(0, 1)) as a sum over dimensions, `[batch, latent_dim]`.

        In nats; `None` where it has no closed form.
        """
        return None


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class DiagonalGaussian(Posterior, Settings):
    """Gaussian posterior of independent dimensions.

        z = m + s * noise,  s = softplus(h + c)

    The encoder returns the means m and then h, 2 latent_dim numbers; c is such that h = 0 gives a
    scale of 1.

    Source: Kingma and Welling, "Auto-encoding variational Bayes", 2014,
    https://arxiv.org/abs/1312.6114; Rezende, Mohamed and Wierstra, "Stochastic backpropagation",
    2014, https://arxiv.org/abs/1401.4082.

    Example:
        >>> posterior = tfflows.vae.DiagonalGaussian()
        >>> parameters = tf.constant([[2.0, 0.0]])  # of latent_dim=1
        >>> print(posterior.kl_per_dimension(parameters).numpy())  # 2^2 / 2 nats
        [[2.]]
    """

    def num_parameters(self, latent_dim):
        return 2 * latent_dim

    def from_noise(self, noise, parameters, call):
        mean, scale = self._mean_and_scale(parameters)
        z = mean + scale * noise
        return z, standard_normal_log_prob(noise) - tf.reduce_sum(tf.math.log(scale), -1)

    def log_prob(self, z, parameters, call):
        mean, scale = self._mean_and_scale(parameters)
        noise = (z - mean) / scale
        return standard_normal_log_prob(noise) - tf.reduce_sum(tf.math.log(scale), -1)

    def distribution(self, parameters):
        return tfd.Independent(tfd.Normal(*self._mean_and_scale(parameters)), 1)

    def kl_per_dimension(self, parameters):
        mean, scale = self._mean_and_scale(parameters)
        return (mean**2 + scale**2 - 1) / 2 - tf.math.log(scale)

    def _mean_and_scale(self, parameters):
        mean, h = tf.split(parameters, 2, -1)
        return mean, positive(h)


# Where softplus underflows, a scale would be 0 and its logarithm infinite.
_LEAST_SCALE = 1e-6


def positive(h):
    """A positive and increasing function of h that is 1 at 0."""
    return _LEAST_SCALE + tf.math.softplus(h + math.log(math.expm1(1 - _LEAST_SCALE)))


def standard_normal_log_prob(z):
    """Log-density of vectors of independent standard normal numbers, in nats."""
    return -tf.reduce_sum(z**2, -1) / 2 - z.shape[-1] / 2 * math.log(2 * math.pi)
