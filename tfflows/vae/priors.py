"""Priors of an autoencoder that need more than a base does: flows and its own posterior."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.distributions.bases import Base
from tfflows.distributions.standard import as_base
from tfflows.flow import Flow
from tfflows.layers.passes import Pass
from tfflows.layers.untracked import Untracked

if TYPE_CHECKING:
    from tfflows.vae import VAE


tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="tfflows")
class VampPrior(Base):
    """Mixture of an autoencoder's own posteriors at inputs that are learned.

        p(z) = (1/K) sum_k q(z | u_k)

    It is near the mean of q(z|x) over the data, the best prior there is for an encoder, with K
    pseudo-inputs u in place of all data. They are in the encoder's units, pixels scaled to [-1, 1]
    but not kept to that, and start from random examples of the data of `fit`, or of `vae.adapt(x)`.
    A density takes K evaluations of the posterior for each z, and one of the encoder for each u.

    Args:
        num_pseudo_inputs: K, at least 1.

    Raises:
        ValueError: if it is below 1; from `fit`, if there are fewer examples to start from.

    Source: Tomczak and Welling, "VAE with a VampPrior", 2018, https://arxiv.org/abs/1705.07120.

    Example:
        >>> prior = tfflows.vae.VampPrior(num_pseudo_inputs=3)
        >>> vae = tfflows.VAE((4,), latent_dim=2, prior=prior)
        >>> vae.adapt(np.eye(4, dtype=int))
        >>> sorted(np.argmax(prior.pseudo_inputs, 1).tolist()) in ([0, 1, 2], [0, 1, 3],
        ...     [0, 2, 3], [1, 2, 3])
        True
        >>> vae.sample(5, seed=0).shape
        TensorShape([5, 4])
    """

    def __init__(self, num_pseudo_inputs: int = 500, **kwargs):
        super().__init__(**kwargs)
        if num_pseudo_inputs < 1:
            raise ValueError(
                f"VampPrior needs num_pseudo_inputs of at least 1, but found {num_pseudo_inputs!r}."
            )
        self.num_pseudo_inputs = int(num_pseudo_inputs)
        self._vae = None

    def attach(self, vae: VAE) -> None:
        """Say whose posterior this is a mixture of, before it is built.

        Raises:
            ValueError: if it is that of another autoencoder.
        """
        if self._vae is not None:
            raise ValueError(
                f"The VampPrior '{self.name}' is that of {self._vae.value.name} already; make a "
                f"new one for {vae.name}."
            )
        # The autoencoder owns the prior, and not the other way around.
        self._vae = Untracked(vae)

    def build(self, latent_shape, part_shapes=None):
        if self._vae is None:
            raise ValueError(
                f"The VampPrior '{self.name}' is the prior of an autoencoder, whose posterior it "
                "is made of, and no base of anything else."
            )
        self.pseudo_inputs = self.add_weight(
            shape=(self.num_pseudo_inputs, *self._vae.value.event_shape),
            initializer=keras.initializers.RandomNormal(stddev=0.01),
            autocast=False,
            name="pseudo_inputs",
        )
        self.adapted = self.add_weight(
            shape=(), initializer="zeros", dtype="bool", trainable=False, name="adapted"
        )
        super().build(latent_shape, part_shapes)

    def build_from_config(self, config):
        """Nothing to do: when a file is loaded, the autoencoder builds its prior."""

    def start_from(self, inputs: tf.Tensor) -> None:
        """Set the pseudo-inputs to K inputs of the encoder."""
        self.pseudo_inputs.assign(inputs)
        self.adapted.assign(True)

    @property
    def distribution(self) -> tfd.Distribution:
        return tfd.MixtureSameFamily(
            tfd.Categorical(tf.zeros(self.num_pseudo_inputs, self.compute_dtype)),
            self._vae.value.posterior.distribution(self._parameters(training=False)),
        )

    def log_prob(self, z: tf.Tensor, call: Pass) -> tf.Tensor:
        parameters, count = self._parameters(call.training), self.num_pseudo_inputs
        rows = tf.repeat(z, count, axis=0), tf.tile(parameters, [tf.shape(z)[0], 1])
        log_probs = tf.reshape(self._vae.value.posterior.log_prob(*rows, call), [-1, count])
        return tf.reduce_logsumexp(log_probs, -1) - math.log(count)

    def draw(self, noise: tf.Tensor, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        place = self.num_pseudo_inputs * noise.part(0).uniform(1)[:, 0]
        # Rounding may give the number itself.
        component = tf.minimum(tf.cast(place, tf.int32), self.num_pseudo_inputs - 1)
        parameters = tf.gather(self._parameters(training=False), component)
        deviation = temperature * self._rows(noise.normal(self._size))
        return self._vae.value.posterior.from_noise(deviation, parameters, Pass(log_dets=False))[0]

    def _parameters(self, training):
        inputs = tf.convert_to_tensor(self.pseudo_inputs)
        return self._vae.value.parameters_of_inputs(inputs, training)

    def get_config(self):
        return {**super().get_config(), "num_pseudo_inputs": self.num_pseudo_inputs}


class FlowPrior(Base):
    """A flow as the distribution of latents, which is trained with the autoencoder.

    In a sample, `temperature` is that of the flow's own base.

    Args:
        flow: a `tfflows.Flow` of vectors, without a context.

    Raises:
        ValueError: for a conditional flow, one of pixels, or one for other vectors.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        >>> vae = tfflows.VAE((4,), latent_dim=2, prior=flow)
        >>> type(vae.prior).__name__, vae.prior.flow is flow
        ('FlowPrior', True)
    """

    def __init__(self, flow: Flow, **kwargs):
        super().__init__(dtype=flow.compute_dtype, **kwargs)
        if flow.is_conditional or flow.num_bits is not None:
            kind = "takes a context" if flow.is_conditional else "is one of pixels"
            raise ValueError(
                f"A prior is a flow of continuous z without a context, but {flow.name} {kind}."
            )
        self.flow = flow

    def build(self, latent_shape, part_shapes=None):
        if self.flow.event_shape != tuple(latent_shape):
            raise ValueError(
                f"The prior {self.flow.name} is a flow of events of shape {self.flow.event_shape}, "
                f"but latents have shape {tuple(latent_shape)}."
            )
        super().build(latent_shape, part_shapes)

    @property
    def distribution(self):
        return self.flow.distribution

    def log_prob(self, z, call):
        return self.flow.log_prob_pass(z, call)

    def draw(self, noise, temperature=1.0):
        z = self.flow.base_layer.draw(noise, temperature)
        return self.flow.transform.forward_pass(z, Pass(log_dets=False))[0]


def as_prior(value, dtype: str) -> Base:
    """The prior that an argument is: a base, the name of one, a flow, or a serialised form.

    Raises:
        ValueError: if it is none of these.
    """
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    return FlowPrior(value) if isinstance(value, Flow) else as_base(value, dtype, "prior")
