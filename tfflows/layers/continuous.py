"""Continuous flows: the solution of an ordinary differential equation as an invertible layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer, Untracked, zero_log_det
from tfflows.layers.passes import Pass
from tfflows.layers.solves import Solve
from tfflows.ode.solvers import EVALUATIONS_PER_RK4_STEP, SOLVERS, make_solver
from tfflows.random import counter
from tfflows.random.seeds import own_rows, stateless_seed

TRACES = ("exact", "rademacher", "gaussian")
_TOLERANCES = ("rtol", "atol", "adjoint_rtol", "adjoint_atol")
# The exact trace costs as many evaluations of f, and of its gradient, as z has entries.
EXACT_TRACE_LIMIT = 256


@keras.saving.register_keras_serializable(package="tfflows")
class ContinuousLayer(InvertibleLayer):
    """The flow of an ordinary differential equation over an interval of time.

        forward:  x = z(t_1) from z(t_0) = z,  dz/dt = f(z(t), t, context)
        inverse:  z = z(t_0) from z(t_1) = x, along the same path backwards
        log-det:  integral from t_0 to t_1 of tr(df/dz) dt, forward; minus that, inverse

    All three hold up to the solver's tolerances, and an adaptive solver takes the same steps for a
    whole batch, so that an example's result depends on the others within them. Gradients come from
    the adjoint equation. Float64 values for a float32 layer, as a precise `tfflows.layers.Chain`
    hands on, are solved in float64 with the same weights, and tolerances mean what they say below
    1e-6, too.

    The trace is exact at the cost of D evaluations of f, D the entries of z, or Hutchinson's
    estimate e (df/dz) e at the cost of one, with noise e that is drawn once a solve and example.
    With `training=True` the noise is new at each call, see `tfflows.random.stateless_seed`; else it
    depends on `seed` alone, and equal calls give equal results. The seeds of a
    `tfflows.layers.Pass` decide it for both.

    Args:
        network: a Keras layer, called as `network(z, t)` with a scalar t, or with a context as
            `network(z, t, context=context)`, that returns dz/dt of z's shape; see
            `tfflows.networks.TimeDependentMLP`. Its dtype should be the layer's: a solver cannot
            follow an f of low precision.
        interval: (t_0, t_1), in any order.
        solver: `"dormand_prince"` (order 5, adaptive) or `"rk4"` (order 4, `num_steps` equal steps,
            cheap and of known cost). TFP's other solver, BDF, factorises the Jacobian of a whole
            batch at each step, and is not offered.
        rtol, atol: relative and absolute error that a step of an adaptive solver may make.
        adjoint_rtol, adjoint_atol: the same for the adjoint equation, whose solution is the
            gradient; by default ten times as large.
        training_tolerance: rtol and atol for calls with `training=True`, where rougher steps cost
            less, with an adjoint ten times as rough; `None` for the same as elsewhere.
        first_step: first step of an adaptive solver, as a fraction of the interval.
        num_steps: of rk4.
        max_evaluations: cap on the evaluations of f within one solve.
        trace: `"exact"`, `"rademacher"` or `"gaussian"` (the noise of Hutchinson's estimate).
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
        solver: str = "dormand_prince",
        rtol: float = 1e-5,
        atol: float = 1e-5,
        adjoint_rtol: float | None = None,
        adjoint_atol: float | None = None,
        training_tolerance: float | None = None,
        first_step: float = 0.05,
        num_steps: int = 8,
        max_evaluations: int = 1000,
        trace: str = "exact",
        training_trace: str | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.network = network
        self.interval = [float(t) for t in interval]
        if len(self.interval) != 2 or not np.all(np.isfinite(self.interval)):
            raise ValueError(f"interval must be two finite times, but found {interval!r}.")
        if self.interval[0] == self.interval[1]:
            raise ValueError(f"interval must not have length zero, but found {interval!r}.")
        if solver not in SOLVERS:
            raise ValueError(f"solver must be one of {SOLVERS}, but found {solver!r}.")
        self.solver = solver
        self.rtol, self.atol = float(rtol), float(atol)
        self.adjoint_rtol = 10 * self.rtol if adjoint_rtol is None else float(adjoint_rtol)
        self.adjoint_atol = 10 * self.atol if adjoint_atol is None else float(adjoint_atol)
        self.training_tolerance = None if training_tolerance is None else float(training_tolerance)
        self.first_step = float(first_step)
        for name in (*_TOLERANCES, "training_tolerance", "first_step"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive, but found {value}.")
        self.num_steps, self.max_evaluations = int(num_steps), int(max_evaluations)
        if self.num_steps < 1:
            raise ValueError(f"num_steps must be at least 1, but found {num_steps}.")
        if solver == "rk4" and EVALUATIONS_PER_RK4_STEP * self.num_steps > self.max_evaluations:
            raise ValueError(
                f"rk4 with num_steps={num_steps} evaluates f {EVALUATIONS_PER_RK4_STEP * num_steps}"
                f" times, more than its cap max_evaluations={max_evaluations}."
            )
        for name, value in {"trace": trace, "training_trace": training_trace or trace}.items():
            if value not in TRACES:
                raise ValueError(f"{name} must be one of {TRACES}, but found {value!r}.")
        self.trace, self.training_trace = trace, training_trace
        self.seed = int(seed)
        # XLA drops the check of the cap, and a solve that cannot end would not.
        self.supports_jit = solver == "rk4"

    def build(self, z_shape, context_shape=None):
        size = math.prod(z_shape[1:])
        if size > EXACT_TRACE_LIMIT and "exact" in (self.trace, self.training_trace):
            raise ValueError(
                f"{type(self).__name__} '{self.name}' was asked for the exact trace of {size} "
                f"dimensions, which costs {size} evaluations of f and its gradient where "
                "Hutchinson's estimate costs one; expected at most "
                f"{EXACT_TRACE_LIMIT} dimensions, or trace='rademacher'."
            )
        if not self.network.built:
            context = {} if context_shape is None else {"context_shape": context_shape}
            self.network.build(z_shape, **context)
        self._network_in_float64 = None
        super().build(z_shape, context_shape)

    @property
    def log_det_estimator(self):
        return None if self.trace == "exact" else f"Hutchinson's trace with one {self.trace} draw"

    def _forward(self, z, call):
        return self._integrate(z, *self.interval, call)

    def _inverse(self, x, call):
        return self._integrate(x, *reversed(self.interval), call)

    def velocity(self, z, t, context=None):
        """f(z, t, context), of z's shape and dtype; t is a scalar or `[batch]`.

        Raises:
            ValueError: if f returns another shape than z's.
        """
        return self._velocity(z, t, context)

    def _velocity(self, z, t, context=None, weights=None):
        """`velocity`, with float64 values for the network's weights if z and t are float64."""
        context = {} if context is None else {"context": context}
        t = tf.convert_to_tensor(t, z.dtype)
        if weights is None:
            value = tf.cast(self.network(z, t, training=False, **context), z.dtype)
        else:
            twin = self._twin()
            with keras.StatelessScope(zip(twin.weights, weights, strict=True)):
                value = twin(z, t, training=False, **context)
        if not value.shape[1:].is_compatible_with(self.latent_shape):
            raise ValueError(
                f"{type(self).__name__} '{self.name}' expected its network to return dz/dt of z's "
                f"shape {('batch', *self.latent_shape)}, but found {('batch', *value.shape[1:])}."
            )
        return value

    def _twin(self):
        """The network in float64; it is only called with other weights than its own."""
        if self._network_in_float64 is None:
            config = {**self.network.get_config(), "dtype": "float64"}
            twin = type(self.network).from_config(config)
            context = (
                {} if self._context_dim is None else {"context_shape": (None, self._context_dim)}
            )
            with tf.init_scope():
                twin.build((None, *self.latent_shape), **context)
            self._network_in_float64 = Untracked(twin)
        return self._network_in_float64.value

    def _constants(self, call):
        """What f is a function of besides z and t: what it closes over would get no gradient."""
        constants = {} if call.context is None else {"context": call.context}
        if call.dtype == "float64" and self.network.compute_dtype != "float64":
            constants["weights"] = [tf.cast(weight, tf.float64) for weight in self.network.weights]
        return constants

    def trajectory(self, value, times, context=None):
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
            left = self._left_factor(value, trace, call)

            def rates(z, t, **constants):
                f, divergence, jacobian_norm = self._with_divergence(z, t, left, trace, **constants)
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
        """States and integrals at all times but the first, and the number of evaluations.

        `rates` returns dz/dt and a list of `num_integrals` integrands `[batch]`. State and
        integrals are one matrix to the solver, which takes half as many operations as a list.
        """
        event_shape = value.shape[1:]
        size = math.prod(event_shape)
        sign = 1.0 if times[-1] > times[0] else -1.0

        # TFP's solvers want rising times: s = t or s = -t.
        def ode(s, state, **constants):
            z, _ = tf.split(state, [size, num_integrals], axis=-1)
            if len(event_shape) > 1:
                z = tf.reshape(z, [-1, *event_shape])
            f, integrands = rates(z, s if sign > 0 else -s, **constants)
            if len(event_shape) > 1:
                f = tf.reshape(f, [-1, size])
            slope = tf.concat([f, *[tf.expand_dims(i, 1) for i in integrands]], axis=-1)
            return slope if sign > 0 else -slope

        tolerances = {name: getattr(self, name) for name in _TOLERANCES}
        if call.training and self.training_tolerance is not None:
            rough = self.training_tolerance
            tolerances = dict(zip(_TOLERANCES, (rough, rough, 10 * rough, 10 * rough), strict=True))
        results = make_solver(
            self.solver,
            max_evaluations=self.max_evaluations,
            num_steps=self.num_steps,
            **tolerances,
            first_step_size=self.first_step * abs(times[-1] - times[0]),
            on_adjoint=None if call.costs is None else call.costs.on_adjoint,
        ).solve(
            ode,
            tf.constant(sign * times[0], value.dtype),
            tf.pad(tf.reshape(value, [-1, size]), [[0, 0], [0, num_integrals]]),
            tf.constant([sign * t for t in times[1:]], value.dtype),
            constants=self._constants(call) or None,
        )
        states = tf.reshape(results.states[..., :size], [len(times) - 1, -1, *event_shape])
        integrals = tf.unstack(results.states[..., size:], num_integrals, axis=-1)
        return states, integrals, results.diagnostics.num_ode_fn_evaluations

    def _left_factor(self, value, trace, call):
        """What the Jacobian is multiplied by from the left: noise, or every row's unit vector."""
        if trace == "exact":
            size = math.prod(self.latent_shape)
            unit_vectors = tf.reshape(tf.eye(size, dtype=value.dtype), [size, *self.latent_shape])
            return _copies(unit_vectors, tf.shape(value)[0], 0)
        if call.row_seeds is not None:
            return self._row_noise(call, value, trace)
        seed = 0 if call.seed is None and not call.training else call.seed
        seed = stateless_seed(seed) + [0, 1 + self.seed + call.step]

        def draw(n):
            shape = tf.concat([[n], tf.shape(value)[1:]], 0)
            if trace == "gaussian":
                return tf.random.stateless_normal(shape, seed, dtype=value.dtype, alg="philox")
            bits = tf.random.stateless_uniform(shape, seed, 0, 2, tf.int32, alg="philox")
            return tf.cast(2 * bits - 1, value.dtype)

        return own_rows(draw, tf.shape(value)[0])

    def _row_noise(self, call, value, trace):
        """Noise whose row i depends on row_seeds[i] alone."""
        seeds, size = call.row_seeds, math.prod(self.latent_shape)
        stream = 2 * (self.seed + call.step) + 1
        if trace == "gaussian":
            noise = counter.normal(seeds, size, stream)
        else:
            noise = tf.where(counter.uniform(seeds, size, stream) < 0.5, -1.0, 1.0)
        return tf.cast(tf.reshape(noise, [-1, *self.latent_shape]), value.dtype)

    def _with_divergence(self, z, t, left, trace, context=None, weights=None):
        """f, its divergence and the squared Frobenius norm of its Jacobian."""
        size = math.prod(self.latent_shape)
        axes = list(range(1, z.shape.rank))
        if trace == "exact":
            # Each example once for each row of its Jacobian.
            z = _copies(z, size, 1)
            context = None if context is None else _copies(context, size, 1)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(z)
            f = self._velocity(z, t, context, weights)
        product = tape.gradient(f, z, left, unconnected_gradients="zero")
        divergence = tf.reduce_sum(product * left, axes)
        jacobian_norm = tf.reduce_sum(product**2, axes)
        if trace == "exact":
            f = tf.reshape(f, [-1, size, *self.latent_shape])[:, 0]
            divergence = tf.reduce_sum(tf.reshape(divergence, [-1, size]), 1)
            jacobian_norm = tf.reduce_sum(tf.reshape(jacobian_norm, [-1, size]), 1)
        return f, divergence, jacobian_norm

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "interval": self.interval,
            "solver": self.solver,
            "rtol": self.rtol,
            "atol": self.atol,
            "adjoint_rtol": self.adjoint_rtol,
            "adjoint_atol": self.adjoint_atol,
            "training_tolerance": self.training_tolerance,
            "first_step": self.first_step,
            "num_steps": self.num_steps,
            "max_evaluations": self.max_evaluations,
            "trace": self.trace,
            "training_trace": self.training_trace,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})


def _copies(value, count, axis):
    """`count` copies: of the whole batch (axis 0), or of each example, side by side (axis 1)."""
    value = tf.expand_dims(value, axis)
    multiples = [1] * value.shape.rank
    multiples[axis] = count
    return tf.reshape(tf.tile(value, multiples), [-1, *value.shape[2:]])
