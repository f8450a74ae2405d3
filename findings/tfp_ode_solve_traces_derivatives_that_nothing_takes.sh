#!/usr/bin/env bash
# A solve by tfp.math.ode has a gradient of its own, the adjoint equation. Where two gradient tapes are open in a
# tf.function, TensorFlow nevertheless builds the derivative of the solver's loops, of all orders that two tapes
# could ask for, when the solve is traced and no gradient is asked for: the custom gradient of an equation of one
# operation is traced eighteen times over. Behind tf.stop_gradient on the start and the constants it is not traced
# at all.
#
# Seen with TensorFlow Probability 0.25.0, TensorFlow 2.21.0 and NumPy 2.4.6 (Linux, x86-64, Python 3.11). TFP runs
# its loops within tf.custom_gradient with the tapes recording; TensorFlow's while loop wraps itself, where a tape
# may want a gradient, into a function whose derivative is built at the call.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0 tensorflow-probability==0.25.0 tf-keras==2.21.0 numpy==2.4.6
cat >"$folder/solve.py" <<'PYTHON'
import functools

import tensorflow as tf
import tensorflow_probability as tfp


class Frozen(tfp.math.ode.DormandPrince):
    """The same solver, whose loop sees nothing that a tape watches."""

    def _solve(self, ode_fn, initial_time, initial_state, *args, **kwargs):
        constants = tf.nest.map_structure(tf.stop_gradient, ode_fn.keywords)
        ode_fn = functools.partial(ode_fn.func, **constants)
        return super()._solve(ode_fn, initial_time, tf.stop_gradient(initial_state), *args, **kwargs)


def derivatives_traced(solver):
    traced = []

    @tf.custom_gradient
    def decay(y):
        def gradient(upstream):
            traced.append(upstream)
            return -upstream

        return -y, gradient

    @tf.function
    def end(y):
        with tf.GradientTape() as outer, tf.GradientTape() as inner:
            outer.watch(y)
            inner.watch(y)
            results = solver.solve(lambda t, y: decay(y), 0.0, y, [1.0])
        return results.states[0]

    value = float(end(tf.constant([1.0]))[0])
    assert abs(value - 0.36788) < 1e-3, value
    return len(traced)


settings = {"rtol": 1e-4, "atol": 1e-4}
own = derivatives_traced(tfp.math.ode.DormandPrince(**settings))
frozen = derivatives_traced(Frozen(**settings))
print("TensorFlow Probability", tfp.__version__)
print("derivatives of the equation traced, no gradient asked for:", own)
print("the same with start and constants behind tf.stop_gradient:", frozen)
assert own >= 10 and frozen == 0
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/solve.py"
