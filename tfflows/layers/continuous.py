"""Continuous flows: the solution of an ordinary differential equation as an invertible layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.settings import as_value, serialized
from tfflows.checks.values import require_keras_layer
from tfflows.layers.base import InvertibleLayer, zero_log_det
from tfflows.layers.old_spellings import refuse_solver_settings, with_solver, with_traces
from tfflows.layers.passes import Pass
from tfflows.layers.second_order import once_differentiable
from tfflows.layers.solves import Solve
from tfflows.layers.traces import ExactTrace, Trace, checked_trace
from tfflows.layers.untracked import Untracked
from tfflows.ode import DormandPrince, Solver
from tfflows.ode.integrals import solve_with_integrals


@keras.saving.register_keras_serializable(package="tfflows")
class ContinuousLayer(InvertibleLayer):
    """The flow of an ordinary differential equation over an interval of time.

        forward:  x = z(t_1) from z(t_0) = z,  dz/dt = f(z(t), t, context)
        inverse:  z = z(t_0) from z(t_1) = x, along the same path backwards
        log-det:  integral from t_0 to t_1 of tr(df/dz) dt, forward; minus that, inverse

    All three hold up to the solver's tolerances, and an adaptive solver takes the same steps for a
    whole batch, so that an example's result depends on the others within them. Gradients come from
    the adjoint equation; second derivatives are refused. Float64 values for a float32 layer, as a
    precise `tfflows.layers.Chain` hands on, are solved in float64 with the same weights, and
    tolerances mean what they say below 1e-6, too.

    The trace is exact or estimated, with noise that is drawn once a solve and example.
    With `training=True` the noise is new at each call, see `tfflows.random.stateless_seed`; else it
    depends on `seed` alone, and equal calls give equal results. The seeds of a
    `tfflows.layers.Pass` decide it for both.

    Args:
        network: a Keras layer, called as `network(z, t)` with a scalar t, or with a context as
            `network(z, t, context=context)`, that returns dz/dt of z's shape; see
            `tfflows.networks.TimeDependentMLP`. Its dtype should be the layer's: a solver cannot
            follow an f of low precision.
        interval: (t_0, t_1), in any order.
        solver: a `tfflows.ode.Solver`: `DormandPrince(rtol, atol)` is adaptive,
            `RungeKutta4(steps)` cheap and of known cost. TFP's third solver, BDF, factorises the
            Jacobian of a whole batch at each step, and is not offered.
        trace: a `tfflows.layers.Trace`: `ExactTrace()` or `Hutchinson()`.
        training_trace: the same for calls with `training=True`; `None` for `trace`.
        seed: of the noise; stacked layers need different ones for independent noise.

    Raises:
        ValueError: if an argument is out of its range, the exact trace is asked for at more than
            256 entries, f returns another shape than z's, or a solve reaches the cap.
        tf.errors.InvalidArgumentError: at the cap within a `tf.function`.

    Source: Chen, Rubanova, Bettencourt and Duvenaud, "Neural ordinary differential equations",
    2018; Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud, "FFJORD", 2019.

    Example:
        >>> network = tfflows.networks.TimeDependentMLP(2, hidden=(16,))
        >>> layer = tfflows.layers.ContinuousLayer(network)
        >>> x, forward_log_det = layer.forward_and_log_det(tf.ones([5, 2]))
        >>> z, inverse_log_det = layer.inverse_and_log_det(x)
        >>> bool(tf.reduce_max(tf.abs(z - 1)) < 1e-3)
        True
    """

    def __init__(
        self,
        network: keras.layers.Layer,
        interval: Sequence[float] = (0.0, 1.0),
        solver: Solver = DormandPrince(),
        trace: Trace = ExactTrace(),
        training_trace: Trace | None = None,
        seed: int = 0,
        **kwargs,
    ):
        refuse_solver_settings(type(self).__name__, kwargs)
        super().__init__(**kwargs)
        require_keras_layer("network", type(self).__name__, network)
        self.network = network
        self.interval = [float(t) for t in interval]
        if len(self.interval) != 2 or not np.all(np.isfinite(self.interval)):
            raise ValueError(f"interval must be two finite times, but found {interval!r}.")
        if self.interval[0] == self.interval[1]:
            raise ValueError(f"interval must not have length zero, but found {interval!r}.")
        self.solver = as_value(
            Solver, solver, "A layer's solver is a tfflows.ode.Solver, such as DormandPrince()"
        )
        self.trace = checked_trace("trace", trace)
        self.training_trace = checked_trace("training_trace", training_trace)
        self.seed = int(seed)
        self.supports_jit = self.solver.supports_jit

    def build(self, z_shape, context_shape=None):
        for trace in (self.trace, self.training_trace or self.trace):
            trace.require_affordable(math.prod(z_shape[1:]), f"{type(self).__name__} '{self.name}'")
        if not self.network.built:
            context = {} if context_shape is None else {"context_shape": context_shape}
            self.network.build(z_shape, **context)
        self._network_in_float64 = None
        super().build(z_shape, context_shape)

    @property
    def log_det_estimator(self) -> str | None:
        return self.trace.estimator

    def _forward(self, z, call):
        return self._integrate(z, *self.interval, call)

    def _inverse(self, x, call):
        return self._integrate(x, *reversed(self.interval), call)

    def velocity(self, z: ArrayLike, t: ArrayLike, context: ArrayLike | None = None) -> tf.Tensor:
        """f(z, t, context), of z's shape and dtype; t is a scalar or `[batch]`.

        Raises:
            ValueError: if f returns another shape than z's.
        """
        return self._velocity(z, t, context)

    def _velocity(self, z, t, context=None, weights=None):
        """`velocity`, with values for the network's weights, in float64 if z and t are."""
        context = {} if context is None else {"context": context}
        t = tf.convert_to_tensor(t, z.dtype)
        if weights is None:
            value = self.network(z, t, training=False, **context)
        else:
            network = self.network
            if self._is_wider(z.dtype.name):
                self.build_in_float64()
                network = self._network_in_float64.value
            with keras.StatelessScope(zip(_floats(network.weights), weights, strict=True)):
                value = network(z, t, training=False, **context)
        value = tf.cast(value, z.dtype)
        if not value.shape[1:].is_compatible_with(self.latent_shape):
            raise ValueError(
                f"{type(self).__name__} '{self.name}' expected its network to return dz/dt of z's "
                f"shape {('batch', *self.latent_shape)}, but found {('batch', *value.shape[1:])}."
            )
        return value

    def build_in_float64(self) -> None:
        if self._network_in_float64 is None and self.network.compute_dtype != "float64":
            config = {**self.network.get_config(), "dtype": "float64"}
            twin = type(self.network).from_config(config)
            context = (
                {} if self._context_dim is None else {"context_shape": (None, self._context_dim)}
            )
            with tf.init_scope():
                twin.build((None, *self.latent_shape), **context)
            # It is only called with other weights than its own.
            self._network_in_float64 = Untracked(twin)

    def _constants(self, call):
        """What f is a function of besides z and t: what it closes over would get no gradient."""
        constants = {} if call.context is None else {"context": call.context}
        weights = _floats(self.network.weights)
        if self._is_wider(call.dtype):
            constants["weights"] = [tf.cast(weight, tf.float64) for weight in weights]
        elif not call.constants:
            constants["weights"] = [tf.convert_to_tensor(weight) for weight in weights]
        return constants

    def _is_wider(self, dtype):
        return dtype == "float64" and self.network.compute_dtype != "float64"

    def trajectory(
        self, value: ArrayLike, times: ArrayLike, context: ArrayLike | None = None
    ) -> tf.Tensor:
        """States `[len(times), batch, *event_shape]` at all times, from `value` at the first.

        Args:
            value: `[batch, *event_shape]`.
            times: two or more numbers, rising or falling; within the interval to be meaningful.

        Raises:
            ValueError: if the times are neither rising nor falling.
        """
        call = Pass(context)
        value = self._checked(value, "z", call)
        times = np.asarray(times, "float64")
        steps = np.diff(times)
        if times.ndim != 1 or len(times) < 2 or not (np.all(steps > 0) or np.all(steps < 0)):
            raise ValueError(
                f"A trajectory needs two or more rising or falling times, but found {times}."
            )

        def rates(z, t, **constants):
            return self._velocity(z, t, **constants), []

        states, _, _ = self._solve(rates, value, 0, times, call)
        return tf.concat([value[tf.newaxis], states], axis=0)

    @tf.autograph.experimental.do_not_convert  # which would double the time of a trace
    def _integrate(self, value, start, end, call):
        """State and log-det at the time `end`, from a value at `start`."""
        energies = call.costs is not None and call.costs.energies and call.log_dets
        trace = (call.training and self.training_trace) or self.trace
        # Of the length of the path, whichever way it runs.
        speed = np.sign(end - start)

        if call.log_dets:
            vectors = trace.vectors(value, call, self.seed)

            def rates(z, t, **constants):
                f, divergence, jacobian_norm = trace.divergence(
                    self._velocity, z, t, vectors, **constants
                )
                if not energies:
                    return f, [divergence]
                kinetic_energy = tf.reduce_sum(f**2, list(range(1, f.shape.rank)))
                return f, [divergence, speed * kinetic_energy, speed * jacobian_norm]

        else:

            def rates(z, t, **constants):
                return self._velocity(z, t, **constants), []

        num_integrals = 3 if energies else 1 if call.log_dets else 0
        states, integrals, num_evaluations = self._solve(
            rates, value, num_integrals, [start, end], call
        )
        log_det, *energies = [integral[0] for integral in integrals] or [zero_log_det(value)]
        if call.costs is not None:
            call.costs.solves.append(Solve(num_evaluations, *energies))
        return states[0], log_det

    def _solve(self, rates, value, num_integrals, times, call):
        on_adjoint = None if call.costs is None else call.costs.on_adjoint
        solver = self.solver.make(abs(times[-1] - times[0]), call.training, on_adjoint)
        if not tf.executing_eagerly() and not call.constants:
            # Traced once, not once for each stage of the solver.
            rates = tf.function(rates, autograph=False)
        sources = value, self._constants(call)

        def function(*flat):
            value, constants = tf.nest.pack_sequence_as(sources, flat)
            return solve_with_integrals(solver, rates, value, num_integrals, times, constants)

        owner = f"{type(self).__name__} '{self.name}', whose gradient is an equation of its own,"
        return once_differentiable(function, tf.nest.flatten(sources), owner)

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "interval": self.interval,
            "solver": serialized(self.solver),
            "trace": serialized(self.trace),
            "training_trace": serialized(self.training_trace),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        config = with_traces(with_solver(config))
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})


def _floats(weights):
    """Those of a network that f may be differentiated by: others are states of seeds."""
    return [weight for weight in weights if tf.as_dtype(weight.dtype).is_floating]
