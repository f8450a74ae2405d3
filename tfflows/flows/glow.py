"""Glow."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from tfflows.flow import Flow
from tfflows.flows.pixels import (
    check_image,
    convolution_prior,
    factored_prior,
    network_dtype,
    per_level,
    position_prior,
    with_pixels,
)
from tfflows.flows.steps import repeated
from tfflows.layers import (
    ActNorm,
    Chain,
    Conv1x1,
    Coupling,
    InvertibleLayer,
    LearnedPrior,
    MultiScale,
    Permutation,
    Reverse,
    Squeeze,
)
from tfflows.networks import ConvNetwork
from tfflows.transformers import Affine, Shift, SigmoidAffine

_PERMUTATIONS = ("conv1x1", "shuffle", "reverse")
_COUPLINGS = ("affine", "additive")
_PRIORS = ("network", "convolution")


@keras.saving.register_keras_serializable(package="tfflows")
class Glow(Flow):
    """Glow: a multi-scale stack of actnorm, invertible 1x1 convolution and coupling.

        data -> L levels of [squeeze -> K steps -> half of the channels leave] -> z
        a step, in that direction: actnorm -> 1x1 convolution -> coupling on half of the channels

    Level 0 is the coarsest, next to the base, as in `tfflows.layers.MultiScale`, which is
    `flow.multiscale`. What leaves at a level has a Gaussian prior that depends on what goes on; the
    coarsest level's prior is learned too, per channel, and depends on the context. ActNorm starts
    from 256 examples, which `fit` takes from its data if `adapt` was not called.

    Args:
        event_shape: (height, width, channels); 2**levels divides height and width.
        levels: L.
        steps: K, or one number a level, coarsest first.
        width: channels of the hidden layers of the couplings' networks, or one number a level,
            coarsest first. The networks compute in Keras's global dtype policy, the rest in
            `dtype`.
        coupling: `"affine"` or `"additive"`.
        permutation: of the channels, `"conv1x1"`, `"shuffle"` (fixed and random) or `"reverse"`.
        parameterization: of the 1x1 convolutions, see `tfflows.layers.Conv1x1`.
        log_scale_bound: of the affine couplings; `None` is the paper's scale, sigmoid(h + 2), which
            keeps deep stacks from blowing up.
        prior: `"network"`, or `"convolution"` as in OpenAI's code: the factored-out parts' mean and
            log-scale are one convolution (without a bound), and the coarsest level's prior has its
            own at each position.
        prior_width: channels of the hidden layers of the factored-out parts' priors, if networks.
        learned_prior: whether the coarsest level has a prior of its own.
        logit_alpha: model the logit of the pixels, see `tfflows.layers.Logit`; `None` for
            the pixels themselves.
        squeeze_order: see `tfflows.layers.Squeeze`.
        edge_bias: see `tfflows.networks.ConvNetwork`.
        num_bits, dtype, flow_settings: see `tfflows.Flow`, which takes `base`, `context_dim`,
            `num_classes` and more.

    Raises:
        ValueError: if an argument is out of its range or the image cannot be halved that often.

    Source: Kingma and Dhariwal, "Glow: Generative flow with invertible 1x1 convolutions", 2018.

    Example:
        >>> flow = tfflows.Glow((8, 8, 3), levels=2, steps=1, width=8, prior_width=8, num_bits=8)
        >>> flow.sample(2, temperature=0.7, seed=0).shape
        TensorShape([2, 8, 8, 3])
        >>> flow.multiscale.part_shapes
        [(2, 2, 24), (4, 4, 6)]
    """

    adapt_examples = 256

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        levels: int = 3,
        steps: int | Sequence[int] = 8,
        width: int | Sequence[int] = 128,
        coupling: str = "affine",
        permutation: str = "conv1x1",
        parameterization: str = "lu",
        log_scale_bound: float | None = None,
        prior: str = "network",
        prior_width: int = 32,
        learned_prior: bool = True,
        logit_alpha: float | None = None,
        squeeze_order: str = "space_to_depth",
        edge_bias: bool = False,
        num_bits: int | None = None,
        dtype: str = "float32",
        **flow_settings,
    ):
        event_shape = tuple(int(size) for size in event_shape)
        if levels < 1:
            raise ValueError(f"levels must be at least 1, but found {levels}.")
        if coupling not in _COUPLINGS:
            raise ValueError(f"coupling must be one of {_COUPLINGS}, but found {coupling!r}.")
        if permutation not in _PERMUTATIONS:
            raise ValueError(
                f"permutation must be one of {_PERMUTATIONS}, but found {permutation!r}."
            )
        if prior not in _PRIORS:
            raise ValueError(f"prior must be one of {_PRIORS}, but found {prior!r}.")
        check_image("Glow", event_shape, 2**levels)
        steps = per_level("steps", steps, levels)
        widths = per_level("width", width, levels)
        chains = []
        for level in range(levels):
            channels = event_shape[-1] * 2 ** (levels - level + 1)
            sides = [side // 2 ** (levels - level) for side in event_shape[:2]]
            layers = self._prior((*sides, channels), dtype, level)
            layers += self._steps(steps[level], channels, widths[level], dtype)
            chains.append(Chain([*layers, Squeeze(squeeze_order, dtype=dtype)], dtype=dtype))
        multiscale = MultiScale(chains, event_shape, dtype=dtype)
        super().__init__(
            with_pixels(multiscale, num_bits, logit_alpha, dtype),
            event_shape,
            num_bits=num_bits,
            dtype=dtype,
            **flow_settings,
        )

    def _prior(self, shape: tuple[int, ...], dtype: str, level: int) -> list[InvertibleLayer]:
        """The latent end of a level: the prior of half of the channels, at level 0 of all."""
        settings = self._arguments.value
        is_network = settings["prior"] == "network"
        if level > 0 and is_network:
            return [factored_prior(shape[-1], settings["prior_width"], dtype)]
        if level > 0:
            return [convolution_prior(shape[-1], dtype)]
        if not settings["learned_prior"]:
            return []
        return [LearnedPrior(dtype=dtype)] if is_network else position_prior(shape, dtype)

    def _steps(self, n: int, channels: int, width: int, dtype: str) -> list[InvertibleLayer]:
        """All steps of flow of a level, from the base to the data."""
        if self._arguments.value["permutation"] != "shuffle":
            return repeated(self._step(channels, width, dtype), n, dtype)
        # No two of them have the same order.
        steps = [self._step(channels, width, dtype, step) for step in range(n)]
        return [layer for step in steps for layer in step]

    def _step(self, channels: int, width: int, dtype: str, step: int = 0) -> list[InvertibleLayer]:
        """One step of flow, from the base to the data."""
        settings = self._arguments.value
        if settings["coupling"] == "additive":
            transformer = Shift()
        elif settings["log_scale_bound"] is None:
            transformer = SigmoidAffine()
        else:
            transformer = Affine(settings["log_scale_bound"])
        network = ConvNetwork(
            transformer.num_parameters * channels // 2,
            width,
            zero_output=True,
            edge_bias=settings["edge_bias"],
            dtype=network_dtype(dtype),
        )
        if settings["permutation"] == "conv1x1":
            permutation = Conv1x1(settings["parameterization"], dtype=dtype)
        elif settings["permutation"] == "reverse":
            permutation = Reverse(dtype=dtype)
        else:
            order = np.random.default_rng([step, channels]).permutation(channels)
            permutation = Permutation(order, dtype=dtype)
        coupling = Coupling(transformer, network, "half", dtype=dtype)
        return [coupling, permutation, ActNorm(dtype=dtype)]

    @property
    def multiscale(self) -> MultiScale:
        """The `tfflows.layers.MultiScale` of this flow, which sees z level by level."""
        return self.transform.layers[0]
