"""Variational autoencoders: a latent-variable model and its posterior, as a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfflows.checks.settings import as_value
from tfflows.checks.values import require_dtype, require_keras_layer
from tfflows.distributions.bases import Base
from tfflows.flow import Flow
from tfflows.model.compiled import CompiledCalls
from tfflows.model.config import as_json
from tfflows.random.seeds import stateless_seed
from tfflows.vae.calls import VAECalls
from tfflows.vae.data import VAEData
from tfflows.vae.fitting import VAEFitting
from tfflows.vae.flow_posterior import FlowPosterior, as_posterior
from tfflows.vae.networks import decoder_for, encoder_for
from tfflows.vae.observations import Bernoulli, DistributionObservation, Observation
from tfflows.vae.passes import VAEPasses
from tfflows.vae.posteriors import DiagonalGaussian, Posterior
from tfflows.vae.priors import FlowPrior, VampPrior, as_prior


@keras.saving.register_keras_serializable(package="tfflows")
class VAE(VAEData, VAEPasses, VAECalls, VAEFitting, keras.Model):
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
        >>> x = np.random.default_rng(0).integers(2, size=(256, 1)).repeat(8, axis=1)
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
        self.posterior.attach(self.prior)
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
        if encoder is None:
            encoder = encoder_for(self.event_shape, num_parameters, dtype)
        if decoder is None:
            decoder = decoder_for(self.latent_dim, output_shape, dtype)
        self.encoder, self.decoder = _network(encoder), _network(decoder)
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
        # Keras counts one of a file as built before it has an autoencoder.
        if isinstance(self.prior, VampPrior) or not self.prior.built:
            self.prior.build((self.latent_dim,))
        if self.prior.latent_shape != (self.latent_dim,):
            raise ValueError(
                f"The prior was built for latents of shape {self.prior.latent_shape}, but those of "
                f"{self.name} have shape {(self.latent_dim,)}; make a new one."
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


def _network(value):
    """A network, of its serialised form if it is one."""
    return keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value


def _given(part):
    """What the constructor was given: a flow itself, and not what it was wrapped in."""
    return part.flow if isinstance(part, (FlowPrior, FlowPosterior)) else part
