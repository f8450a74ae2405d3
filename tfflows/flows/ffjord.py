"""FFJORD: continuous flows for vectors and images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfflows.checks.values import as_dtype
from tfflows.flow import Flow
from tfflows.flows.pixels import check_image, with_pixels
from tfflows.flows.vectors import data_layers
from tfflows.layers import (
    Chain,
    ContinuousLayer,
    Costs,
    MultiScale,
    Squeeze,
)
from tfflows.networks import TimeDependentConvNetwork, TimeDependentMLP
from tfflows.random.seeds import own_rows, replica_and_number, stateless_seed

_LOSSES = ("likelihood", "flow_matching")


@keras.saving.register_keras_serializable(package="tfflows")
class FFJORD(Flow):
    """FFJORD: a continuous flow dz/dt = f(z, t), with free-form f.

        z -> K blocks, each an ODE solved over the interval [0, 1] -> data

    Vectors, and images without `levels`, are flattened and standardised as in `RealNVP`, and f is a
    `tfflows.networks.TimeDependentMLP`. With `levels` L, images pass through L levels of [squeeze
    -> K blocks -> half of the channels leave], and f is a `TimeDependentConvNetwork`.

    `compile(optimizer)` trains by maximum likelihood. `compile(optimizer, loss="flow_matching")`
    fits the same f to straight paths from the base to the data, without a solve in training, as
    the start of a likelihood training or instead of it; validation measures the likelihood in both.
    `fit` logs `nfe` and `backward_nfe`, the evaluations of f a batch, over all blocks, forward and
    for the gradient.

    Args:
        event_shape: shape of one example.
        num_blocks: K, for each level.
        hidden: sizes of the hidden layers of each f.
        activation, squash: of each f, see `tfflows.networks.TimeDependentMLP`; the last layer
            starts at zero, so that the flow starts as the identity. `"gelu"` without squash fits
            sharp densities in far fewer steps of flow matching.
        levels: L for images, whose sides 2**L divides; `None` for a flat event.
        solver, rtol, atol, adjoint_rtol, adjoint_atol, training_tolerance, num_steps,
            max_evaluations: see `tfflows.layers.ContinuousLayer`.
        trace: how log-densities are computed, see there; `None` for `"exact"` up to 64 dimensions
            of a block and `"rademacher"` above. An estimate is unbiased in log p, and `log_prob`
            with equal `seed`s gives equal results.
        training_trace: the same in training; `None` for `"rademacher"` where `trace` is exact and
            there are more than 2 dimensions.
        precise: solve in float64 outside of training, see `tfflows.layers.Chain`: for densities so
            sharp that float32 leaves too few digits.
        kinetic_energy, jacobian_norm: factors on RNODE's two penalties in the likelihood's loss,
            the integrals of |f|^2 and of the squared Frobenius norm of df/dz, averaged over
            examples; if one is not 0, `fit` logs both. They keep paths straight, and solves short.
        logit_alpha: for images, see `tfflows.layers.Logit`.
        base, num_bits, context_dim, num_classes, dtype: see `tfflows.Flow`.

    Raises:
        ValueError: if an argument is out of its range or the image cannot be halved that often,
            and as `tfflows.layers.ContinuousLayer` does.

    Source: Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud, "FFJORD", 2019; Finlay, Jacobsen,
    Nurbekyan and Oberman, "How to train your neural ODE", 2020; Lipman, Chen, Ben-Hamu, Nickel and
    Le, "Flow matching for generative modeling", 2023.

    Example:
        >>> flow = tfflows.FFJORD(event_shape=(2,), hidden=(16, 16))
        >>> x, _ = tfflows.data.toy.moons(256)
        >>> flow.compile(keras.optimizers.Adam(0.01), loss="flow_matching")
        >>> history = flow.fit(x, epochs=2, verbose=0)
        >>> flow.trajectory(flow.base.sample(3), times=[0.0, 0.5, 1.0]).shape
        TensorShape([3, 3, 2])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_blocks: int = 1,
        hidden: Sequence[int] = (64, 64, 64),
        activation: str = "tanh",
        squash: bool = True,
        levels: int | None = None,
        solver: str = "dormand_prince",
        rtol: float = 1e-5,
        atol: float = 1e-5,
        adjoint_rtol: float | None = None,
        adjoint_atol: float | None = None,
        training_tolerance: float | None = None,
        num_steps: int = 8,
        max_evaluations: int = 1000,
        trace: str | None = None,
        training_trace: str | None = None,
        precise: bool = False,
        kinetic_energy: float = 0.0,
        jacobian_norm: float = 0.0,
        logit_alpha: float = 0.05,
        base: str = "normal",
        num_bits: int | None = None,
        context_dim: int | None = None,
        num_classes: int | None = None,
        dtype: str = "float32",
        **kwargs,
    ):
        event_shape = tuple(int(size) for size in event_shape)
        if num_blocks < 1:
            raise ValueError(f"num_blocks must be at least 1, but found {num_blocks}.")
        for name, value in (("kinetic_energy", kinetic_energy), ("jacobian_norm", jacobian_norm)):
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0, but found {value}.")
        self._hyper_parameters = {
            "num_blocks": num_blocks,
            "hidden": [int(units) for units in hidden],
            "activation": activation,
            "squash": squash,
            "levels": levels,
            "solver": solver,
            "rtol": rtol,
            "atol": atol,
            "adjoint_rtol": adjoint_rtol,
            "adjoint_atol": adjoint_atol,
            "training_tolerance": training_tolerance,
            "num_steps": num_steps,
            "max_evaluations": max_evaluations,
            "trace": trace,
            "training_trace": training_trace,
            "precise": precise,
            "kinetic_energy": float(kinetic_energy),
            "jacobian_norm": float(jacobian_norm),
            "logit_alpha": logit_alpha,
        }
        if levels is None:
            blocks = self._make_blocks((math.prod(event_shape),), dtype)
            layers = [*blocks, *data_layers(event_shape, num_bits, logit_alpha, dtype)]
        else:
            layers = self._image_layers(event_shape, num_bits, logit_alpha, dtype)
        transform = Chain(layers, precise=precise, dtype=dtype)
        super().__init__(
            transform, event_shape, base, num_bits, context_dim, num_classes, dtype, **kwargs
        )
        self._flow_matching = keras.metrics.Mean("flow_matching")
        self._nfe = keras.metrics.Mean("nfe")
        self._backward_nfe = keras.metrics.Mean("backward_nfe")
        self._kinetic_energy = keras.metrics.Mean("kinetic_energy")
        self._jacobian_norm = keras.metrics.Mean("jacobian_norm")

    def _make_blocks(self, shape: tuple[int, ...], dtype: str, first_seed: int = 0):
        """The blocks of a level, base first, each with noise of its own."""
        settings = self._hyper_parameters
        network = TimeDependentMLP if len(shape) == 1 else TimeDependentConvNetwork
        names = ("solver", "rtol", "atol", "adjoint_rtol", "adjoint_atol", "training_tolerance")
        solve = {name: settings[name] for name in (*names, "num_steps", "max_evaluations")}
        size = math.prod(shape)
        trace = settings["trace"] or ("exact" if size <= 64 else "rademacher")
        estimate = "rademacher" if trace == "exact" and size > 2 else trace
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
                trace=trace,
                training_trace=settings["training_trace"] or estimate,
                seed=first_seed + i,
                dtype=dtype,
                **solve,
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
        is_flat = self._hyper_parameters["levels"] is None
        chains = [self.transform] if is_flat else self.transform.layers[0].levels
        layers = [layer for chain in chains for layer in chain.layers]
        return [layer for layer in layers if isinstance(layer, ContinuousLayer)]

    def _layers_after_blocks(self, purpose):
        """From the last block to the data."""
        levels = self._hyper_parameters["levels"]
        if levels is None:
            return self.transform.layers[self._hyper_parameters["num_blocks"] :]
        if levels > 1:
            raise ValueError(
                f"{purpose} needs a flow of one level, but {self.name} has {levels}, whose parts "
                "of z take paths of different lengths."
            )
        return [self.transform.layers[0].levels[0].layers[-1], *self.transform.layers[1:]]

    # Paths between the base and the data.

    def trajectory(self, z, times: Sequence[float], context=None):
        """Where latents are at given times, `[len(times), batch, *event_shape]`.

        Args:
            z: latents, `[batch, *latent_shape]`.
            times: rising, from 0 (the base) to 1 (the data); the blocks share them equally.
            context: as for `decode`.

        Raises:
            ValueError: if the times do not rise within [0, 1], or the flow has several levels.
        """
        after = self._layers_after_blocks("A trajectory")
        times = np.asarray(times, "float64")
        rises = times.ndim == 1 and len(times) > 0 and np.all(np.diff(times) > 0)
        if not rises or times[0] < 0 or times[-1] > 1:
            raise ValueError(f"A trajectory needs rising times in [0, 1], but found {times}.")
        blocks = self.blocks
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

    def flow_matching_loss(self, x, context=None, seed=None):
        """Squared error of f along straight paths, one number per example, `[batch]`.

            |f(w, t) - (y - z)|^2,  w = (1 - t) z + t y,  z ~ base,  t ~ U(0, 1)

        y is x as the last block returns it, standardised say. With K blocks each has its K-th of
        the path, in which it must be K times as fast, and the result is their mean.

        Args:
            x, context: as for `log_prob`.
            seed: of z, t and the dequantisation noise; `None` for new ones at each call.

        Raises:
            ValueError: if the flow has several levels, and as `log_prob` does.

        Source: Lipman, Chen, Ben-Hamu, Nickel and Le, "Flow matching for generative modeling",
        2023, section 4.1, with a sigma_min of 0.
        """
        after = self._layers_after_blocks("Flow matching")
        seed = stateless_seed(seed)
        y, _ = self.continuous(x, seed)
        context = self.layer_context(context, y)
        for layer in reversed(after):
            y, _ = layer.inverse_and_log_det(y, context)
        batch = tf.shape(y)[0]
        z = own_rows(lambda n: self.draw_base(n, seed + [0, 1]), batch)
        z = tf.reshape(z, tf.shape(y))
        # One draw for the batch, spread evenly: less noise than with one for each example.
        offset = tf.random.stateless_uniform([], seed + [0, 2], dtype=y.dtype, alg="philox")
        replica, num_replicas = replica_and_number()
        row = tf.cast(replica * batch + tf.range(batch), y.dtype)
        t = (offset + row) / tf.cast(num_replicas * batch, y.dtype)
        axes = list(range(1, y.shape.rank))
        errors = []
        for k, block in enumerate(self.blocks):
            fraction = tf.reshape((k + t) / len(self.blocks), [-1, *[1] * len(axes)])
            w = (1 - fraction) * z + fraction * y
            velocity = len(self.blocks) * block.velocity(w, t, context)
            errors.append(tf.reduce_sum((velocity - (y - z)) ** 2, axes))
        return tf.add_n(errors) / len(self.blocks)

    # Keras's side.

    def compile(self, optimizer="rmsprop", loss: str = "likelihood", **kwargs):
        """Configure `fit`; `loss` is `"likelihood"` or `"flow_matching"`, the rest Keras's.

        Raises:
            ValueError: for another loss.
        """
        if loss not in _LOSSES:
            raise ValueError(f"FFJORD's loss must be one of {_LOSSES}, but found {loss!r}.")
        if loss == "flow_matching":
            self._layers_after_blocks("Flow matching")
        super().compile(optimizer, **kwargs)
        # Not handed to Keras, which would trace a solve at each fit to build a loss of its own.
        self.loss = loss

    def get_compile_config(self):
        config = super().get_compile_config()
        return {**config, "loss": self.loss} if config else config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def step_values(self, x, context, seed, training, costs=None):
        if training and self.loss == "flow_matching":
            self._check_pixels_dtype(x)
            loss = self.flow_matching_loss(x, context, seed)
            return {"loss": loss, "flow_matching": loss}
        settings = self._hyper_parameters
        penalties = {name: settings[name] for name in ("kinetic_energy", "jacobian_norm")}
        costs = Costs(
            energies=training and any(penalties.values()),
            on_adjoint=self._count_adjoint if training else None,
        )
        values = super().step_values(x, context, seed, training, costs)
        values["nfe"] = tf.cast(sum(solve.num_evaluations for solve in costs.solves), tf.float32)
        if costs.energies:
            for name, factor in penalties.items():
                values[name] = sum(getattr(solve, name) for solve in costs.solves)
                values["loss"] += factor * values[name]
        return values

    def _count_adjoint(self, num_evaluations):
        self._backward_nfe.update_state(len(self.blocks) * num_evaluations)

    def train_step(self, data):
        results = super().train_step(data)
        if self.loss != "flow_matching":
            results |= self._logs({"backward_nfe": self._backward_nfe.result()})
        return results

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if "nll" in y_pred:
            super().compute_metrics(x, y, y_pred, sample_weight)
        else:
            self._flow_matching.update_state(y_pred["flow_matching"], sample_weight)
        for name in ("nfe", "kinetic_energy", "jacobian_norm"):
            if name in y_pred:
                getattr(self, f"_{name}").update_state(y_pred[name])
        names = [name for name in y_pred if name != "loss"]
        return self._results(
            *names, *(["bits_per_dim"] if self.num_bits and "nll" in names else [])
        )

    def _results(self, *names):
        """What was measured: the other metrics would read 0."""
        results = self.get_metrics_result()
        return {name: results[name] for name in ("loss", *names)}

    def get_config(self):
        return {**self._hyper_parameters, **self._flow_config()}
