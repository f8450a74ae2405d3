"""What the bounds on an autoencoder's likelihood are made of."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Terms:
    """Log-densities of k draws of z from q(z|x) for each x of a batch, in nats.

    Attributes:
        log_likelihood: log p(x|z), `[k, batch]`.
        log_prior: log p(z), `[k, batch]`.
        log_posterior: log q(z|x), `[k, batch]`.
        kl_per_dimension: KL(q(z|x) || p(z)) as a sum over dimensions, `[batch, latent_dim]`, of a
            hierarchical prior that given the draws of levels, as a mean over them; `None` where it
            has no closed form.
        parameters: of q(z|x), as the encoder returned them, `[batch, n]`.
        latents: z, `[k, batch, latent_dim]`.
    """

    log_likelihood: tf.Tensor
    log_prior: tf.Tensor
    log_posterior: tf.Tensor
    kl_per_dimension: tf.Tensor | None
    parameters: tf.Tensor
    latents: tf.Tensor

    @property
    def log_weights(self) -> tf.Tensor:
        """log p(x, z) - log q(z|x) of each draw, `[k, batch]`."""
        return self.log_likelihood + self.log_prior - self.log_posterior

    @property
    def reconstruction(self) -> tf.Tensor:
        """-E_q[log p(x|z)], `[batch]`."""
        return -tf.reduce_mean(self.log_likelihood, 0)

    @property
    def kl(self) -> tf.Tensor:
        """KL(q(z|x) || p(z)), `[batch]`, or an unbiased estimate."""
        if self.kl_per_dimension is not None:
            return tf.reduce_sum(self.kl_per_dimension, -1)
        return tf.reduce_mean(self.log_posterior - self.log_prior, 0)

    @property
    def elbo(self) -> tf.Tensor:
        """The evidence lower bound, `[batch]`."""
        return -self.reconstruction - self.kl

    @property
    def importance_weighted_bound(self) -> tf.Tensor:
        """log (1/k) sum_j p(x, z_j) / q(z_j|x), `[batch]`."""
        count = self.log_likelihood.shape[0]
        return tf.reduce_logsumexp(self.log_weights, 0) - math.log(count)
