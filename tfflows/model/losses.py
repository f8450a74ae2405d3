"""What training minimises, as values."""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import TYPE_CHECKING

import keras
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.settings import Settings, as_value
from tfflows.layers.continuous import ContinuousLayer
from tfflows.layers.parts import layers_of_kind
from tfflows.layers.passes import Pass
from tfflows.layers.paths import path_of
from tfflows.layers.solves import Costs
from tfflows.random import stateless
from tfflows.random.seeds import own_rows, replica_and_number, stateless_seed

if TYPE_CHECKING:
    from tfflows.flow import Flow


@dataclasses.dataclass(frozen=True)
class Loss(Settings):
    """What a step of `fit` minimises and what it measures, as a value for `Flow.compile`.

    A new one is a frozen dataclass, registered with Keras, that is called as below; `check` says
    which flows it is for, and `metrics` what it reports beside the likelihood.

    Args of a call:
        flow: the flow.
        x, context: as for `Flow.log_prob`; pixels are integers.
        seed: of all noise of the step.
        training: whether it is a step of `fit`; evaluation measures the likelihood.

    Returns:
        A dictionary of numbers per example, `[batch]`, or a number for all: `"loss"`, whose mean is
        minimised, and what metrics are named, `"nll"` for the likelihood.
    """

    def __call__(
        self,
        flow: Flow,
        x: tf.Tensor,
        context: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool = True,
    ) -> dict:
        raise NotImplementedError(f"{type(self).__name__} does not say what is minimised.")

    def check(self, flow: Flow) -> None:
        """Raise `ValueError` if the flow cannot be trained with it."""

    def metrics(self, flow: Flow) -> tuple[str, ...]:
        """Names of the metrics of a flow beside `nll` and `bits_per_dim`, of training or not."""
        return ()


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class NegativeLogLikelihood(Loss):
    """Maximum likelihood: -log p(x) per example, what a flow minimises by itself.

        loss = -log p(x) + a integral |f|^2 dt + b integral |df/dz|^2 dt

    The second and third term are RNODE's penalties, which keep the paths of continuous layers
    straight and their solves short. Flows with such layers report `nfe` and, in training,
    `backward_nfe`, the evaluations of f a batch over all layers, forward and for the gradient; with
    a penalty also `kinetic_energy` and `jacobian_norm`, the two integrals.

    Args:
        kinetic_energy: a, the factor on the integral of |f|^2 in training.
        jacobian_norm: b, that on the integral of the squared Frobenius norm of df/dz.

    Raises:
        ValueError: if one of these is negative; from `compile`, for a penalty on a flow without
            continuous layers.

    Source: Finlay, Jacobsen, Nurbekyan and Oberman, "How to train your neural ODE", 2020,
    https://arxiv.org/abs/2002.02798.

    Example:
        >>> flow = tfflows.FFJORD((2,), hidden=(8,), solver=tfflows.ode.RungeKutta4(2))
        >>> loss = tfflows.training.losses.NegativeLogLikelihood(kinetic_energy=0.1)
        >>> flow.compile(keras.optimizers.Adam(0.01), loss)
        >>> history = flow.fit(np.ones([8, 2], "float32"), verbose=0).history
        >>> sorted(history)
        ['backward_nfe', 'jacobian_norm', 'kinetic_energy', 'loss', 'nfe', 'nll']
    """

    kinetic_energy: float = 0.0
    jacobian_norm: float = 0.0

    def __post_init__(self):
        for name, value in self._penalties.items():
            if not isinstance(value, numbers.Real) or not 0 <= value < math.inf:
                raise ValueError(
                    f"NegativeLogLikelihood's {name} must be a number of at least 0, but found "
                    f"{value!r}."
                )
            object.__setattr__(self, name, float(value))

    @property
    def _penalties(self):
        return {name: getattr(self, name) for name in ("kinetic_energy", "jacobian_norm")}

    def check(self, flow: Flow) -> None:
        if any(self._penalties.values()) and not layers_of_kind(flow.transform, ContinuousLayer):
            raise ValueError(
                f"{self} penalises the paths of continuous layers, but {flow.name} has none."
            )

    def metrics(self, flow: Flow) -> tuple[str, ...]:
        if not layers_of_kind(flow.transform, ContinuousLayer):
            return ()
        return ("nfe", "backward_nfe", *(self._penalties if any(self._penalties.values()) else ()))

    def __call__(
        self,
        flow: Flow,
        x: tf.Tensor,
        context: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool = True,
    ) -> dict[str, tf.Tensor]:
        x, log_q = flow.continuous(x, seed, training)
        # In evaluation the noise of log-dets is that of every other evaluation.
        seed = seed if training else None
        call = Pass(flow.layer_context(context, x), training, seed)
        if self.metrics(flow):  # stacks that record costs are written out
            energies = training and any(self._penalties.values())
            call = call.replace(costs=Costs(energies, flow.count_adjoint if training else None))
        nll = -flow.require_finite(flow.log_prob_pass(x, call) - log_q)
        values = {"loss": nll, "nll": nll}
        return values if call.costs is None else self._with_costs(values, call.costs)

    def _with_costs(self, values, costs):
        evaluations = sum(solve.num_evaluations for solve in costs.solves)
        values["nfe"] = tf.cast(evaluations, tf.float32)
        if costs.energies:
            for name, factor in self._penalties.items():
                values[name] = sum(getattr(solve, name) for solve in costs.solves)
                values["loss"] += factor * values[name]
        return values


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class FlowMatching(Loss):
    """Squared error of f along straight paths from the base to the data, without a solve.

        loss = |f(w, t) - (y - z)|^2,  w = (1 - t) z + t y,  z ~ base,  t ~ U(0, 1)

    For a flow of K continuous layers and then others, `tfflows.FFJORD` of up to one level or one of
    your own. y is x as the last continuous layer returns it, standardised say. Each of K layers
    has its K-th of the path, in which it must be K times as fast, and the loss is their mean.

    It is the start of a likelihood training or instead of it. `fit` logs `flow_matching`, and for
    validation data the likelihood as `NegativeLogLikelihood()`.

    Raises:
        ValueError: from `compile` and the call, if the flow is no such flow.

    Source: Lipman, Chen, Ben-Hamu, Nickel and Le, "Flow matching for generative modeling", 2023,
    https://arxiv.org/abs/2210.02747, section 4.1, with a sigma_min of 0.

    Example:
        >>> flow = tfflows.FFJORD((2,), hidden=(8,))
        >>> loss = tfflows.training.losses.FlowMatching()
        >>> loss(flow, np.ones([8, 2], "float32"), seed=0)["flow_matching"].shape
        TensorShape([8])
    """

    def check(self, flow: Flow) -> None:
        self._path(flow)

    def metrics(self, flow: Flow) -> tuple[str, ...]:
        return ("flow_matching", *NegativeLogLikelihood().metrics(flow))

    def __call__(
        self,
        flow: Flow,
        x: tf.Tensor,
        context: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool = True,
    ) -> dict[str, tf.Tensor]:
        if not training:
            return NegativeLogLikelihood()(flow, x, context, seed, training)
        errors = self._errors(flow, x, context, stateless_seed(seed))
        return {"loss": errors, "flow_matching": errors}

    def _path(self, flow):
        return path_of(flow.transform, f"FlowMatching cannot train {flow.name}: it")

    def _errors(self, flow, x, context, seed):
        blocks, after = self._path(flow)
        y, _ = flow.continuous(x, seed)
        context = flow.layer_context(context, y)
        for layer in reversed(after):
            y, _ = layer.inverse_and_log_det(y, context)
        batch = tf.shape(y)[0]
        z = own_rows(lambda n: flow.draw_base(n, seed + [0, 1]), batch)
        z = tf.reshape(z, tf.shape(y))
        # One draw for the batch, spread evenly: less noise than with one for each example.
        offset = stateless.uniform([], seed + [0, 2], y.dtype)
        replica, num_replicas = replica_and_number()
        row = tf.cast(replica * batch + tf.range(batch), y.dtype)
        t = (offset + row) / tf.cast(num_replicas * batch, y.dtype)
        axes = list(range(1, y.shape.rank))
        errors = []
        for k, block in enumerate(blocks):
            fraction = tf.reshape((k + t) / len(blocks), [-1, *[1] * len(axes)])
            w = (1 - fraction) * z + fraction * y
            start, end = block.interval
            velocity = (
                len(blocks) * (end - start) * block.velocity(w, start + (end - start) * t, context)
            )
            errors.append(tf.reduce_sum((velocity - (y - z)) ** 2, axes))
        return tf.add_n(errors) / len(blocks)


def as_loss(value: tf.Tensor) -> Loss:
    """The loss that `compile` was given: a value, its serialised form or a name of 0.1.0.

    Raises:
        ValueError: if it is none of these.

    Example:
        >>> tfflows.training.losses.as_loss("flow_matching")
        FlowMatching()
    """
    names = {"likelihood": NegativeLogLikelihood(), "flow_matching": FlowMatching()}
    if isinstance(value, str) and value in names:
        return names[value]
    expected = (
        "A flow's loss is a tfflows.training.losses.Loss, such as FlowMatching(), or one of "
        f"{tuple(names)}"
    )
    return as_value(Loss, value, expected)


def mean_over_batch(values: tf.Tensor, sample_weight: ArrayLike | None = None) -> tf.Tensor:
    """A replica's part of the mean over a batch that all replicas share, weighted or not.

    Keras adds the replicas' gradients up.

    Args:
        values: `[batch]`, of this replica, or a number for all examples.
        sample_weight: `[batch]`, `[batch, 1]` or `None`.

    Example:
        >>> values = tf.constant([1.0, 5.0])
        >>> float(tfflows.training.losses.mean_over_batch(values, tf.constant([3.0, 1.0])))
        2.0
    """
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if sample_weight is None or values.shape.rank == 0:
        return tf.reduce_mean(values) / num_replicas
    weights = tf.cast(tf.reshape(sample_weight, [-1]), values.dtype)
    total = tf.reduce_sum(weights)
    if num_replicas > 1:
        total = tf.distribute.get_replica_context().all_reduce("sum", total)
    return tf.math.divide_no_nan(tf.reduce_sum(weights * values), total)
