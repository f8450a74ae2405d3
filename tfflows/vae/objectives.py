"""What the training of an autoencoder maximises, as values."""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from tfflows.checks.settings import Settings, as_value, set_positive
from tfflows.random.seeds import replica_and_number

if TYPE_CHECKING:
    from tfflows.vae import VAE


@dataclasses.dataclass(frozen=True)
class Objective(Settings):
    """What a step of `fit` maximises and what it measures, as a value for `VAE.compile`.

    A new one is a frozen dataclass, registered with Keras, that is called as below.

    Args of a call:
        vae: the autoencoder.
        x: as `vae.observed` returns it.
        seed: of all noise of the step, `[2]`.
        training: whether it is a step of `fit`.
        step: how many steps there were before.

    Returns:
        A dictionary of numbers per example, `[batch]`: `"loss"`, whose mean is minimised, `"elbo"`,
        `"reconstruction"` and `"kl"`, and `"parameters"`, `[batch, n]`, of the posterior.
    """

    def __call__(
        self, vae: VAE, x: tf.Tensor, seed: tf.Tensor, training: bool, step: tf.Tensor
    ) -> dict:
        raise NotImplementedError(f"{type(self).__name__} does not say what is maximised.")


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class ELBO(Objective):
    """The evidence lower bound, what an autoencoder maximises by itself.

        loss = -E_q[log p(x|z)] + w sum_i max(free_bits, KL_i)

    The weight w is beta min(1, step / warm_up_steps), and KL_i the part of dimension i, as a mean
    over the batch. Where the divergence has no closed form, with another prior than the standard
    normal one or another posterior than a Gaussian, it is not known by dimension, and the maximum
    is that of the whole of it and of latent_dim times `free_bits`. In evaluation the loss has the
    weight beta, and no free bits. The metric `elbo` is always the bound itself.

    The last two are against collapse, where q(z|x) is the prior and the decoder ignores z: it is a
    local optimum that training falls into while the decoder does not know what to make of z.

    Args:
        beta: weight of the divergence, at least 0. With another one than 1 the loss is no bound.
        warm_up_steps: number of the optimizer's steps over which the weight rises from 0 to beta.
        free_bits: nats a dimension that cost nothing, at least 0.
        num_samples: draws of z for each x.

    Raises:
        ValueError: if one of these is out of its range.

    Source: beta: Higgins et al., "beta-VAE", 2017; warm-up: Bowman et al., "Generating sentences
    from a continuous space", 2016, https://arxiv.org/abs/1511.06349; free bits: Kingma et al.,
    "Improving variational inference with inverse autoregressive flow", 2016, appendix C.8,
    https://arxiv.org/abs/1606.04934.

    Example:
        >>> vae = tfflows.VAE((4,), latent_dim=2)
        >>> objective = tfflows.vae.ELBO(warm_up_steps=100, free_bits=0.1)
        >>> vae.compile(keras.optimizers.Adam(1e-3), objective)
        >>> history = vae.fit(np.eye(4, dtype=int), verbose=0).history
        >>> sorted(history)
        ['bits_per_dim', 'elbo', 'kl', 'loss', 'reconstruction']
    """

    beta: float = 1.0
    warm_up_steps: int = 0
    free_bits: float = 0.0
    num_samples: int = 1

    def __post_init__(self):
        for name in ("beta", "warm_up_steps", "free_bits"):
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or not 0 <= value < math.inf:
                raise ValueError(
                    f"ELBO's {name} must be a finite number of at least 0, but found {value!r}."
                )
        set_positive(self, "num_samples", integers=True)

    def __call__(
        self, vae: VAE, x: tf.Tensor, seed: tf.Tensor, training: bool, step: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        terms = vae.terms(x, seed, self.num_samples, training)
        weight, penalty = self.beta, terms.kl
        if training and self.warm_up_steps:
            progress = tf.cast(step, penalty.dtype) / self.warm_up_steps
            weight *= tf.minimum(progress, 1)
        if training and self.free_bits:
            penalty = self._with_free_bits(terms, vae.latent_dim)
        return {**measured(terms), "loss": terms.reconstruction + weight * penalty}

    def _with_free_bits(self, terms, dim):
        """The penalty of each example, `[batch]`, whose mean over the batch has the maxima."""
        parts, free = terms.kl_per_dimension, self.free_bits
        if parts is None:
            parts, free = terms.kl[:, tf.newaxis], dim * self.free_bits
        mean = tf.stop_gradient(tf.reduce_mean(parts, 0))
        if replica_and_number()[1] > 1:
            mean = tf.distribute.get_replica_context().all_reduce("mean", mean)
        return tf.reduce_sum(tf.where(mean > free, parts, tf.constant(free, parts.dtype)), -1)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class ImportanceWeightedBound(Objective):
    """The importance-weighted bound, tighter than the ELBO: that of IWAE.

        loss = -log (1/k) sum_j p(x, z_j) / q(z_j|x),  z_j ~ q(z|x)

    The metric `importance_weighted_bound` is its negative, beside that of the ELBO. The encoder's
    gradient gets noisier as k grows, relative to its size.

    Args:
        num_samples: k, at least 1.

    Raises:
        ValueError: if it is below 1.

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016,
    https://arxiv.org/abs/1509.00519; Rainforth et al., "Tighter variational bounds are not
    necessarily better", 2018, https://arxiv.org/abs/1802.04537, on its gradient.

    Example:
        >>> vae = tfflows.VAE((4,), latent_dim=2)
        >>> vae.compile("adam", tfflows.vae.ImportanceWeightedBound(num_samples=8))
        >>> figures = vae.evaluate(np.eye(4, dtype=int), verbose=0, return_dict=True)
        >>> figures["importance_weighted_bound"] > figures["elbo"]
        True
    """

    num_samples: int = 8

    def __post_init__(self):
        set_positive(self, "num_samples", integers=True)

    def __call__(
        self, vae: VAE, x: tf.Tensor, seed: tf.Tensor, training: bool, step: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        terms = vae.terms(x, seed, self.num_samples, training)
        bound = terms.importance_weighted_bound
        return {**measured(terms), "loss": -bound, "importance_weighted_bound": bound}


def measured(terms) -> dict:
    """What every objective measures."""
    return {
        "elbo": terms.elbo,
        "reconstruction": terms.reconstruction,
        "kl": terms.kl,
        "parameters": terms.parameters,
    }


def as_objective(value) -> Objective:
    """The objective that `compile` was given: a value, its serialised form, or `None` for `ELBO()`.

    Raises:
        ValueError: if it is none of these.

    Example:
        >>> tfflows.vae.objectives.as_objective(None)
        ELBO(beta=1.0, warm_up_steps=0, free_bits=0.0, num_samples=1)
    """
    expected = "A VAE's loss is a tfflows.vae.Objective, such as ELBO(beta=0.5)"
    return ELBO() if value is None else as_value(Objective, value, expected)
