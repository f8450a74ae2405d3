"""Flows as posteriors of an autoencoder."""

from __future__ import annotations

import keras

from tfflows.checks.settings import as_value
from tfflows.distributions.of_flow import FlowDistribution
from tfflows.distributions.standard import Normal
from tfflows.flow import Flow
from tfflows.layers.view import LayerBijector
from tfflows.vae.posteriors import DiagonalGaussian, Posterior


class FlowPosterior(Posterior, keras.layers.Layer):
    """A flow of a Gaussian, both given x.

        z = f(m + s * noise; h),  log q(z|x) = log N(m + s * noise; m, s^2) - log|det df|

    The encoder returns m, then what s comes from as in `DiagonalGaussian`, and then h, the context
    that the flow is conditioned on, 2 latent_dim + context_dim numbers. A flow without a context
    has the same f for all x. Draws take the flow's direction from base to data, and densities of
    other z than draws the opposite one; which of them is fast differs between flows. Training takes
    the first, and with a `VampPrior` the other one, too.

    Args:
        flow: a `tfflows.Flow` of vectors with a standard normal base, in place of which comes the
            Gaussian: `IAF`, `RealNVP`, `NSF`, `FFJORD`, or a stack of `layers.Planar()`,
            `layers.Radial()` or `layers.Sylvester(rank)`.

    Raises:
        ValueError: for a flow of pixels, of other vectors than latents, with classes as its
            context, or with another base.

    Source: Rezende and Mohamed, "Variational inference with normalizing flows", 2015,
    https://arxiv.org/abs/1505.05770; van den Berg, Hasenclever, Tomczak and Welling, "Sylvester
    normalizing flows for variational inference", 2018, https://arxiv.org/abs/1803.05649.

    Example:
        >>> flow = tfflows.IAF((2,), num_layers=2, hidden=(16,), context_dim=8)
        >>> vae = tfflows.VAE((4,), latent_dim=2, posterior=flow)
        >>> vae.encoder.output_shape
        (None, 12)
        >>> vae.posterior_given(np.eye(4, dtype=int)).sample(5).shape
        TensorShape([5, 4, 2])
    """

    def __init__(self, flow: Flow, **kwargs):
        super().__init__(dtype=flow.compute_dtype, **kwargs)
        if flow.num_bits is not None or flow.num_classes is not None:
            kind = "is one of pixels" if flow.num_bits is not None else "has classes as its context"
            raise ValueError(
                "A posterior is a flow of continuous z given a vector (context_dim), but "
                f"{flow.name} {kind}."
            )
        if not isinstance(flow.base_layer, Normal):
            raise ValueError(
                "A posterior's flow starts from the Gaussian that the encoder returns, in place of "
                f"a standard normal base, but that of {flow.name} is {flow.base_layer!r}."
            )
        self.flow = flow
        self._gaussian = DiagonalGaussian()

    def num_parameters(self, latent_dim):
        if self.flow.event_shape != (latent_dim,):
            raise ValueError(
                f"The posterior {self.flow.name} is a flow of events of shape "
                f"{self.flow.event_shape}, but latents have shape {(latent_dim,)}."
            )
        return 2 * latent_dim + (self.flow.context_dim or 0)

    def from_noise(self, noise, parameters, call):
        gaussian, context = self._parts(parameters)
        z, log_q = self._gaussian.from_noise(noise, gaussian, call)
        z, log_det = self.flow.transform.forward_pass(z, call.replace(context=context))
        return z, log_q - log_det

    def log_prob(self, z, parameters, call):
        gaussian, context = self._parts(parameters)
        z, log_det = self.flow.transform.inverse_pass(z, call.replace(context=context))
        return self._gaussian.log_prob(z, gaussian, call) + log_det

    def distribution(self, parameters):
        gaussian, context = self._parts(parameters)
        view = LayerBijector(self.flow.transform, context=context)
        return FlowDistribution(self._gaussian.distribution(gaussian), view)

    def _parts(self, parameters):
        """Parameters of the Gaussian, and the context or `None`."""
        size = 2 * self.flow.event_shape[0]
        context = None if self.flow.context_dim is None else parameters[:, size:]
        return parameters[:, :size], context


def as_posterior(value) -> Posterior:
    """The posterior that an argument is: a value, a flow, or a serialised form.

    Raises:
        ValueError: if it is none of these.
    """
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if isinstance(value, Flow):
        return FlowPosterior(value)
    expected = "posterior must be a tfflows.vae.Posterior, such as DiagonalGaussian(), or a Flow"
    return as_value(Posterior, value, expected)
