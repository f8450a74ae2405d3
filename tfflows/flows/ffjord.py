"""FFJORD: continuous flows for vectors and images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import as_dtype
from tfflows.flow import Flow
from tfflows.flows.pixels import check_image, with_pixels
from tfflows.flows.vectors import data_layers
from tfflows.layers import (
    Chain,
    ContinuousLayer,
    ExactTrace,
    Hutchinson,
    MultiScale,
    Squeeze,
    Trace,
)
from tfflows.layers.old_spellings import with_solver, with_traces
from tfflows.layers.parts import layers_of_kind
from tfflows.layers.paths import path_of
from tfflows.layers.traces import checked_trace
from tfflows.model.losses import NegativeLogLikelihood
from tfflows.networks import TimeDependentConvNetwork, TimeDependentMLP
from tfflows.ode import DormandPrince, Solver


@keras.saving.register_keras_serializable(package="tfflows")
class FFJORD(Flow):
    """FFJORD: a continuous flow dz/dt = f(z, t), with free-form f.

        z -> K blocks, each an ODE solved over the interval [0, 1] -> data

    Vectors, and images without `levels`, are flattened and standardised as in `RealNVP`, and f is a
    `tfflows.networks.TimeDependentMLP`. With `levels` L, images pass through L levels of [squeeze
    -> K blocks -> half of the channels leave], and f is a `TimeDependentConvNetwork`.

    `compile(optimizer)` trains by maximum likelihood, with RNODE's penalties if it is given
    `tfflows.training.losses.NegativeLogLikelihood(kinetic_energy, jacobian_norm)`;
    `compile(optimizer, tfflows.training.losses.FlowMatching())` fits the same f to straight paths
    from the base to the data, without a solve in training, as the start of a likelihood training or
    instead of it. `fit` logs `nfe` and `backward_nfe`, the evaluations of f a batch, over all
    blocks, forward and for the gradient.

    Args:
        event_shape: shape of one example.
        num_blocks: K, for each level.
        hidden: sizes of the hidden layers of each f.
        activation, squash: of each f, see `tfflows.networks.TimeDependentMLP`; the last layer
            starts at zero, so that the flow starts as the identity. `"gelu"` without squash fits
            sharp densities in far fewer steps of flow matching.
        levels: L for images, whose sides 2**L divides; `None` for a flat event.
        solver: a `tfflows.ode.Solver`, see `tfflows.layers.ContinuousLayer`.
        trace: how log-densities are computed, see there; `None` for `ExactTrace()` up to 64
            dimensions of a block and `Hutchinson()` above. An estimate is unbiased in log p, and
            `log_prob` with equal `seed`s gives equal results.
        training_trace: the same in training; `None` for `Hutchinson()` where `trace` is exact and
            there are more than 2 dimensions.
        precise: solve in float64 outside of training, see `tfflows.layers.Chain`: for densities so
            sharp that float32 leaves too few digits.
        logit_alpha: for images, see `tfflows.layers.Logit`.
        flow_settings: `base`, `num_bits`, `context_dim`, `num_classes`, `dtype` and what else
            `tfflows.Flow` takes.

    Raises:
        ValueError: if an argument is out of its range or the image cannot be halved that often,
            and as `tfflows.layers.ContinuousLayer` does.

    Source: Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud, "FFJORD", 2019,
    https://arxiv.org/abs/1810.01367.

    Example:
        >>> flow = tfflows.FFJORD(event_shape=(2,), hidden=(16, 16))
        >>> x, _ = tfflows.data.toy.moons(256)
        >>> flow.compile(keras.optimizers.Adam(0.01), tfflows.training.losses.FlowMatching())
        >>> history = flow.fit(x, epochs=2, verbose=0)
        >>> flow.trajectory(flow.base.sample(3), times=[0.0, 0.5, 1.0]).shape
        TensorShape([3, 3, 2])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        num_blocks: int = 1,
        hidden: Sequence[int] = (64, 64, 64),
        activation: str = "tanh",
        squash: bool = True,
        levels: int | None = None,
        solver: Solver = DormandPrince(),
        trace: Trace | None = None,
        training_trace: Trace | None = None,
        precise: bool = False,
        logit_alpha: float = 0.05,
        **flow_settings,
    ):
        event_shape = tuple(int(size) for size in event_shape)
        if num_blocks < 1:
            raise ValueError(f"num_blocks must be at least 1, but found {num_blocks}.")
        self._hyper_parameters = {
            "num_blocks": num_blocks,
            "hidden": [int(units) for units in hidden],
            "activation": activation,
            "squash": squash,
            "levels": levels,
            "solver": solver,
            "trace": checked_trace("trace", trace),
            "training_trace": checked_trace("training_trace", training_trace),
            "precise": precise,
            "logit_alpha": logit_alpha,
        }
        dtype, num_bits = flow_settings.get("dtype", "float32"), flow_settings.get("num_bits")
        if levels is None:
            blocks = self._make_blocks((math.prod(event_shape),), dtype)
            layers = [*blocks, *data_layers(event_shape, num_bits, logit_alpha, dtype)]
        else:
            layers = self._image_layers(event_shape, num_bits, logit_alpha, dtype)
        transform = Chain(layers, precise=precise, dtype=dtype)
        super().__init__(transform, event_shape, **flow_settings)

    def _make_blocks(self, shape: tuple[int, ...], dtype: str, first_seed: int = 0):
        """The blocks of a level, base first, each with noise of its own."""
        settings = self._hyper_parameters
        network = TimeDependentMLP if len(shape) == 1 else TimeDependentConvNetwork
        size = math.prod(shape)
        trace = settings["trace"] or (ExactTrace() if size <= 64 else Hutchinson())
        estimate = Hutchinson() if trace == ExactTrace() and size > 2 else trace
        return [
            ContinuousLayer(
                network(
                    shape[-1],
                    settings["hidden"],
                    settings["activation"],
                    settings["squash"],
                    zero_output=True,
                    # A solver cannot follow an f of low precision.
                    dtype=dtype,
                ),
                solver=settings["solver"],
                trace=trace,
                training_trace=settings["training_trace"] or estimate,
                seed=first_seed + i,
                dtype=dtype,
            )
            for i in range(settings["num_blocks"])
        ]

    def _image_layers(self, event_shape, num_bits, logit_alpha, dtype):
        levels = self._hyper_parameters["levels"]
        if levels < 1:
            raise ValueError(f"levels must be at least 1, but found {levels}.")
        check_image("FFJORD", event_shape, 2**levels)
        chains = []
        for level in range(levels):
            channels = event_shape[-1] * 2 ** (levels - level + 1)
            sides = [side // 2 ** (levels - level) for side in event_shape[:2]]
            first_seed = level * self._hyper_parameters["num_blocks"]
            blocks = self._make_blocks((*sides, channels), dtype, first_seed)
            chains.append(Chain([*blocks, Squeeze(dtype=dtype)], dtype=dtype))
        multiscale = MultiScale(chains, event_shape, dtype=dtype)
        return with_pixels(multiscale, num_bits, logit_alpha, dtype).layers

    @property
    def blocks(self) -> list[ContinuousLayer]:
        """All blocks, base first."""
        return layers_of_kind(self.transform, ContinuousLayer)

    def trajectory(
        self, z: ArrayLike, times: Sequence[float], context: ArrayLike | None = None
    ) -> tf.Tensor:
        """Where latents are at given times, `[len(times), batch, *event_shape]`.

        Args:
            z: latents, `[batch, *latent_shape]`.
            times: rising, from 0 (the base) to 1 (the data); the blocks share them equally.
            context: as for `decode`.

        Raises:
            ValueError: if the times do not rise within [0, 1], or the flow has several levels.
        """
        blocks, after = path_of(self.transform, f"A trajectory of {self.name}")
        times = np.asarray(times, "float64")
        rises = times.ndim == 1 and len(times) > 0 and np.all(np.diff(times) > 0)
        if not rises or times[0] < 0 or times[-1] > 1:
            raise ValueError(f"A trajectory needs rising times in [0, 1], but found {times}.")
        value = tf.reshape(as_dtype(z, self.compute_dtype), [-1, *blocks[0].latent_shape])
        context = self.layer_context(context, value)
        states = [value[tf.newaxis]] if times[0] == 0 else []
        for k, block in enumerate(blocks):
            local = times * len(blocks) - k
            stops = local[(local > 0) & (local <= 1)]
            path = block.trajectory(value, np.union1d([0.0, 1.0], stops), context)
            value = path[-1]
            states.append(path[1 : 1 + len(stops)])
        states = tf.concat(states, axis=0)
        points = tf.reshape(states, [-1, *states.shape[2:]])
        if context is not None:
            context = tf.tile(context, [len(times), 1])
        for layer in after:
            points, _ = layer.forward_and_log_det(points, context)
        return tf.reshape(points, [len(times), -1, *self.event_shape])

    # Keras's side.

    def get_config(self):
        penalties = {
            name: value for name, value in self._default_loss.get_config().items() if value
        }
        return {**super().get_config(), **penalties}

    @classmethod
    def from_config(cls, config):
        config = with_traces(with_solver(config))
        # What 0.1.0 gave to the flow is the loss's.
        names = [field for field in NegativeLogLikelihood().get_config() if field in config]
        penalties = {name: config.pop(name) for name in names}
        flow = super().from_config(config)
        flow._default_loss = NegativeLogLikelihood(**penalties)
        return flow
