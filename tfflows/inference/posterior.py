"""Variational inference: a flow as the posterior of a joint distribution of TFP's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from random import getrandbits
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfflows.evaluate.importance import ImportanceSamples, importance_samples
from tfflows.flow import Flow
from tfflows.flows import IAF
from tfflows.inference.chains import Chains, sample_chains
from tfflows.inference.unconstrained import Unconstrained

tfd = tfp.distributions

# Draws from the prior that say how large what is looked for may be.
_PRIOR_SAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class SurrogatePosterior:
    """A flow over the unconstrained parts of a joint distribution.

    Attributes:
        flow: over vectors u, `[size]`, a `tfflows.Flow`.
        unconstrained: the target, with `log_prob(u)`, and the `bijector` from u to the parts.
        history: of each epoch, with `elbo` in nats: a bound on the log evidence from below.
    """

    flow: Flow
    unconstrained: Unconstrained
    history: dict

    @property
    def distribution(self) -> tfd.Distribution:
        """The surrogate as a `tfd.Distribution` of the parts, as `tfp.vi` has it."""
        return tfd.TransformedDistribution(self.flow.distribution, self.unconstrained.bijector)

    def sample(self, n: int, seed: ArrayLike | None = None) -> Any:
        """n draws of the parts, as `joint.sample(n)` has them."""
        return self.unconstrained.bijector.forward(self.flow.sample(n, seed=seed))

    def log_prob(self, parts: Any) -> tf.Tensor:
        """Log-density of parts, `[batch]`, in nats."""
        return self.distribution.log_prob(parts)

    def importance_samples(self, n: int = 10_000, seed: int = 0) -> ImportanceSamples:
        """Weighted draws: the log evidence with its error, and how far the weights can be trusted.

        Args:
            n, seed: see `tfflows.evaluate.importance_samples`.

        Returns:
            Those of u; `surrogate.unconstrained.bijector.forward(samples.x)` are the parts.
        """
        return importance_samples(self.flow, self.unconstrained.log_prob, n, seed)

    def sample_chains(
        self,
        num_results: int = 1000,
        *,
        num_burnin_steps: int = 500,
        num_chains: int = 8,
        seed: ArrayLike = 0,
    ) -> Chains:
        """Draws from the exact posterior: the No-U-Turn sampler in the flow's latent space.

        There the posterior is close to a normal density if the flow is close to the posterior, so
        that steps of one size suit all directions. What the flow misses, the chains find, if they
        are long enough.

        Args:
            num_results: draws of each chain that are kept.
            num_burnin_steps: draws before them, in which the size of the steps is found.
            num_chains: chains, which start at draws of the flow.
            seed: of all of them.

        Source: Hoffman et al., "NeuTra-lizing bad geometry in Hamiltonian Monte Carlo using neural
        transport", 2019, https://arxiv.org/abs/1903.03704; Hoffman and Gelman, "The No-U-Turn
        sampler", 2014, https://arxiv.org/abs/1111.4246.
        """
        return sample_chains(
            self.flow, self.unconstrained, num_results, num_burnin_steps, num_chains, seed
        )


def fit_posterior(
    joint: tfd.Distribution,
    *,
    flow: Callable[..., Flow] = IAF,
    optimizer: keras.optimizers.Optimizer | None = None,
    epochs: int = 20,
    steps_per_epoch: int = 100,
    batch_size: int = 128,
    **kwargs,
) -> SurrogatePosterior:
    """Fit a flow to the posterior of a joint distribution, by reverse KL.

        max over q: ELBO = E_q[log p(x, data) - log q(x)] <= log p(data)

    Event shapes, names and constraints are those of the joint distribution. The flow starts at the
    scale of the prior, from draws of it.

    Args:
        joint: a `tfd.JointDistribution` with its data pinned, `joint.experimental_pin(name=data)`.
        flow: the flow, or a function that makes one of the event shape `(size,)` and a keyword
            `dtype`, such as `tfflows.RealNVP`: one without a context. An `IAF` draws in one pass.
        optimizer: `None` for Adam, up to 5e-3 in a tenth of the steps, then down to 0 along half a
            cosine.
        epochs, steps_per_epoch, batch_size, kwargs: as for `tfflows.Flow.fit_to`, which has
            `annealing_epochs` for posteriors of several modes.

    Raises:
        ValueError: for something that is not a joint distribution, is a batch of them, or has parts
            of integers or several dtypes; for a flow of other events; and as `fit_to` does.

    Source: Rezende and Mohamed, "Variational inference with normalizing flows", 2015,
    https://arxiv.org/abs/1505.05770; unconstrained parts: Kucukelbir et al., "Automatic
    differentiation variational inference", 2017, https://arxiv.org/abs/1603.00788.

    Example:
        >>> keras.utils.set_random_seed(0)
        >>> @tfd.JointDistributionCoroutineAutoBatched
        ... def joint():
        ...     rate = yield tfd.Gamma(2.0, 1.0, name="rate")
        ...     yield tfd.Sample(tfd.Poisson(rate), 5, name="counts")
        >>> pinned = joint.experimental_pin(counts=[3.0, 1.0, 4.0, 2.0, 5.0])
        >>> posterior = tfflows.inference.fit_posterior(pinned, epochs=3, verbose=0)
        >>> rate = posterior.sample(4000, seed=0).rate  # a posteriori Gamma(2 + 15, 1 + 5)
        >>> bool(abs(np.mean(rate) - 17 / 6) < 0.05), bool(abs(np.std(rate) - 17**0.5 / 6) < 0.05)
        (True, True)
    """
    target = Unconstrained(joint)
    if not isinstance(flow, Flow):
        flow = flow((target.size,), dtype=target.dtype)
    if flow.event_shape != (target.size,):
        raise ValueError(
            f"The parts of {joint.name} are {target.size} unconstrained numbers, but the events of "
            f"{flow.name} have shape {flow.event_shape}; make it with event_shape ({target.size},)."
        )
    if flow.needs_adapt:
        u = target.prior_sample(_PRIOR_SAMPLES, seed=getrandbits(31)).numpy()
        flow.adapt(u[np.all(np.isfinite(u), axis=1)])
    if optimizer is None:
        # Without a warm-up Adam's first steps throw some draws to where float32 ends.
        steps = epochs * steps_per_epoch
        warmup = steps // 10
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, steps - warmup, warmup_target=5e-3, warmup_steps=warmup
        )
        optimizer = keras.optimizers.Adam(rate, clipnorm=10.0)
    flow.compile(optimizer)
    settings = {"epochs": epochs, "steps_per_epoch": steps_per_epoch, "batch_size": batch_size}
    history = flow.fit_to(target.log_prob, **settings, **kwargs).history
    return SurrogatePosterior(flow, target, history)
