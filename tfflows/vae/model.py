"""Variational autoencoders: a latent-variable model and its posterior, as a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.checks.settings import as_value
from tfflows.checks.values import as_dtype, require_dtype, require_finite, require_keras_layer
from tfflows.distributions.bases import Base
from tfflows.distributions.dequantization import require_pixels
from tfflows.distributions.standard import Normal
from tfflows.flow import Flow
from tfflows.layers.passes import Pass
from tfflows.model.compiled import CompiledCalls
from tfflows.model.config import as_json
from tfflows.model.inputs import as_array
from tfflows.model.row_batches import in_batches
from tfflows.random.noise import BatchNoise
from tfflows.random.seeds import own_rows, stateless_seed
from tfflows.vae.data import VAEData
from tfflows.vae.fitting import VAEFitting
from tfflows.vae.flow_posterior import FlowPosterior, as_posterior
from tfflows.vae.networks import decoder_for, encoder_for
from tfflows.vae.observations import Bernoulli, DistributionObservation, Observation
from tfflows.vae.posteriors import DiagonalGaussian, Posterior
from tfflows.vae.priors import FlowPrior, VampPrior, as_prior
from tfflows.vae.terms import Terms

tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="tfflows")
class VAE(VAEData, VAEFitting, keras.Model):
    """Variational autoencoder: a decoder of latents z, and an encoder that finds them.

        p(x) = integral p(x|z) p(z) dz,  z ~ prior, p(x|z) the observation model of decoder(z)
        log p(x) >= ELBO = E_q[log p(x|z)] - KL(q(z|x) || p(z)),  q the posterior of encoder(x)

    `fit(x)` maximises the mean ELBO, or what the `tfflows.vae.Objective` that was given to
    `compile` says, and needs no targets. The metrics are `elbo`, `reconstruction`
    (-E_q[log p(x|z)]) and `kl`, in nats per example, `bits_per_dim` of -ELBO for pixels, and in
    evaluation `active_units`, the dimensions that the posterior uses. As a Keras layer, and in
    `predict`, it returns ELBOs, `[batch]`.

    Encoder and decoder are any Keras models: one maps x, pixels scaled to [-1, 1], to
    `posterior.num_parameters(latent_dim)` numbers, the other z to
    `observation.output_shape(event_shape)`. In plain Python `elbo`, `encode`, `decode`,
    `reconstruct` and `sample` run compiled, as those of `tfflows.Flow`.

    Args:
        event_shape: shape of one x, e.g. `(8,)` or `(28, 28, 1)`.
        latent_dim: size of z.
        encoder: a Keras model; `None` for `tfflows.vae.conv_encoder` if x has three dimensions, and
            `mlp_encoder` otherwise.
        decoder: a Keras model; `None` for the counterpart of these.
        observation: a `tfflows.vae.Observation`, such as `Bernoulli()`, `Gaussian(scale=0.1)`,
            `Categorical()` or `DiscretizedLogisticMixture()`, or a function of the decoder's
            outputs that returns a `tfd.Distribution`, see `DistributionObservation`.
        prior: `"normal"`, a `tfflows.distributions.Base` such as `GaussianMixture(10)`, a
            `tfflows.vae.VampPrior`, or any `tfflows.Flow` of events `(latent_dim,)`; it is trained
            with the model.
        posterior: `DiagonalGaussian()` or `FullGaussian()`, or any `tfflows.Flow` of events
            `(latent_dim,)`, which is trained with the model: what it is conditioned on, a vector of
            its `context_dim`, comes from the encoder, see `tfflows.vae.flow_posterior`.
        dtype: of all but the networks, `"float32"` or `"float64"`; built-in networks have Keras's
            global policy or, of a float64 model, float64.

    Raises:
        ValueError: if one of these is out of its range, or encoder or decoder do not return what
            they should.

    Source: Kingma and Welling, "Auto-encoding variational Bayes", 2014,
    https://arxiv.org/abs/1312.6114; Rezende, Mohamed and Wierstra, "Stochastic backpropagation",
    2014, https://arxiv.org/abs/1401.4082.

    Example:
        >>> keras.utils.set_random_seed(0)
        >>> x = (np.random.default_rng(0).uniform(size=(256, 1)) < np.full(8, 0.5)).astype("uint8")
        >>> vae = tfflows.VAE((8,), latent_dim=2)  # of eight equal bits
        >>> vae.compile(keras.optimizers.Adam(0.01))
        >>> history = vae.fit(x, epochs=20, verbose=0).history
        >>> bool(-8 * np.log(2) < history["elbo"][-1] < 0), history["elbo"][0] < history["elbo"][-1]
        (True, True)
        >>> vae.encode(x[:5]).shape, vae.reconstruct(x[:5]).shape, vae.sample(3, seed=0).dtype
        (TensorShape([5, 2]), TensorShape([5, 8]), tf.int32)
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        latent_dim: int,
        *,
        encoder: keras.layers.Layer | None = None,
        decoder: keras.layers.Layer | None = None,
        observation: Observation | Callable = Bernoulli(),
        prior: Base | Flow | str = "normal",
        posterior: Posterior | Flow = DiagonalGaussian(),
        dtype: str = "float32",
        **kwargs,
    ):
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        if dtype not in ("float32", "float64"):
            raise ValueError(f"A VAE's dtype is 'float32' or 'float64', but found {dtype!r}.")
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, but found {latent_dim}.")
        self.latent_dim = int(latent_dim)
        if callable(observation) and not isinstance(observation, type):
            observation = DistributionObservation(observation)
        expected = "A VAE's observation is a tfflows.vae.Observation, such as Bernoulli()"
        self.observation = as_value(Observation, observation, expected)
        self._init_inputs(event_shape, self.observation.pixel_bits, None, None, None)
        self.posterior = as_posterior(posterior)
        if isinstance(self.posterior, FlowPosterior):
            require_dtype("posterior", self.posterior, dtype)
        self._compiled = CompiledCalls(lambda: self.run_eagerly)
        self._init_networks(encoder, decoder)
        self._init_prior(prior)
        self._init_fitting()
        self.built = True

    def _init_networks(self, encoder, decoder):
        dtype = self.compute_dtype if self.compute_dtype == "float64" else None
        num_parameters = self.posterior.num_parameters(self.latent_dim)
        output_shape = self.observation.output_shape(self.event_shape)
        if decoder is None and output_shape is None:
            raise ValueError(
                f"{self.name} needs a decoder, since {self.observation} takes outputs of any shape."
            )
        self.encoder = _network(encoder) or encoder_for(self.event_shape, num_parameters, dtype)
        self.decoder = _network(decoder) or decoder_for(self.latent_dim, output_shape, dtype)
        require_keras_layer("encoder", self.name, self.encoder)
        require_keras_layer("decoder", self.name, self.decoder)
        # One call builds them, and tells what they return.
        found = self.encoder(tf.zeros([1, *self.event_shape], self.compute_dtype)).shape
        if tuple(found) != (1, num_parameters):
            raise ValueError(
                f"{self.name} needs an encoder that returns ('batch', {num_parameters}), the "
                f"parameters of {self.posterior} for latent_dim={self.latent_dim}, but that of "
                f"'{self.encoder.name}' has shape ('batch', {', '.join(map(str, found[1:]))})."
            )
        outputs = self.decoder(tf.zeros([1, self.latent_dim], self.compute_dtype))
        if output_shape is not None and tuple(outputs.shape) != (1, *output_shape):
            raise ValueError(
                f"{self.name} needs a decoder that returns {('batch', *output_shape)}, the "
                f"parameters of {self.observation}, but that of '{self.decoder.name}' has shape "
                f"('batch', {', '.join(map(str, outputs.shape[1:]))})."
            )
        self.observation.distribution(tf.cast(outputs, self.compute_dtype), self.event_shape)

    def _init_prior(self, prior):
        self._prior_name = prior if isinstance(prior, str) else None
        self.prior = as_prior(prior, self.compute_dtype)
        require_dtype("prior", self.prior, self.compute_dtype)
        if isinstance(self.prior, VampPrior):
            self.prior.attach(self)
        if not self.prior.built:
            self.prior.build((self.latent_dim,))
        if self.prior.latent_shape != (self.latent_dim,):
            raise ValueError(
                f"The prior was built for latents of shape {self.prior.latent_shape}, but those of "
                f"{self.name} have shape {(self.latent_dim,)}; make a new one."
            )

    # What users call. In plain Python all of this runs compiled.

    def elbo(self, x, seed=None, num_samples: int = 1, batch_size=None):
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

    def log_weights(self, x, seed=None, num_samples: int = 1, batch_size=None):
        """log p(x, z) - log q(z|x) of each draw of z, `[batch, num_samples]`; in nats.

        The logarithm of their mean weight is the importance-weighted bound on log p(x), see
        `tfflows.evaluate.importance_weighted_bound`. Arguments and errors as for `elbo`.
        """
        return self._of_samples("log_weights", x, seed, num_samples, batch_size)

    def encode(self, x, seed=None, batch_size=None):
        """Latents z of x, `[batch, latent_dim]`: the centre of q(z|x), or a draw given a seed.

        The centre is where the posterior takes noise of zero, which is the mean of a Gaussian.
        """
        seed = None if seed is None else stateless_seed(seed)

        def run(rows):
            return self._compiled(self._encoded, (rows,), (seed,))

        return in_batches(run, (self.observed(x),), batch_size)

    def decode(self, z, batch_size=None):
        """E[x|z], `[batch, *event_shape]`, of latents z."""
        z = require_finite(as_dtype(z, self.compute_dtype), f"{self.name} needs finite z")
        if z.shape.rank != 2 or z.shape[-1] != self.latent_dim:
            raise ValueError(
                f"{self.name} expected z of shape ('batch', {self.latent_dim}), but found "
                f"{tuple(z.shape)}."
            )
        return in_batches(lambda rows: self._compiled(self._decoded, (rows,)), (z,), batch_size)

    def reconstruct(self, x, seed=None, batch_size=None):
        """E[x|z] for z = `encode(x, seed)`; arguments and errors as there."""
        return self.decode(self.encode(x, seed, batch_size), batch_size)

    def sample(self, n: int, temperature: float = 1.0, seed=None, mean: bool = False):
        """n draws of x, `[n, *event_shape]`: z from the prior, and x from p(x|z).

        Args:
            n: number of samples.
            temperature: of z, see `tfflows.distributions.Base.draw`.
            seed: see `tfflows.random.stateless_seed`.
            mean: whether to return E[x|z] instead of a draw: less grainy, but no samples of p(x).

        Raises:
            ValueError: if n is below 1 or the temperature negative.
        """
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(f"sample needs an integer n of at least 1, but found {n}.")
        if not temperature >= 0:
            raise ValueError(f"sample needs a temperature of at least 0, but found {temperature}.")
        numbers = tf.constant(n), stateless_seed(seed), as_dtype(temperature, self.compute_dtype)
        return self._compiled(self._sampled, (), numbers, mean=mean)

    def posterior_given(self, x) -> tfd.Distribution:
        """q(z|x) of a batch of x as one of TFP's distributions, of batch shape `[batch]`."""
        return self.posterior.distribution(self.posterior_parameters(self.observed(x)))

    def likelihood_given(self, z) -> tfd.Distribution:
        """p(x|z) of a batch of z as one of TFP's distributions, of batch shape `[batch]`."""
        outputs = self.decoder_outputs(as_dtype(z, self.compute_dtype))
        return self.observation.distribution(outputs, self.event_shape)

    # The same of checked values, within a graph or without.

    def observed(self, x):
        """x as a checked tensor: integers for pixels, else finite floats."""
        x = x if tf.is_tensor(x) else tf.convert_to_tensor(as_array(x, self.name))
        self._check_shape_and_dtype(x.shape, x.dtype)
        self._check_pixels_dtype(x)
        if self.num_bits is not None:
            return tf.cast(require_pixels(x, self.num_bits), tf.int32)
        return require_finite(tf.cast(x, self.compute_dtype), f"{self.name} needs finite x")

    def posterior_parameters(self, x, training=False):
        """What the encoder returns for observed x, `[batch, n]`."""
        return self.parameters_of_inputs(self.observation.as_input(x, self.compute_dtype), training)

    def parameters_of_inputs(self, inputs, training=False):
        """What the encoder returns for its inputs, pixels scaled to [-1, 1]."""
        return tf.cast(self.encoder(inputs, training=training), self.compute_dtype)

    def decoder_outputs(self, z, training=False):
        """What the decoder returns for z."""
        return tf.cast(self.decoder(z, training=training), self.compute_dtype)

    def centre(self, parameters):
        """Where the posterior of these parameters takes noise of zero, `[batch, latent_dim]`."""
        zeros = tf.zeros([tf.shape(parameters)[0], self.latent_dim], self.compute_dtype)
        return self.posterior.from_noise(zeros, parameters, Pass(log_dets=False))[0]

    def kl_per_dimension(self, parameters):
        """KL(q(z|x) || p(z)) as a sum over dimensions, `[batch, latent_dim]`, in nats.

        `None` where it has no closed form, which is where the prior is another than the standard
        normal one or the posterior another than a Gaussian.
        """
        closed = type(self.prior) is Normal
        return self.posterior.kl_per_dimension(parameters) if closed else None

    def terms(self, x, seed, num_samples: int = 1, training: bool = False) -> Terms:
        """What all bounds on log p(x) are made of, for draws of z; see `tfflows.vae.terms.Terms`.

        Args:
            x: as `observed` returns it.
            seed: of all noise, `[2]`.
            num_samples: draws for each x.
            training: whether dropout and the like are on.
        """
        dim = self.latent_dim

        def draw(n):
            noise = BatchNoise(n, seed, self.compute_dtype).normal(num_samples * dim)
            return tf.reshape(noise, [n, num_samples, dim])

        noise = tf.transpose(own_rows(draw, tf.shape(x)[0]), [1, 0, 2])
        return self.terms_of_noise(x, noise, Pass(training=training, seed=seed + [0, 1]))

    def terms_of_noise(self, x, noise, call: Pass) -> Terms:
        """`terms` of standard normal noise that is given, `[k, batch, latent_dim]`."""
        num_samples = noise.shape[0]

        def of_draws(value):
            return tf.reshape(tf.cast(value, self.compute_dtype), [num_samples, -1])

        parameters = self.posterior_parameters(x, call.training)
        z, log_q = self.posterior.from_noise(
            tf.reshape(noise, [-1, self.latent_dim]), _repeated(parameters, num_samples), call
        )
        outputs = self.decoder_outputs(z, call.training)
        distribution = self.observation.distribution(outputs, self.event_shape)
        return Terms(
            log_likelihood=of_draws(distribution.log_prob(_repeated(x, num_samples))),
            log_prior=of_draws(self.prior.log_prob(z, call)),
            log_posterior=of_draws(log_q),
            kl_per_dimension=self.kl_per_dimension(parameters),
            parameters=parameters,
        )

    @property
    def log_det_estimator(self) -> str | None:
        """How log-densities of latents are estimated; `None` where they are computed."""
        flows = [_given(part) for part in (self.prior, self.posterior)]
        estimators = [flow.log_det_estimator for flow in flows if isinstance(flow, Flow)]
        return next((estimator for estimator in estimators if estimator is not None), None)

    # Keras's side; how it is fitted is in `VAEFitting`.

    def call(self, inputs, training=False):
        """ELBOs of x, `[batch]`."""
        if isinstance(inputs, tuple):  # of a step
            return self.step_values(*inputs, training)
        terms = self.terms(self.observed(inputs), stateless_seed(None), training=training)
        return terms.elbo

    def build(self, input_shape=None):
        """Nothing to do: it is built when it is made."""

    def compute_output_shape(self, input_shape):
        return input_shape[:1]

    def export(self, filepath, format="tf_saved_model", verbose=None):
        """Write a SavedModel with `elbo`, `encode`, `decode` and `sample`.

        See `tfflows.export.autoencoder.save_autoencoder`; `verbose` is Keras's, and of no effect.

        Raises:
            ValueError: for another format.
        """
        # Exports know autoencoders.
        from tfflows.export.autoencoder import save_autoencoder

        if format != "tf_saved_model":
            raise ValueError(
                f"{self.name} is exported as 'tf_saved_model', but found format={format!r}."
            )
        return save_autoencoder(self, filepath)

    def get_config(self):
        return {
            "event_shape": list(self.event_shape),
            "latent_dim": self.latent_dim,
            "encoder": as_json(self.encoder),
            "decoder": as_json(self.decoder),
            "observation": as_json(self.observation),
            "prior": self._prior_name or as_json(_given(self.prior)),
            "posterior": as_json(_given(self.posterior)),
            "dtype": self.compute_dtype,
            "name": self.name,
        }

    # Helpers.

    def _of_samples(self, name, x, seed, num_samples, batch_size):
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, but found {num_samples}.")
        seed = stateless_seed(seed)

        def run(rows):
            return self._compiled(
                self._bound, (rows,), (seed,), name=name, num_samples=int(num_samples)
            )

        return in_batches(run, (self.observed(x),), batch_size)

    def _bound(self, x, seed, name, num_samples):
        terms = self.terms(x, seed, num_samples)
        return terms.elbo if name == "elbo" else tf.transpose(terms.log_weights)

    def _encoded(self, x, seed):
        parameters = self.posterior_parameters(x)
        if seed is None:
            return self.centre(parameters)
        noise = BatchNoise(tf.shape(x)[0], seed, self.compute_dtype).normal(self.latent_dim)
        return self.posterior.from_noise(noise, parameters, Pass(log_dets=False))[0]

    def _decoded(self, z):
        return self.observation.mean(self.decoder_outputs(z), self.event_shape)

    def _sampled(self, n, seed, temperature, mean):
        z = self.prior.draw(BatchNoise(n, seed, self.compute_dtype), temperature)
        if mean:
            return self._decoded(z)
        distribution = self.observation.distribution(self.decoder_outputs(z), self.event_shape)
        return distribution.sample(seed=seed + [0, 1])


def _network(value):
    """A network, of its serialised form if it is one."""
    return keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value


def _given(part):
    """What the constructor was given: a flow itself, and not what it was wrapped in."""
    return part.flow if isinstance(part, (FlowPrior, FlowPosterior)) else part


def _repeated(value, times):
    """A batch, several times one after the other."""
    return tf.tile(value, [times, *[1] * (value.shape.rank - 1)]) if times > 1 else value
