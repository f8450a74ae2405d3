"""Integrals of positive functions, against NumPy's polynomials and SciPy's quadrature."""

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import tensorflow as tf
from numpy.polynomial import Polynomial

from tfflows.transformers import MonotonicMLP, SumOfSquares


@pytest.mark.parametrize("degree", [1, 4])
def test_a_sum_of_squares_is_the_integral_of_its_polynomial(degree):
    transformer = SumOfSquares(degree, bound=2.0, min_slope=0.05)
    shift, *raw = np.random.default_rng(0).normal(size=transformer.num_parameters)
    p = Polynomial(raw[: degree + 1]) + Polynomial([0, 1])
    q = Polynomial(raw[degree + 1 :]) + 1
    density = 0.05 + 0.95 * (p**2 + Polynomial([1, 0, -1]) * q**2)
    assert density.degree() == 2 * degree
    x = np.linspace(-2, 2, 41)
    z, log_det = transformer.inverse(x, [tf.constant([v]) for v in (shift, *raw)])
    np.testing.assert_allclose(z, shift + 2 * density.integ()(x / 2), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, np.log(density(x / 2)), rtol=0, atol=1e-12)


def test_every_positive_polynomial_of_the_box_is_within_reach():
    # One that is no square, nearly zero within the box.
    transformer = SumOfSquares(degree=1, bound=1.0, min_slope=1e-6)
    t = np.linspace(-1, 1, 201)
    target = (t - 0.5) ** 2 + 0.01

    def misfit(values):
        _, log_slope = transformer.inverse(t, [[0.0], *[[value] for value in values]])
        return np.exp(log_slope) - target

    solution = scipy.optimize.least_squares(misfit, [0.1, 0.1, 0.1])
    assert np.abs(solution.fun).max() < 1e-5


def logits(transformer, seed, size=1.0):
    return size * np.random.default_rng(seed).normal(size=transformer.num_parameters)


def test_a_monotonic_mlp_is_the_integral_of_its_network():
    transformer = MonotonicMLP(hidden=3, bound=2.0)
    raw = logits(transformer, 0)
    shift, w, b, v, c = raw[0], raw[1:4], raw[4:7], raw[7:10], raw[10]
    w = 2 * np.tanh(w / 2 + np.arctanh(0.5))
    b = b - np.array([-1.0, 0.0, 1.0])
    v = 4 / 3 * np.tanh(v * 3 / 4)
    c = 4 * np.tanh(c / 4)
    density = lambda t: np.exp(c + v @ np.tanh(w * t + b))  # noqa: E731
    x = np.linspace(-2, 2, 9)
    expected = [shift + scipy.integrate.quad(density, 0, end, epsabs=1e-12)[0] for end in x]
    z, log_det = transformer.inverse(x, [tf.constant([p]) for p in raw])
    np.testing.assert_allclose(z, expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(log_det, [np.log(density(t)) for t in x], rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize("settings", [{}, {"weight_bound": 6.0, "hidden": 2, "bound": 1.0}])
def test_the_number_of_nodes_certifies_that_it_increases(size, settings):
    transformer = MonotonicMLP(**settings)
    x = tf.constant(np.linspace(-1, 1, 101) * transformer.bound)
    worst = 0.0
    for seed in range(20):
        parameters = [tf.constant([p]) for p in logits(transformer, seed, size)]
        with tf.GradientTape() as tape:
            tape.watch(x)
            z, log_det = transformer.inverse(x, parameters)
        slope = tape.gradient(z, x)
        worst = max(worst, np.abs(slope / np.exp(log_det) - 1).max())
    assert worst < 1e-6


def test_more_nodes_for_steeper_and_wider_networks():
    nodes = MonotonicMLP().nodes
    assert MonotonicMLP(weight_bound=4.0).nodes > 1.5 * nodes
    assert MonotonicMLP(bound=6.0).nodes == MonotonicMLP(weight_bound=4.0).nodes
    assert MonotonicMLP(log_slope_bound=8.0).nodes > nodes


def test_units_that_start_as_zeros_have_gradients_of_their_own():
    transformer = MonotonicMLP(hidden=4)
    parameters = [tf.zeros([1]) for _ in range(transformer.num_parameters)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        z, _ = transformer.inverse([-1.0, 0.5, 2.0], parameters)
        loss = tf.reduce_sum(z**3)
    gradients = np.ravel(tape.gradient(loss, parameters)[9:13])
    assert len(np.unique(gradients.round(4))) == 4


ERRORS = {
    "degree": (lambda: SumOfSquares(degree=0), "SumOfSquares needs degree to be an integer of at"),
    "slope": (lambda: SumOfSquares(min_slope=1.0), "needs min_slope to be between 0 and 1, but"),
    "hidden": (lambda: MonotonicMLP(hidden=1.5), "MonotonicMLP needs hidden to be an integer"),
    "nodes": (lambda: MonotonicMLP(bound=1e3), "would need [0-9]+ nodes, more than 1000, for"),
    "steep": (lambda: MonotonicMLP(bound=1e30, log_slope_bound=400), "would need [0-9]+ nodes"),
    "weights": (
        lambda: MonotonicMLP(weight_bound=0),
        "positive finite weight_bound, but found 0",
    ),
}


@pytest.mark.parametrize("make, message", ERRORS.values(), ids=ERRORS)
def test_settings_out_of_their_range_are_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
