"""What TFP's solvers of `tfflows.ode` do besides solving, of which `test_solvers.py` is."""

import pytest
import tensorflow as tf

from tfflows.ode import DormandPrince, RungeKutta4


@pytest.mark.parametrize("solver", [RungeKutta4(2), DormandPrince(1e-2, 1e-2)], ids=repr)
def test_tapes_do_not_trace_the_derivative_of_the_loop(solver):
    derivatives = []

    @tf.custom_gradient
    def decay(y):
        def gradient(upstream):
            derivatives.append(upstream)
            return -upstream

        return -y, gradient

    @tf.function(autograph=False)
    def end(y):
        with tf.GradientTape() as outer, tf.GradientTape() as inner:
            outer.watch(y)
            inner.watch(y)
            results = solver.make(1.0).solve(lambda t, y: decay(y), 0.0, y, [1.0])
        return results.states[0]

    assert float(end(tf.constant([1.0]))[0]) == pytest.approx(0.3679, abs=0.01)
    assert not derivatives
