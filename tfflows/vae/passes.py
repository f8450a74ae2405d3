"""The passes through an autoencoder, of checked values, within a graph or without."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.distributions.standard import Normal
from tfflows.layers.passes import Pass
from tfflows.random.noise import BatchNoise
from tfflows.random.seeds import own_rows
from tfflows.vae.hierarchy import HierarchicalPrior, gaussian_kl
from tfflows.vae.terms import Terms

tfd = tfp.distributions


class VAEPasses:
    """The part of `VAE` that computes the terms of all bounds.

    It knows an autoencoder's networks, `observation`, `prior`, `posterior` and `compute_dtype`.
    """

    def posterior_parameters(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What the encoder returns for observed x, `[batch, n]`."""
        return self.parameters_of_inputs(self.observation.as_input(x, self.compute_dtype), training)

    def parameters_of_inputs(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What the encoder returns for its inputs, pixels scaled to [-1, 1]."""
        return tf.cast(self.encoder(inputs, training=training), self.compute_dtype)

    def decoder_outputs(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What the decoder returns for z."""
        return tf.cast(self.decoder(z, training=training), self.compute_dtype)

    def centre(self, parameters: tf.Tensor) -> tf.Tensor:
        """Where the posterior of these parameters takes noise of zero, `[batch, latent_dim]`."""
        zeros = tf.zeros([tf.shape(parameters)[0], self.latent_dim], self.compute_dtype)
        return self.posterior.from_noise(zeros, parameters, Pass(log_dets=False))[0]

    def kl_per_dimension(self, parameters: tf.Tensor) -> tf.Tensor | None:
        """KL(q(z|x) || p(z)) as a sum over dimensions, `[batch, latent_dim]`, in nats.

        `None` where it has no closed form, which is where the prior is another than the standard
        normal one or the posterior another than a Gaussian.
        """
        closed = type(self.prior) is Normal
        return self.posterior.kl_per_dimension(parameters) if closed else None

    def kl_of_levels(
        self, z: tf.Tensor, parameters: tf.Tensor, training: bool = False
    ) -> tf.Tensor | None:
        """What has the same as its mean over draws of z, of a hierarchical prior.

        It is the divergence given the levels above, and from the bottom up, where levels below are
        given, the difference of log-densities. `None` for other priors, and for posteriors that are
        no products of Gaussians of single dimensions.
        """
        if not isinstance(self.prior, HierarchicalPrior):
            return None
        found = self.posterior.conditionals(z, parameters, training)
        expected = self.prior.conditionals(z, training)
        if found is None:
            return None
        if self.posterior.is_from_above:
            return gaussian_kl(*found, *expected)
        return tfd.Normal(*found).log_prob(z) - tfd.Normal(*expected).log_prob(z)

    def terms(
        self, x: tf.Tensor, seed: tf.Tensor, num_samples: int = 1, training: bool = False
    ) -> Terms:
        """What all bounds on log p(x) are made of, for draws of z; see `tfflows.vae.terms.Terms`.

        Args:
            x: as `observed` returns it.
            seed: of all noise, `[2]`.
            num_samples: draws for each x.
            training: whether dropout and the like are on.
        """
        noise = self.noise(x, seed, num_samples)
        return self.terms_of_noise(x, noise, Pass(training=training, seed=seed + [0, 1]))

    def terms_of_noise(self, x: tf.Tensor, noise: tf.Tensor, call: Pass) -> Terms:
        """`terms` of standard normal noise that is given, `[batch, k, latent_dim]`."""
        num_samples = noise.shape[1]

        def of_draws(value):
            return tf.reshape(tf.cast(value, self.compute_dtype), [num_samples, -1])

        parameters = self.posterior_parameters(x, call.training)
        repeated = _repeated(parameters, num_samples)
        noise = tf.reshape(tf.transpose(noise, [1, 0, 2]), [-1, self.latent_dim])
        z, log_q = self.posterior.from_noise(noise, repeated, call)
        kl = self.kl_of_levels(z, repeated, call.training)
        if kl is not None:
            kl = tf.reduce_mean(tf.reshape(kl, [num_samples, -1, self.latent_dim]), 0)
        outputs = self.decoder_outputs(z, call.training)
        distribution = self.observation.distribution(outputs, self.event_shape)
        return Terms(
            log_likelihood=of_draws(distribution.log_prob(_repeated(x, num_samples))),
            log_prior=of_draws(self.prior.log_prob(z, call)),
            log_posterior=of_draws(log_q),
            kl_per_dimension=self.kl_per_dimension(parameters) if kl is None else kl,
            parameters=parameters,
            latents=tf.reshape(z, [num_samples, -1, self.latent_dim]),
        )

    def noise(self, x: tf.Tensor, seed: tf.Tensor, num_samples: int) -> tf.Tensor:
        """Standard normal noise of observed x, `[batch, num_samples, latent_dim]`."""

        def draw(n):
            noise = BatchNoise(n, seed, self.compute_dtype).normal(num_samples * self.latent_dim)
            return tf.reshape(noise, [-1, num_samples, self.latent_dim])

        return own_rows(draw, tf.shape(x)[0])


def _repeated(value, times):
    """A batch, several times one after the other."""
    return tf.tile(value, [times, *[1] * (value.shape.rank - 1)]) if times > 1 else value
