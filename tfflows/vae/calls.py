"""What users call of an autoencoder. In plain Python all of it runs compiled."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfflows.checks.values import as_dtype, require_finite
from tfflows.layers.passes import Pass
from tfflows.model.row_batches import in_batches
from tfflows.random.noise import BatchNoise
from tfflows.random.seeds import stateless_seed
from tfflows.vae.missing import Missing, impute

tfd = tfp.distributions


class VAECalls:
    """The part of `VAE` that says bounds, encodes, decodes and draws."""

    def elbo(
        self,
        x: ArrayLike,
        seed: ArrayLike | None = None,
        num_samples: int = 1,
        batch_size: int | None = None,
    ) -> tf.Tensor:
        """Evidence lower bound on log p(x) in nats, `[batch]`, an unbiased estimate of it.

        The KL divergence is computed where it has a closed form, and estimated elsewhere.

        Args:
            x: `[batch, *event_shape]`; integers for pixels.
            seed: of the draws, see `tfflows.random.stateless_seed`.
            num_samples: draws of z for each x, whose mean it is.
            batch_size: rows at a time, for more than fit into memory at once; `None` for all.

        Raises:
            ValueError: for a wrong shape or dtype, an empty batch, pixels out of range, NaN or
                infinite values, or a number of samples below 1.
        """
        return self._of_samples("elbo", x, seed, num_samples, batch_size)

    def log_weights(
        self,
        x: ArrayLike,
        seed: ArrayLike | None = None,
        num_samples: int = 1,
        batch_size: int | None = None,
    ) -> tf.Tensor:
        """log p(x, z) - log q(z|x) of each draw of z, `[batch, num_samples]`; in nats.

        The logarithm of their mean weight is the importance-weighted bound on log p(x), see
        `tfflows.evaluate.importance_weighted_bound`. Arguments and errors as for `elbo`.
        """
        return self._of_samples("log_weights", x, seed, num_samples, batch_size)

    def encode(
        self, x: ArrayLike, seed: ArrayLike | None = None, batch_size: int | None = None
    ) -> tf.Tensor:
        """Latents z of x, `[batch, latent_dim]`: the centre of q(z|x), or a draw given a seed.

        The centre is where the posterior takes noise of zero, which is the mean of a Gaussian.
        """
        x = self.observed(x)
        # All noise at once, so that it is the same for all batch sizes.
        noise = None if seed is None else self.noise(x, stateless_seed(seed), 1)

        def run(*rows):
            return self._compiled(self._encoded, rows)

        return in_batches(run, (x, noise), batch_size)

    def decode(self, z: ArrayLike, batch_size: int | None = None) -> tf.Tensor:
        """E[x|z], `[batch, *event_shape]`, of latents z."""
        z = require_finite(as_dtype(z, self.compute_dtype), f"{self.name} needs finite z")
        if z.shape.rank != 2 or z.shape[-1] != self.latent_dim:
            raise ValueError(
                f"{self.name} expected z of shape ('batch', {self.latent_dim}), but found "
                f"{tuple(z.shape)}."
            )
        return in_batches(lambda rows: self._compiled(self._decoded, (rows,)), (z,), batch_size)

    def reconstruct(
        self, x: ArrayLike, seed: ArrayLike | None = None, batch_size: int | None = None
    ) -> tf.Tensor:
        """E[x|z] for z = `encode(x, seed)`; arguments and errors as there."""
        return self.decode(self.encode(x, seed, batch_size), batch_size)

    def impute(
        self,
        x: ArrayLike,
        num_samples: int = 1000,
        num_draws: int | None = None,
        seed: ArrayLike | None = None,
    ) -> np.ndarray:
        """x with its missing values filled in, of an observation model `tfflows.vae.Missing`.

            E[x_missing | x_observed] = sum_j w_j E[x_missing | z_j],  w_j of p(x_observed, z_j) / q

        Args:
            x: `[n, *event_shape]`, NaN where a value is missing.
            num_samples: draws of z for each x, whose weights are normalised.
            num_draws: number of draws of the missing values for each x, by resampling z; `None` for
                their means.
            seed: see `tfflows.random.stateless_seed`.

        Returns:
            An array of x's shape, or `[num_draws, *x.shape]`.

        Raises:
            ValueError: for another observation model, numbers below 1, and as `elbo` does.
        """
        if not isinstance(self.observation, Missing):
            raise ValueError(
                f"{self.name} has the observation model {self.observation!r}: give "
                "VAE(..., observation=tfflows.vae.Missing(...)) to learn from incomplete x."
            )
        if num_samples < 1 or (num_draws is not None and num_draws < 1):
            raise ValueError(
                "impute needs num_samples and num_draws of at least 1, but found "
                f"{num_samples} and {num_draws}."
            )
        return impute(self, x, num_samples, num_draws, seed)

    def sample(
        self, n: int, temperature: float = 1.0, seed: ArrayLike | None = None, mean: bool = False
    ) -> tf.Tensor:
        """n draws of x, `[n, *event_shape]`: z from the prior, and x from p(x|z).

        Args:
            n: number of samples.
            temperature: of z, see `tfflows.distributions.Base.draw`.
            seed: see `tfflows.random.stateless_seed`.
            mean: whether to return E[x|z] instead of a draw: less grainy, but no samples of p(x).

        Raises:
            ValueError: if n is below 1 or the temperature negative.
        """
        return self._compiled(self._sampled, (), self._numbers(n, temperature, seed), mean=mean)

    def sample_latents(
        self, n: int, temperature: float = 1.0, seed: ArrayLike | None = None
    ) -> tf.Tensor:
        """n draws of z from the prior, `[n, latent_dim]`; arguments and errors as for `sample`."""
        return self._compiled(self._sampled_latents, (), self._numbers(n, temperature, seed))

    def posterior_given(self, x: ArrayLike) -> tfd.Distribution:
        """q(z|x) of a batch of x as one of TFP's distributions, of batch shape `[batch]`."""
        return self.posterior.distribution(self.posterior_parameters(self.observed(x)))

    def likelihood_given(self, z: ArrayLike) -> tfd.Distribution:
        """p(x|z) of a batch of z as one of TFP's distributions, of batch shape `[batch]`."""
        outputs = self.decoder_outputs(as_dtype(z, self.compute_dtype))
        return self.observation.distribution(outputs, self.event_shape)

    # Helpers.

    def _of_samples(self, name, x, seed, num_samples, batch_size):
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, but found {num_samples}.")
        x, seed = self.observed(x), stateless_seed(seed)
        noise = self.noise(x, seed, int(num_samples))

        def run(*rows):
            return self._compiled(self._bound, rows, (seed + [0, 1],), name=name)

        return in_batches(run, (x, noise), batch_size)

    def _bound(self, x, noise, seed, name):
        terms = self.terms_of_noise(x, noise, Pass(seed=seed))
        return terms.elbo if name == "elbo" else tf.transpose(terms.log_weights)

    def _encoded(self, x, noise):
        parameters = self.posterior_parameters(x)
        if noise is None:
            return self.centre(parameters)
        return self.posterior.from_noise(noise[:, 0], parameters, Pass(log_dets=False))[0]

    def _decoded(self, z):
        return self.observation.mean(self.decoder_outputs(z), self.event_shape)

    def _numbers(self, n, temperature, seed):
        """What a draw depends on, checked."""
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(f"sample needs an integer n of at least 1, but found {n}.")
        if not temperature >= 0:
            raise ValueError(f"sample needs a temperature of at least 0, but found {temperature}.")
        return tf.constant(n), stateless_seed(seed), as_dtype(temperature, self.compute_dtype)

    def _sampled_latents(self, n, seed, temperature):
        return self.prior.draw(BatchNoise(n, seed, self.compute_dtype), temperature)

    def _sampled(self, n, seed, temperature, mean):
        z = self._sampled_latents(n, seed, temperature)
        if mean:
            return self._decoded(z)
        distribution = self.observation.distribution(self.decoder_outputs(z), self.event_shape)
        return distribution.sample(seed=seed + [0, 1])
