"""Posteriors of an autoencoder: what its encoder's outputs say about z."""

from __future__ import annotations

import dataclasses
import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.checks.settings import Settings
from tfflows.distributions.bases import Base
from tfflows.layers.passes import Pass

tfd = tfp.distributions


class Posterior:
    """The distribution q(z|x) of one z, made of what the encoder returns for x.

    It is a map from standard normal noise to z, so that its draws have gradients. Rows of noise, z
    and parameters belong together. A new one that has no weights is a frozen dataclass, registered
    with Keras, see `DiagonalGaussian`.
    """

    # Whether its `conditionals` are given levels above alone, as those of the prior are.
    is_from_above = True

    def num_parameters(self, latent_dim: int) -> int:
        """Numbers that the encoder returns for one x."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it needs.")

    def from_noise(
        self, noise: tf.Tensor, parameters: tf.Tensor, call: Pass
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """z and log q(z|x) in nats, `[batch]`.

        Args:
            noise: standard normal, `[batch, latent_dim]`.
            parameters: what the encoder returned, `[batch, num_parameters]`.
            call: what it may depend on besides, see `tfflows.layers.Pass`.
        """
        raise NotImplementedError(f"{type(self).__name__} draws nothing.")

    def log_prob(self, z: tf.Tensor, parameters: tf.Tensor, call: Pass) -> tf.Tensor:
        """log q(z|x) of any z in nats, `[batch]`; arguments as for `from_noise`."""
        raise NotImplementedError(f"{type(self).__name__} has no density.")

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        """q(z|x) as one of TFP's distributions, of batch shape `[batch]`."""
        raise NotImplementedError(f"{type(self).__name__} is no distribution of TFP's.")

    def attach(self, prior: Base) -> None:
        """Learn of the prior of the autoencoder, before anything is drawn.

        Raises:
            ValueError: for one that this posterior is not made for.
        """

    def conditionals(
        self, z: tf.Tensor, parameters: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor] | None:
        """Mean and scale of each dimension of z given x and other levels, `[batch, latent_dim]`.

        `None` where q(z|x) is no product of Gaussians of single dimensions, see
        `tfflows.vae.HierarchicalPrior`.
        """
        return None

    def kl_per_dimension(self, parameters: tf.Tensor) -> tf.Tensor | None:
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
    scale of 1, and 1e-6 is added so that none is 0.

    Source: Kingma and Welling, "Auto-encoding variational Bayes", 2014,
    https://arxiv.org/abs/1312.6114; Rezende, Mohamed and Wierstra, "Stochastic backpropagation",
    2014, https://arxiv.org/abs/1401.4082.

    Example:
        >>> posterior = tfflows.vae.DiagonalGaussian()
        >>> parameters = tf.constant([[2.0, 0.0]])  # of latent_dim=1
        >>> print(posterior.kl_per_dimension(parameters).numpy())  # 2^2 / 2 nats
        [[2.]]
    """

    def num_parameters(self, latent_dim: int) -> int:
        return 2 * latent_dim

    def from_noise(
        self, noise: tf.Tensor, parameters: tf.Tensor, call: Pass
    ) -> tuple[tf.Tensor, tf.Tensor]:
        mean, scale = self._mean_and_scale(parameters)
        z = mean + scale * noise
        return z, standard_normal_log_prob(noise) - tf.reduce_sum(tf.math.log(scale), -1)

    def log_prob(self, z: tf.Tensor, parameters: tf.Tensor, call: Pass) -> tf.Tensor:
        mean, scale = self._mean_and_scale(parameters)
        noise = (z - mean) / scale
        return standard_normal_log_prob(noise) - tf.reduce_sum(tf.math.log(scale), -1)

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.Independent(tfd.Normal(*self._mean_and_scale(parameters)), 1)

    def kl_per_dimension(self, parameters: tf.Tensor) -> tf.Tensor:
        mean, scale = self._mean_and_scale(parameters)
        return (mean**2 + scale**2 - 1) / 2 - tf.math.log(scale)

    def conditionals(
        self, z: tf.Tensor, parameters: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._mean_and_scale(parameters)

    def _mean_and_scale(self, parameters):
        mean, h = tf.split(parameters, 2, -1)
        return mean, positive(h)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class FullGaussian(Posterior, Settings):
    """Gaussian posterior with any covariance, by its Cholesky factor.

        z = m + L noise,  L lower triangular, with softplus(h + c) on its diagonal

    The encoder returns the means m and then the latent_dim (latent_dim + 1) / 2 numbers of a
    triangle, in the order of `tfp.math.fill_triangular`, of which those on the diagonal are h; c is
    such that h = 0 gives 1.

    Example:
        >>> posterior = tfflows.vae.FullGaussian()
        >>> posterior.num_parameters(3)
        9
        >>> q = posterior.distribution(tf.zeros([1, 5]))  # of latent_dim=2
        >>> print(q.covariance().numpy().round(3))
        [[[1. 0.]
          [0. 1.]]]
    """

    def num_parameters(self, latent_dim: int) -> int:
        return latent_dim + latent_dim * (latent_dim + 1) // 2

    def from_noise(
        self, noise: tf.Tensor, parameters: tf.Tensor, call: Pass
    ) -> tuple[tf.Tensor, tf.Tensor]:
        mean, factor = self._mean_and_factor(parameters, noise.shape[-1])
        z = mean + tf.linalg.matvec(factor, noise)
        return z, standard_normal_log_prob(noise) - _log_diagonal(factor)

    def log_prob(self, z: tf.Tensor, parameters: tf.Tensor, call: Pass) -> tf.Tensor:
        mean, factor = self._mean_and_factor(parameters, z.shape[-1])
        noise = tf.linalg.triangular_solve(factor, (z - mean)[..., tf.newaxis])
        return standard_normal_log_prob(tf.squeeze(noise, -1)) - _log_diagonal(factor)

    def distribution(self, parameters: tf.Tensor) -> tfd.Distribution:
        return tfd.MultivariateNormalTriL(*self._mean_and_factor(parameters))

    def kl_per_dimension(self, parameters: tf.Tensor) -> tf.Tensor:
        mean, factor = self._mean_and_factor(parameters)
        variances = tf.reduce_sum(factor**2, -1)
        # That of each dimension given those before it, from its prior.
        return (mean**2 + variances - 1) / 2 - tf.math.log(tf.linalg.diag_part(factor))

    def _mean_and_factor(self, parameters, dim=None):
        if dim is None:
            # Of d + d (d + 1) / 2 numbers.
            dim = (math.isqrt(9 + 8 * parameters.shape[-1]) - 3) // 2
        mean, triangle = tf.split(parameters, [dim, -1], -1)
        factor = tfp.math.fill_triangular(triangle)
        return mean, tf.linalg.set_diag(factor, positive(tf.linalg.diag_part(factor)))


def _log_diagonal(factor):
    return tf.reduce_sum(tf.math.log(tf.linalg.diag_part(factor)), -1)


# Where softplus underflows, a scale would be 0 and its logarithm infinite.
_LEAST_SCALE = 1e-6


def positive(h):
    """A positive and increasing function of h that is 1 at 0."""
    return _LEAST_SCALE + tf.math.softplus(h + math.log(math.expm1(1 - _LEAST_SCALE)))


def standard_normal_log_prob(z):
    """Log-density of vectors of independent standard normal numbers, in nats."""
    return -tf.reduce_sum(z**2, -1) / 2 - z.shape[-1] / 2 * math.log(2 * math.pi)
