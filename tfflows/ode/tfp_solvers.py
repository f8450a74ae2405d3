"""TFP's side of `tfflows.ode`: a `tfp.math.ode.Solver` for each value."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

_EVALUATIONS_PER_RK4_STEP = 4

_Diagnostics = collections.namedtuple("_Diagnostics", ["num_ode_fn_evaluations", "status"])


class FixedRungeKutta4(tfp.math.ode.Solver):
    """The classical Runge-Kutta method with steps of equal length; see `tfflows.ode.RungeKutta4`.

    Args:
        num_steps: steps for the whole time.
        make_adjoint_solver_fn: returns the solver of the adjoint equation; `None` for this one.
        on_solve: called with the number of evaluations of each solve.

    Example:
        >>> solver = tfflows.ode.tfp_solvers.FixedRungeKutta4(num_steps=8)
        >>> results = solver.solve(lambda t, y: -y, 0.0, tf.constant([1.0]), [1.0])
        >>> int(results.diagnostics.num_ode_fn_evaluations)
        32
    """

    def __init__(
        self,
        num_steps: int,
        make_adjoint_solver_fn: Callable | None = None,
        on_solve: Callable | None = None,
        name: str = "rk4",
    ):
        super().__init__(make_adjoint_solver_fn, validate_args=False, name=name)
        self._num_steps = num_steps
        self._on_solve = on_solve

    def _solve(self, ode_fn, initial_time, initial_state, solution_times, **_):
        ode_fn, state = _frozen(ode_fn, initial_state)
        dtype = tf.nest.flatten(state)[0].dtype
        start = tf.cast(initial_time, dtype)
        times = tf.cast(solution_times, dtype)
        # Less a little, lest rounding make a step more.
        share = self._num_steps * (times - tf.concat([[start], times[:-1]], 0))
        counts = tf.cast(tf.math.ceil(share / (times[-1] - start) - 1e-3), tf.int32)
        counts = tf.maximum(counts, 1)

        def advance(i, time, state, arrays):
            step_size = (times[i] - time) / tf.cast(counts[i], dtype)

            def step(k, y):
                return k + 1, _rk4_step(ode_fn, time + tf.cast(k, dtype) * step_size, step_size, y)

            _, state = tf.while_loop(lambda k, y: k < counts[i], step, (0, state))
            arrays = tf.nest.map_structure(lambda a, y: a.write(i, y), arrays, state)
            return i + 1, times[i], state, arrays

        arrays = tf.nest.map_structure(
            lambda y: tf.TensorArray(y.dtype, size=tf.size(times), element_shape=y.shape), state
        )
        *_, arrays = tf.while_loop(
            lambda i, *_: i < tf.size(times), advance, (0, start, state, arrays)
        )
        count = _EVALUATIONS_PER_RK4_STEP * tf.reduce_sum(counts)
        if self._on_solve is not None:
            self._on_solve(count)
        return tfp.math.ode.Results(
            times=times,
            states=tf.nest.map_structure(lambda array: array.stack(), arrays),
            diagnostics=_Diagnostics(count, 0),
            solver_internal_state=(),
        )

    def _initialize_solver_internal_state(self, ode_fn, initial_time, initial_state):
        return ()


def _frozen(ode_fn, initial_state):
    """The equation, as TFP's `solve` hands it on, and its start, behind `tf.stop_gradient`.

    The gradient of a solve is that of its adjoint equation. A tape would still trace the derivative
    of the solver's loop, which takes longer than all else.
    """
    constants, state = tf.nest.map_structure(tf.stop_gradient, (ode_fn.keywords, initial_state))
    return functools.partial(ode_fn.func, **constants), state


def _rk4_step(ode_fn, t, h, y):
    def ahead(slope, size):
        return tf.nest.map_structure(lambda a, b: a + size * b, y, slope)

    k1 = ode_fn(t, y)
    k2 = ode_fn(t + h / 2, ahead(k1, h / 2))
    k3 = ode_fn(t + h / 2, ahead(k2, h / 2))
    k4 = ode_fn(t + h, ahead(k3, h))
    return tf.nest.map_structure(
        lambda y, a, b, c, d: y + h / 6 * (a + 2 * (b + c) + d), y, k1, k2, k3, k4
    )


class CappedDormandPrince(tfp.math.ode.DormandPrince):
    """TFP's `DormandPrince` that stops with a sentence at `max_evaluations` of the ODE.

    Args:
        max_evaluations: cap on the evaluations within one solve.
        on_solve: called with the number of evaluations of each solve.

    Raises:
        ValueError: eagerly, at the cap.
        tf.errors.InvalidArgumentError: within a `tf.function`. XLA drops such checks, and a solve
            that cannot reach its end then has none.
    """

    def __init__(self, max_evaluations: int, on_solve: Callable | None = None, **kwargs):
        super().__init__(**kwargs)
        self._max_evaluations = max_evaluations
        self._on_solve = on_solve

    def _solve(self, ode_fn, initial_time, initial_state, solution_times, **kwargs):
        ode_fn, state = _frozen(ode_fn, initial_state)
        results = super()._solve(ode_fn, initial_time, state, solution_times, **kwargs)
        # One at the start, which TFP does not count.
        count = 1 + results.diagnostics.num_ode_fn_evaluations
        if self._on_solve is not None:
            self._on_solve(count)
        diagnostics = results.diagnostics._replace(num_ode_fn_evaluations=count)
        return results._replace(diagnostics=diagnostics)

    def _step(self, solver_state, diagnostics, **settings):
        message = (
            f"The solver used up its {self._max_evaluations} evaluations of f (max_evaluations) "
            "before the end of the interval: f is stiff or not finite, or the tolerances are too "
            "tight."
        )
        used = 1 + diagnostics.num_ode_fn_evaluations + self.ODE_FN_EVALS_PER_STEP
        if tf.executing_eagerly():
            if used > self._max_evaluations:
                raise ValueError(message)
            return super()._step(solver_state, diagnostics, **settings)
        within = tf.debugging.Assert(used <= self._max_evaluations, [message])
        with tf.control_dependencies([within]):
            solver_state = tf.nest.map_structure(tf.identity, solver_state)
        return super()._step(solver_state, diagnostics, **settings)
