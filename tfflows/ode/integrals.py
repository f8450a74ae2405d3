"""An initial value problem together with integrals along its solution."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow_probability as tfp


def solve_with_integrals(
    solver: tfp.math.ode.Solver,
    rates: Callable,
    value: tf.Tensor,
    num_integrals: int,
    times: Sequence[float],
    constants: dict | None = None,
):
    """States and integrals at all times but the first, from `value` at the first.

    State and integrals are one matrix to the solver, which takes half as many operations as a list.

    Args:
        solver: one of TFP's.
        rates: called as `rates(z, t, **constants)`; returns dz/dt and a list of `num_integrals`
            integrands `[batch]`.
        value: `[batch, *event_shape]`.
        num_integrals: how many there are.
        times: two or more numbers, rising or falling.
        constants: tensors that gradients shall go to: what `rates` closes over would get none.

    Returns:
        The states `[len(times) - 1, batch, *event_shape]`, a list of the integrals
        `[len(times) - 1, batch]`, and the number of evaluations of `rates`.

    Example:
        >>> solver = tfflows.ode.RungeKutta4(steps=8).make(length=2.0)
        >>> rates = lambda z, t: (-z, [tf.reduce_sum(z, 1)])
        >>> states, integrals, count = tfflows.ode.integrals.solve_with_integrals(
        ...     solver, rates, tf.ones([1, 3]), 1, times=[0.0, 2.0]
        ... )
        >>> bool(abs(integrals[0][0, 0] - 3 * (1 - np.exp(-2))) < 1e-3)
        True
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

    results = solver.solve(
        ode,
        tf.constant(sign * times[0], value.dtype),
        tf.pad(tf.reshape(value, [-1, size]), [[0, 0], [0, num_integrals]]),
        tf.constant([sign * t for t in times[1:]], value.dtype),
        constants=constants or None,
    )
    states = tf.reshape(results.states[..., :size], [len(times) - 1, -1, *event_shape])
    integrals = tf.unstack(results.states[..., size:], num_integrals, axis=-1)
    return states, integrals, results.diagnostics.num_ode_fn_evaluations
