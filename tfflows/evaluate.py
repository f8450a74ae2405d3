"""Measured figures of a flow: likelihood on held-out data, round trip, log-det."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfflows.checks import as_dtype
from tfflows.dequantization import dequantize
from tfflows.flow import Flow


@dataclass(frozen=True)
class Likelihood:
    """Mean negative log-likelihood over a set of examples, with its standard error.

    Attributes:
        nll: nats per example.
        standard_error: of `nll` over the examples, in nats.
        bits_per_dim: `nll / (D ln 2)`, for images, else `None`.
        bits_per_dim_standard_error: likewise.
        num_examples: number of examples.
        num_draws: dequantisation draws averaged for each example; 0 for continuous data.
    """

    nll: float
    standard_error: float
    bits_per_dim: float | None
    bits_per_dim_standard_error: float | None
    num_examples: int
    num_draws: int

    @classmethod
    def of(cls, nll: np.ndarray, num_dims: int | None, num_draws: int) -> Likelihood:
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
        )

    def __str__(self):
        text = f"{self.nll:.4f} +/- {self.standard_error:.4f} nats"
        if self.bits_per_dim is not None:
            text += f", {self.bits_per_dim:.4f} +/- {self.bits_per_dim_standard_error:.4f} bits/dim"
        return f"{text} ({self.num_examples} examples)"


def likelihood(
    flow: Flow, x, context=None, num_draws: int = 1, seed: int = 0, batch_size: int = 500
) -> Likelihood:
    """Mean negative log-likelihood of a flow on held-out data.

    For images this is the uniform-dequantisation bound, `-E_u log p(x + u)`, estimated with
    `num_draws` draws of u per image; bits/dim refer to the discrete image.

    Args:
        flow: the flow.
        x: `[n, *event_shape]`; integer pixels for an image flow.
        context: `[n, ...]` for a conditional flow.
        num_draws: dequantisation draws per image, at least 1; continuous data need none.
        seed: of the draws.
        batch_size: examples evaluated at a time.

    Raises:
        ValueError: for an empty x, continuous pixels, or as `Flow.log_prob` does.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        >>> tfflows.evaluate.likelihood(flow, np.zeros([10, 2])).num_examples
        10
    """
    x = np.asarray(x)
    flow.check_data(x, context)
    if num_draws < 1:
        raise ValueError(f"likelihood needs num_draws of at least 1, but found {num_draws}.")
    is_image = flow.num_bits is not None
    num_draws = num_draws if is_image else 0
    log_prob = tf.function(flow.log_prob, reduce_retracing=True)
    nll = np.zeros(len(x))
    for draw in range(max(num_draws, 1)):
        for start in range(0, len(x), batch_size):
            batch = slice(start, start + batch_size)
            conditions = None if context is None else context[batch]
            noise_seed = tf.constant([seed, draw * len(x) + start], tf.int32)
            try:
                nll[batch] -= log_prob(x[batch], conditions, noise_seed).numpy()
            except tf.errors.InvalidArgumentError:
                flow.log_prob(x[batch], conditions, noise_seed)
                raise
    num_dims = math.prod(flow.event_shape) if is_image else None
    return Likelihood.of(nll / max(num_draws, 1), num_dims, num_draws)


def gaussian_likelihood(train, test, num_bits: int | None = None, seed: int = 0) -> Likelihood:
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
    num_dims = None if num_bits is None else test.shape[1]
    return Likelihood.of(
        -gaussian.score_samples(test), num_dims, num_draws=int(num_bits is not None)
    )


def round_trip_error(flow: Flow, x, context=None) -> float:
    """Largest `|decode(encode(x)) - x|` over a batch, in the units of x."""
    x = as_dtype(x, flow.compute_dtype)
    return float(tf.reduce_max(tf.abs(flow.decode(flow.encode(x, context), context) - x)))


def log_det_error(flow: Flow, x, context=None) -> float:
    """Largest difference between the inverse log-det and that of the autodiff Jacobian, in nats.

    The Jacobian costs D gradients: meant for a few examples of moderate size.
    """
    x = as_dtype(x, flow.compute_dtype)
    context = flow.layer_context(context, x)
    num_dims = math.prod(flow.event_shape)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z, log_det = flow.transform.inverse_and_log_det(x, context)
        z = tf.reshape(z, [-1, num_dims])
    jacobian = tf.reshape(tape.batch_jacobian(z, x), [-1, num_dims, num_dims])
    expected = np.linalg.slogdet(jacobian.numpy().astype("float64"))[1]
    return float(np.max(np.abs(log_det.numpy() - expected)))
