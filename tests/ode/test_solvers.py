"""Solvers as values: what they make, what Keras saves of them, bad arguments."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfflows.ode import DormandPrince, RungeKutta4

ROUGH = DormandPrince(1e-2, 1e-3)
VALUES = [
    DormandPrince(),
    DormandPrince(1e-6, 1e-7, adjoint=ROUGH, training=ROUGH, first_step=0.1, max_evaluations=70),
    DormandPrince(training=DormandPrince(1e-3, adjoint=ROUGH)),
    RungeKutta4(),
    RungeKutta4(steps=3),
]


@pytest.mark.parametrize("solver", VALUES, ids=repr)
def test_keras_saves_it(solver):
    config = keras.saving.serialize_keras_object(solver)
    assert config["registered_name"] == f"tfflows>{type(solver).__name__}"
    assert keras.saving.deserialize_keras_object(config) == solver
    assert type(solver).from_config(solver.get_config()) == solver
    others = [other for other in VALUES if other is not solver]
    assert solver not in others and len({solver, *others}) == len(VALUES)


def test_values_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RungeKutta4().steps = 9


def cost_and_error(solver, training):
    """Evaluations, those of the gradient, and the errors of both, for dy/dt = 3 cos(3 t) y."""
    counts = []
    start = tf.constant([1.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(start)
        results = solver.make(length=2.0, training=training, on_adjoint=counts.append).solve(
            lambda t, y: 3 * tf.cos(3 * t) * y, 0.0, start, tf.constant([2.0], tf.float64)
        )
        end = results.states[0, 0]
    gradient = tape.gradient(end, start)[0]
    exact = np.exp(np.sin(6.0))
    evaluations = int(results.diagnostics.num_ode_fn_evaluations)
    return evaluations, int(counts[0]), abs(float(end) - exact), abs(float(gradient) - exact)


@pytest.mark.slow
def test_dormand_prince_solves_each_equation_with_its_own_tolerance():
    fine, rough = DormandPrince(1e-7, 1e-7), DormandPrince(1e-3, 1e-3)
    most, adjoint, error, gradient_error = cost_and_error(fine, False)
    assert error < 1e-5 and gradient_error < 1e-4 and adjoint < most
    # As fine as the solve itself.
    same = dataclasses.replace(fine, adjoint=fine)
    assert cost_and_error(same, False)[1] > adjoint
    # Rough in training alone, with the rough one's own adjoint.
    trained = dataclasses.replace(fine, training=rough)
    assert cost_and_error(trained, False) == (most, adjoint, error, gradient_error)
    assert cost_and_error(trained, True) == cost_and_error(rough, False)
    assert cost_and_error(rough, False)[0] < most / 3


@pytest.mark.slow
def test_runge_kutta_has_the_order_and_the_cost_that_it_says():
    evaluations, adjoint, error, _ = cost_and_error(RungeKutta4(80), True)
    assert evaluations == adjoint == 320
    assert error / cost_and_error(RungeKutta4(160), True)[2] == pytest.approx(2**4, rel=0.15)


def test_xla_is_for_solvers_that_end():
    assert RungeKutta4().supports_jit and not DormandPrince().supports_jit


ERRORS = {
    "rtol": (lambda: DormandPrince(rtol=0), "positive finite rtol, but found 0"),
    "atol": (lambda: DormandPrince(atol=-1e-3), "positive finite atol, but found -0.001"),
    "nan": (lambda: DormandPrince(rtol=float("nan")), "positive finite rtol, but found nan"),
    "text": (lambda: DormandPrince("1e-5"), "positive finite rtol, but found '1e-5'"),
    "first_step": (lambda: DormandPrince(first_step=0), "first_step, but found 0"),
    "cap": (lambda: DormandPrince(max_evaluations=10.5), "integer max_evaluations, but found 10.5"),
    "adjoint": (
        lambda: DormandPrince(adjoint=1e-4),
        "adjoint is a DormandPrince or None, .* 0.0001",
    ),
    "adjoint_kind": (lambda: DormandPrince(adjoint=RungeKutta4()), "adjoint is a .* RungeKutta4"),
    "nested": (
        lambda: DormandPrince(adjoint=DormandPrince(adjoint=ROUGH)),
        "without adjoint of its own",
    ),
    "nested_training": (
        lambda: DormandPrince(training=DormandPrince(training=ROUGH)),
        "without training of its own",
    ),
    "steps": (lambda: RungeKutta4(steps=0), "RungeKutta4 .* positive integer steps, but found 0"),
    "half_steps": (lambda: RungeKutta4(2.5), "positive integer steps, but found 2.5"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_arguments_are_named(name):
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        action()
