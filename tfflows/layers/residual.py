"""Invertible residual blocks."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.settings import as_value, serialized
from tfflows.layers.base import InvertibleLayer, zero_log_det
from tfflows.layers.fixed_point import solve_contraction
from tfflows.layers.log_det import Exact, LogDetEstimator, Roulette
from tfflows.layers.old_spellings import with_estimators
from tfflows.layers.passes import Pass
from tfflows.layers.second_order import once_differentiable
from tfflows.networks import LipschitzNetwork

# Of the inverse in float32, whose last iterations are in float64. An error of x is at most
# 1 / (1 - c) times as large: for c = 0.97, half of float32's last place.
_TOLERANCE = 1e-9


@keras.saving.register_keras_serializable(package="tfflows")
class ResidualBlock(InvertibleLayer):
    """Residual block whose network is a contraction.

        inverse:  z = x + g(x)
        forward:  x <- z - g(x), until x + g(x) = z
        log-det:  log|det(I + dg/dx)| of the inverse, as an estimator computes it

    The density needs g once, and sampling needs it some ten to some hundred times; the gradient of
    samples is that of the implicit function x(z), whose linear equation is solved by the same
    iteration; second derivatives of samples, and of estimated log-dets, are refused. In training
    the log-det has new random numbers at each call, from TensorFlow's global generator. Otherwise
    they come from `seed`, are the same for all examples, and make the log-det a function of x;
    which estimator that is, `evaluation` says. With a seed each example has random numbers that
    follow from it, with row seeds from its own; see `tfflows.layers.Pass`.

    Float64 values for a float32 block, as a precise `tfflows.layers.Chain` hands on, are mapped in
    float64, with the log-det in float32.

    Args:
        network: g, a `tfflows.networks.LipschitzNetwork`.
        estimator: of the log-det in training, a `tfflows.layers.LogDetEstimator`: `Exact()`,
            `Truncated(terms)` or `Roulette(terms)`.
        evaluation: of the log-det elsewhere.
        seed: of the random numbers of `evaluation`.
        tolerance: of the inverse: largest |x + g(x) - z| in units of max(1, |z|), by the largest
            element of each example; `None` for as small as rounding allows, and in float32 for
            1e-9, with last iterations in float64. The error of x is up to 1 / (1 - c) times that,
            c the network's coefficient.
        max_iterations: evaluations of g to reach it, at most, in each precision.

    Raises:
        ValueError: if an argument is out of its range; from the forward map, if the iteration
            does not reach the tolerance (in a graph `tf.errors.InvalidArgumentError`).

    Source: Behrmann, Grathwohl, Chen, Duvenaud and Jacobsen, "Invertible residual networks",
    2019; Chen, Behrmann, Duvenaud and Jacobsen, "Residual flows for invertible generative
    modeling", 2019.

    Example:
        >>> network = tfflows.networks.LipschitzNetwork(hidden=(16,), coefficient=0.9)
        >>> layer = tfflows.layers.ResidualBlock(network)
        >>> x = tf.random.normal([5, 2])
        >>> z, log_det = layer.inverse_and_log_det(x)
        >>> bool(tf.reduce_max(tf.abs(layer(z) - x)) < 1e-5)
        True
    """

    def __init__(
        self,
        network: LipschitzNetwork,
        estimator: LogDetEstimator = Roulette(),
        evaluation: LogDetEstimator = Exact(),
        seed: int = 0,
        tolerance: float | None = None,
        max_iterations: int = 1000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(network, LipschitzNetwork):
            raise ValueError(
                f"ResidualBlock takes a LipschitzNetwork, which is a contraction, but found "
                f"{network!r}."
            )
        if network.compute_dtype != self.compute_dtype:
            raise ValueError(
                f"ResidualBlock computes in {self.compute_dtype}, but its network has dtype "
                f"{network.compute_dtype}; give both the same dtype."
            )
        if tolerance is not None and not tolerance > 0:
            raise ValueError(f"ResidualBlock needs a positive tolerance, but found {tolerance}.")
        if max_iterations < 1:
            raise ValueError(
                f"ResidualBlock needs max_iterations of at least 1, but found {max_iterations}."
            )
        self.network = network
        self.estimator = checked_estimator("estimator", estimator)
        self.evaluation = checked_estimator("evaluation", evaluation)
        self.seed = int(seed)
        self.tolerance = None if tolerance is None else float(tolerance)
        self.max_iterations = int(max_iterations)

    def build(self, z_shape, context_shape=None):
        if not self.network.built:
            self.network.build(z_shape, context_shape)
        super().build(z_shape, context_shape)

    def adapt(self, x: ArrayLike, context: ArrayLike | None = None) -> tf.Tensor:
        call = Pass(context)
        x = self._checked(x, "x", call)
        return x + self._residual(self._parameters(call), context, x.dtype)(x)

    @property
    def log_det_estimator(self) -> str | None:
        return None if self.evaluation == Exact() else str(self.evaluation)

    def _inverse(self, x, call):
        sources = x, self._parameters(call), call.context
        if call.log_dets and self._estimator(call) != Exact():
            return self._once(self._inverse_of, sources, call, "estimated log-det,")
        return self._inverse_of(*sources, call)

    def _forward(self, z, call):
        sources = z, self._parameters(call), call.context
        return self._once(self._forward_of, sources, call, "forward map, a search,")

    def _once(self, direction, sources, call, what):
        """A direction of these sources, which has no second derivatives."""
        value, parameters, context = sources
        nest = value, parameters, [] if context is None else [context]

        def function(*flat):
            value, parameters, contexts = tf.nest.pack_sequence_as(nest, flat)
            return direction(value, parameters, contexts[0] if contexts else None, call)

        owner = f"ResidualBlock '{self.name}', because of its {what}"
        return once_differentiable(function, tf.nest.flatten(nest), owner)

    def _inverse_of(self, x, parameters, context, call):
        own = tf.cast(x, self.variable_dtype)
        residual = self._residual(parameters, context, own.dtype)
        if call.costs is not None:
            call.costs.contractions.append((residual, own))
        if x.dtype == own.dtype:
            g, log_det = self._value_and_log_det(residual, x, call)
            return x + g, log_det
        z = x + self._residual(parameters, context, x.dtype)(x)
        if not call.log_dets:
            return z, zero_log_det(x)
        _, log_det = self._value_and_log_det(residual, own, call)
        return z, tf.cast(log_det, x.dtype)

    def _forward_of(self, z, parameters, context, call):
        own = tf.cast(z, self.variable_dtype)
        residual, size = self._residual(parameters, context, own.dtype), _size(own, 1.0)
        if self.tolerance is None and own.dtype == tf.float32:
            precise, wide = self._residual(parameters, context, tf.float64), tf.cast(z, tf.float64)
            x = self._solve(precise, wide, size, _TOLERANCE, "inverse", residual)
        else:
            x = self._solve(residual, own, size, self.tolerance, "inverse")
        x = self._with_gradient(tf.cast(x, z.dtype), z, parameters, context)
        if not call.log_dets:
            return x, zero_log_det(x)
        _, log_det = self._value_and_log_det(residual, tf.cast(x, own.dtype), call)
        return x, -tf.cast(log_det, x.dtype)

    def _with_gradient(self, x, z, parameters, context):
        """x, with the gradient of the implicit function that x + g(x) = z makes of it."""
        # A copy: the gradient of a loop takes no constant of eager mode from its surroundings.
        sources = parameters, [] if context is None else [tf.identity(context)]

        @tf.custom_gradient
        def solution(*_):
            def gradient(u):
                # Copies: without, gradients through a stack's loop miss most of the weights.
                own, b = (tf.identity(tf.cast(value, self.variable_dtype)) for value in (x, u))
                parameters, contexts = copies = tf.nest.map_structure(tf.identity, sources)
                with tf.GradientTape(persistent=True) as tape:
                    tape.watch([own, *tf.nest.flatten(copies)])
                    context = contexts[0] if contexts else None
                    g = self._residual(parameters, context, own.dtype)(own)
                # w + J^T w = u, J the Jacobian of g at x.
                what = "inverse's gradient"
                w = self._solve(
                    lambda w: tape.gradient(g, own, w), b, _size(b), self.tolerance, what
                )
                return tf.cast(w, u.dtype), *tape.gradient(g, tf.nest.flatten(copies), -w)

            return tf.identity(x), gradient

        return solution(z, *tf.nest.flatten(sources))

    def _parameters(self, call):
        if not call.constants:
            return self.network.parameters(call.training)
        with tf.init_scope():
            values = tf.nest.map_structure(np.asarray, self.network.parameters())
        return tf.nest.map_structure(tf.constant, values)

    def _residual(self, parameters, context, dtype):
        """g in a dtype, as a function of x and of how often the context's batch is repeated."""
        parameters = tf.nest.map_structure(lambda value: tf.cast(value, dtype), parameters)
        context = None if context is None else tf.cast(context, dtype)
        g = self.network.function(parameters)

        def residual(x, repeats=1):
            condition = context
            if context is not None and repeats > 1:
                condition = tf.tile(context, [repeats, 1])
            return g(x, condition)

        return residual

    def _estimator(self, call):
        return self.estimator if call.training else self.evaluation

    def _value_and_log_det(self, residual, x, call):
        if not call.log_dets:
            return residual(x), zero_log_det(x)
        estimator = self._estimator(call)
        # Blocks of one flow have different seeds.
        return estimator.log_det(residual, x, *estimator.noise(x, call, self.seed))

    def _solve(self, function, b, scale, tolerance, what, rough=None):
        what = f"The {what} of ResidualBlock '{self.name}'"
        return solve_contraction(function, b, scale, tolerance, self.max_iterations, what, rough)

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "estimator": serialized(self.estimator),
            "evaluation": serialized(self.evaluation),
            "seed": self.seed,
            "tolerance": self.tolerance,
            "max_iterations": self.max_iterations,
        }

    @classmethod
    def from_config(cls, config):
        config = with_estimators(config)
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})


def checked_estimator(name: str, value) -> LogDetEstimator:
    """The estimator that an argument of a name is, as itself or in Keras's serialised form.

    Raises:
        ValueError: if it is neither.
    """
    expected = f"{name} is a tfflows.layers.LogDetEstimator, such as Roulette()"
    return as_value(LogDetEstimator, value, expected)


def _size(value, minimum=0.0):
    """Largest |element| of each example, `[batch]`."""
    largest = tf.reduce_max(tf.abs(value), list(range(1, value.shape.rank)))
    return tf.maximum(largest, tf.constant(minimum, value.dtype))
