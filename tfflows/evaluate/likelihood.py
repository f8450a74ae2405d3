"""Likelihood on held-out data: exact, or bounds on it of discrete images and of autoencoders."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.distributions.dequantization import dequantize
from tfflows.flow import Flow
from tfflows.vae import VAE


@dataclass(frozen=True)
class Likelihood:
    """Mean negative log-likelihood over a set of examples, with its standard error.

    Attributes:
        nll: nats per example.
        standard_error: of `nll` over the examples, in nats.
        bits_per_dim: `nll / (D ln 2)`, for images, else `None`.
        bits_per_dim_standard_error: likewise.
        num_examples: number of examples.
        num_draws: draws of dequantisation noise or latents for each example; 0 for flows of
            continuous data.
        estimator: what `nll` is: `"exact"`, or a bound from above: on that of the discrete image,
            `"uniform dequantisation bound"` or `"variational dequantisation bound"`; on that of an
            autoencoder, `"evidence lower bound"`; or, tighter, one of them
            `", importance-weighted"`. If log-dets are estimated, it says how.
    """

    nll: float
    standard_error: float
    bits_per_dim: float | None
    bits_per_dim_standard_error: float | None
    num_examples: int
    num_draws: int
    estimator: str = "exact"

    @classmethod
    def of(
        cls, nll: np.ndarray, num_dims: int | None, num_draws: int, estimator: str = "exact"
    ) -> Likelihood:
        """Summary of one nll per example; `num_dims` is given for images only."""
        mean = float(nll.mean())
        error = float(nll.std(ddof=1) / math.sqrt(len(nll))) if len(nll) > 1 else math.nan
        bits = math.nan if num_dims is None else num_dims * math.log(2)
        return cls(
            nll=mean,
            standard_error=error,
            bits_per_dim=None if num_dims is None else mean / bits,
            bits_per_dim_standard_error=None if num_dims is None else error / bits,
            num_examples=len(nll),
            num_draws=num_draws,
            estimator=estimator,
        )

    @classmethod
    def of_log_weights(
        cls, model: Flow | VAE, log_weights: np.ndarray, importance: bool = False
    ) -> Likelihood:
        """Summary of what `tfflows.evaluate.log_weights` returned for a flow or an autoencoder."""
        estimated, estimator = model.log_det_estimator, _bound(model)
        if estimator is None:
            name = "exact" if estimated is None else f"log-det by {estimated}"
            return cls.of(-log_weights[0], None, 0, name)
        if estimated is not None:
            estimator += f", log-det by {estimated}"
        if importance:
            estimator += ", importance-weighted"
            nll = math.log(len(log_weights)) - np.logaddexp.reduce(log_weights, axis=0)
        else:
            nll = -log_weights.mean(axis=0)
        num_dims = None if model.num_bits is None else math.prod(model.event_shape)
        return cls.of(nll, num_dims, len(log_weights), estimator)

    def __str__(self):
        text = f"{self.nll:.4f} +/- {self.standard_error:.4f} nats"
        if self.bits_per_dim is not None:
            text += f", {self.bits_per_dim:.4f} +/- {self.bits_per_dim_standard_error:.4f} bits/dim"
        return f"{text} ({self.num_examples} examples)"


def _bound(model):
    """What a mean of log-weights is as a bound, or `None` if it is exact."""
    if isinstance(model, VAE):
        return "evidence lower bound"
    if model.num_bits is None:
        return None
    noise = "uniform" if model.dequantizer is None else "variational"
    return f"{noise} dequantisation bound"


def likelihood(
    flow: Flow | VAE,
    x: ArrayLike,
    context: ArrayLike | None = None,
    num_draws: int = 1,
    seed: int = 0,
    batch_size: int = 500,
) -> Likelihood:
    """Mean negative log-likelihood of a flow or an autoencoder on held-out data.

    For image flows this is the dequantisation bound, `-E log p(x + u) - log q(u|x)` with u drawn
    from the flow's dequantizer or, by default, uniformly (q = 1), estimated with `num_draws` draws
    per image; bits/dim refer to the discrete image. For a `tfflows.VAE` it is the negative ELBO,
    with draws of latents.

    Args:
        flow: the flow, or an autoencoder.
        x: `[n, *event_shape]`; integers for pixels.
        context: `[n, ...]` for a conditional flow.
        num_draws: draws per example, at least 1; flows of continuous data need none.
        seed: of the draws.
        batch_size: examples evaluated at a time.

    Raises:
        ValueError: for an empty x, continuous pixels, or as `Flow.log_prob` does.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        >>> tfflows.evaluate.likelihood(flow, np.zeros([10, 2])).num_examples
        10
    """
    weights = log_weights(flow, x, context, num_draws, seed, batch_size)
    return Likelihood.of_log_weights(flow, weights)


def importance_weighted_bound(
    flow: Flow | VAE,
    x: ArrayLike,
    context: ArrayLike | None = None,
    num_samples: int = 16,
    seed: int = 0,
    batch_size: int = 500,
) -> Likelihood:
    """The importance-weighted bound on the likelihood, tighter than `likelihood`.

        images:       -mean log (1/k) sum_j p(x + u_j) / q(u_j|x) >= -mean log P(x),  u_j ~ q(u|x)
        autoencoders: -mean log (1/k) sum_j p(x, z_j) / q(z_j|x) >= -mean log p(x),  z_j ~ q(z|x)

    In expectation it falls as k = `num_samples` grows, from the bound of `likelihood` at k = 1 to
    the exact value, which it approaches slowly if the weights of one x vary much.

    Args:
        num_samples: k, at least 1; each costs one evaluation of the model per example.
        flow, x, context, seed, batch_size: see `likelihood`; equal seeds give the same draws.

    Raises:
        ValueError: for a flow that is not one of images, for estimated log-dets, whose errors the
            logarithm of a mean would count as likelihood, and as `likelihood` does.

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016; Ho, Chen,
    Srinivas, Duan and Abbeel, "Flow++", 2019, whose code evaluates with k = 4096.

    Example:
        >>> flow = tfflows.NICE((2, 2, 1), num_couplings=2, hidden=(8,), num_bits=1)
        >>> x = np.random.default_rng(0).integers(2, size=(10, 2, 2, 1))
        >>> bound = tfflows.evaluate.importance_weighted_bound(flow, x, num_samples=8)
        >>> bound.nll < tfflows.evaluate.likelihood(flow, x, num_draws=8).nll
        True
        >>> vae = tfflows.VAE((2, 2, 1), latent_dim=2)
        >>> print(tfflows.evaluate.importance_weighted_bound(vae, x).estimator)
        evidence lower bound, importance-weighted
    """
    if _bound(flow) is None:
        raise ValueError(
            f"The importance-weighted bound is for image flows and autoencoders, but {flow.name} "
            "has no num_bits: its likelihood is exact."
        )
    if flow.log_det_estimator is not None:
        raise ValueError(
            f"The importance-weighted bound needs computed log-dets, but {flow.name} estimates "
            f"them by {flow.log_det_estimator}."
        )
    weights = log_weights(flow, x, context, num_samples, seed, batch_size)
    return Likelihood.of_log_weights(flow, weights, importance=True)


# Its name in 0.1.0.
importance_weighted = importance_weighted_bound


def log_weights(
    flow: Flow | VAE,
    x: ArrayLike,
    context: ArrayLike | None = None,
    num_draws: int = 1,
    seed: int = 0,
    batch_size: int = 500,
) -> np.ndarray:
    """`log p(x + u_j) - log q(u_j|x)` of each draw j and example, float64 `[num_draws, n]`.

    For continuous data this is log p(x), once; for autoencoders it is `log p(x, z_j) -
    log q(z_j|x)`. Arguments and errors as for `likelihood`.

    Example:
        >>> flow = tfflows.NICE((2, 2, 1), num_couplings=2, hidden=(8,), num_bits=4)
        >>> tfflows.evaluate.log_weights(flow, np.zeros([10, 2, 2, 1], int), num_draws=3).shape
        (3, 10)
    """
    x = np.asarray(x)
    flow.check_data(x, context)
    if num_draws < 1:
        raise ValueError(f"The number of draws must be at least 1, but found {num_draws}.")
    function = _log_weight(flow)
    log_weight = tf.function(function, autograph=False, reduce_retracing=True)
    weights = np.zeros([1 if _bound(flow) is None else num_draws, len(x)])
    for draw, row in enumerate(weights):
        for start in range(0, len(x), batch_size):
            batch = slice(start, start + batch_size)
            conditions = None if context is None else context[batch]
            noise_seed = tf.constant([seed, draw * len(x) + start], tf.int32)
            try:
                row[batch] = log_weight(x[batch], conditions, noise_seed).numpy()
            except tf.errors.InvalidArgumentError:
                function(x[batch], conditions, noise_seed)
                raise
    return weights


def _log_weight(model):
    """The logarithm of one weight of each x, as a function of x, context and seed."""
    if isinstance(model, VAE):
        return lambda x, context, seed: model.log_weights(x, seed)[:, 0]
    return model.log_prob


def kernel_density_likelihood(
    train: ArrayLike, validation: ArrayLike, test: ArrayLike
) -> Likelihood:
    """What a density of Gaussian kernels at the training points reaches: for low dimensions.

    The width of the kernels is that of twelve, from 1/200 to 1/5 of the largest standard deviation
    in geometric steps, that suits the validation points best.

    Args:
        train, validation, test: vectors, `[n, D]`.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(3000, 2))
        >>> figure = tfflows.evaluate.kernel_density_likelihood(x[:1000], x[1000:2000], x[2000:])
        >>> bool(abs(figure.nll - np.log(2 * np.pi * np.e)) < 0.15)
        True
    """
    from sklearn.neighbors import KernelDensity

    widths = np.geomspace(1 / 200, 1 / 5, 12) * np.std(train, axis=0).max()
    fitted = [KernelDensity(bandwidth=width, rtol=1e-4).fit(train) for width in widths]
    best = max(fitted, key=lambda density: density.score(validation))
    return Likelihood.of(-best.score_samples(test), None, 0)


def gaussian_likelihood(
    train: ArrayLike, test: ArrayLike, num_bits: int | None = None, seed: int = 0
) -> Likelihood:
    """The figure to beat: a full-covariance Gaussian fitted to the (dequantised) training data.

    Args:
        train, test: `[n, ...]`, integer pixels if `num_bits` is given.
        num_bits: bits per pixel, for images.
        seed: of the dequantisation of both.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(2000, 2))
        >>> figure = tfflows.evaluate.gaussian_likelihood(x[:1000], x[1000:])
        >>> bool(abs(figure.nll - np.log(2 * np.pi * np.e)) < 0.1)
        True
    """
    from sklearn.mixture import GaussianMixture

    def flat(x, noise_seed):
        if num_bits is not None:
            x = dequantize(x, num_bits, noise_seed, "float64").numpy()
        return np.reshape(x, (len(x), -1)).astype("float64")

    train, test = flat(train, [seed, 0]), flat(test, [seed, 1])
    gaussian = GaussianMixture(1, covariance_type="full", reg_covar=1e-9).fit(train)
    nll = -gaussian.score_samples(test)
    if num_bits is None:
        return Likelihood.of(nll, None, 0)
    return Likelihood.of(nll, test.shape[1], 1, "uniform dequantisation bound")
