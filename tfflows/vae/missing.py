"""Data with missing values: an observation model of what is there, and draws of what is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.checks.settings import as_value
from tfflows.random.seeds import stateless_seed
from tfflows.vae.observations import Gaussian, Observation

tfd = tfp.distributions

# Numbers that the decoder returns at a time, for all draws of some rows.
_NUMBERS = 2**22


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Missing(Observation):
    """Real x with missing values, which are NaN: the model of those that are there.

        log p(x_observed|z) = sum over observed i of log p(x_i|z)

    The encoder sees a zero where a value is missing, so that columns should have a mean of zero.
    With `tfflows.vae.ImportanceWeightedBound` this is MIWAE, whose bound on log p(x_observed) gets
    tight as the number of samples grows; values have to be missing at random, given those that are
    there. `vae.impute` finds what is missing.

    Args:
        observation: the model of a row without missing values, of real numbers that are independent
            given z.

    Raises:
        ValueError: for another one.

    Source: Mattei and Frellsen, "MIWAE: deep generative modelling and imputation of incomplete
    data sets", 2019, https://arxiv.org/abs/1812.02633.

    Example:
        >>> model = tfflows.vae.Missing(tfflows.vae.Gaussian(scale=1.0))
        >>> p = model.distribution(tf.zeros([1, 3]), (3,))
        >>> print(p.log_prob([[0.0, np.nan, np.nan]]).numpy())  # -log(2 pi) / 2
        [-0.9189385]
    """

    observation: Observation = Gaussian()

    def __post_init__(self):
        expected = "Missing takes an observation model of real numbers, such as Gaussian()"
        observation = as_value(Observation, self.observation, expected)
        if observation.pixel_bits is not None or observation.num_parameters is None:
            raise ValueError(
                f"{expected}, independent in each dimension, but found {observation!r}."
            )
        object.__setattr__(self, "observation", observation)

    @property
    def num_parameters(self) -> int | None:
        return self.observation.num_parameters

    def as_input(self, x: tf.Tensor, dtype: str) -> tf.Tensor:
        x = self.observation.as_input(x, dtype)
        return tf.where(tf.math.is_nan(x), tf.zeros_like(x), x)

    def distribution(self, outputs: tf.Tensor, event_shape: Sequence[int]) -> tfd.Distribution:
        complete = self.observation.distribution(outputs, event_shape)
        return _OfWhatIsThere(complete.distribution, len(event_shape))

    def mean(self, outputs: tf.Tensor, event_shape: Sequence[int]) -> tf.Tensor:
        return self.observation.mean(outputs, event_shape)


class _OfWhatIsThere(tfd.Independent):
    """Independent dimensions, of which those that are NaN do not count."""

    def _log_prob(self, x, **kwargs):
        missing = tf.math.is_nan(x)
        # Where a value is missing there is no gradient, but only a finite one times zero is none.
        log_probs = self.distribution.log_prob(tf.where(missing, self.distribution.mean(), x))
        parts = tf.where(missing, tf.zeros_like(log_probs), log_probs)
        return tf.reduce_sum(parts, list(range(-self.event_shape.rank, 0)))


def impute(vae, x, num_samples: int, num_draws: int | None, seed) -> np.ndarray:
    """See `tfflows.VAE.impute`."""
    x = np.array(x, vae.compute_dtype)
    missing, seed = np.isnan(x), stateless_seed(seed)
    size = max(1, _NUMBERS // (num_samples * max(1, x[0].size)))
    parts = []
    for start in range(0, len(x), size):
        rows = vae.observed(x[start : start + size])
        found = _imputed(vae, rows, num_samples, num_draws, seed + [0, start])
        parts.append(found.numpy())
    axis = 0 if num_draws is None else 1
    return np.where(missing, np.concatenate(parts, axis), x)


def _imputed(vae, x, num_samples, num_draws, seed):
    """Means given what is there, `[n, *event_shape]`, or draws, `[num_draws, n, *event_shape]`."""
    terms = vae.terms(x, seed, num_samples)
    z = terms.latents

    def means_of(z):
        outputs = vae.decoder_outputs(tf.reshape(z, [-1, vae.latent_dim]))
        means = vae.observation.mean(outputs, vae.event_shape)
        return tf.reshape(means, [*z.shape[:2], *vae.event_shape])

    if num_draws is None:
        weights = tf.nn.softmax(terms.log_weights, axis=0)
        return tf.einsum("kn,kn...->n...", weights, means_of(z))
    choices = tf.random.stateless_categorical(
        tf.transpose(terms.log_weights), num_draws, seed + [1, 0]
    )
    chosen = tf.gather(tf.transpose(z, [1, 0, 2]), choices, batch_dims=1)
    chosen = tf.reshape(tf.transpose(chosen, [1, 0, 2]), [-1, vae.latent_dim])
    outputs = vae.decoder_outputs(chosen)
    draws = vae.observation.distribution(outputs, vae.event_shape).sample(seed=seed + [2, 0])
    return tf.reshape(draws, [num_draws, -1, *vae.event_shape])
