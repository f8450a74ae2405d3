"""What monotone splines have in common: ends, second derivatives, and errors."""

import numpy as np
import pytest
import tensorflow as tf

from tfflows.transformers import (
    CubicSpline,
    LinearSpline,
    QuadraticSpline,
    RationalQuadraticSpline,
)
from tfflows.transformers.knots import Spline

SPLINES = [CubicSpline, LinearSpline, QuadraticSpline, RationalQuadraticSpline]
every_spline = pytest.mark.parametrize("kind", SPLINES)
both_directions = pytest.mark.parametrize("direction", ["forward", "inverse"])


def raw(spline, n, dtype="float64"):
    """Parameters for n values."""
    values = np.random.default_rng(0).normal(size=(spline.num_parameters, n))
    return [tf.constant(row, dtype) for row in values]


@every_spline
@both_directions
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_is_the_identity_outside_of_its_box_to_the_last_bit(kind, direction, dtype):
    spline = kind(bound=2.0)
    value = tf.constant([-1e30, -5.0, -2.0, 2.0, 2.5, 1e30], dtype)
    result, log_det = getattr(spline, direction)(value, raw(spline, 6, dtype))
    np.testing.assert_array_equal(result, value)
    np.testing.assert_array_equal(log_det, np.zeros(6))


@every_spline
@both_directions
def test_is_continuous_at_the_ends_of_its_box(kind, direction):
    for end in (-3.0, 3.0):
        inside = np.full(10, end * (1 - 1e-9))
        spline = kind()
        result, log_det = getattr(spline, direction)(inside, raw(spline, 10))
        # Slopes are below 1e3 for such parameters.
        np.testing.assert_allclose(result, inside, atol=3e-6)
        if kind in (QuadraticSpline, RationalQuadraticSpline):
            # Bins are at least 6e-3 wide, and log-slopes go to 0 in them.
            np.testing.assert_allclose(log_det, 0.0, atol=1e-4)


@every_spline
@both_directions
def test_second_derivatives_are_those_of_finite_differences(kind, direction):
    spline = kind(bins=4)
    value = tf.constant(np.linspace(-2.81, 2.83, 40))
    parameters = raw(spline, 40)

    def gradient(value):
        with tf.GradientTape() as tape:
            tape.watch(value)
            result, log_det = getattr(spline, direction)(value, parameters)
            loss = tf.reduce_sum(tf.sin(result) + log_det)
        return tape.gradient(loss, value)

    with tf.GradientTape() as tape:
        tape.watch(value)
        first = tf.reduce_sum(gradient(value))
    found = tape.gradient(first, value)
    step = 1e-6
    expected = (gradient(value + step) - gradient(value - step)) / (2 * step)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


ERRORS = {
    "one_bin": ({"bins": 1}, "Spline needs bins to be an integer of at least [23], but found 1"),
    "half_a_bin": ({"bins": 2.5}, "integer of at least [23], but found 2.5"),
    "bound": ({"bound": 0.0}, "positive finite bound, but found 0.0"),
    "width": (
        {"bins": 4, "min_bin_width": 0.25},
        "min_bin_width to be between 0 and 0.25, but found",
    ),
    "height": ({"min_bin_height": 0.0}, "min_bin_height to be between 0 and 0.125, but found 0.0"),
    "slope": ({"min_slope": 1.0}, "min_slope to be between 0 and 1, but found 1.0"),
    "derivative": ({"min_derivative": 1.0}, "min_derivative to be between 0 and 1, but found 1.0"),
    "text": ({"bins": 4, "min_bin_width": "small"}, "between 0 and 0.25, but found 'small'"),
}


@every_spline
@pytest.mark.parametrize("name", ERRORS)
def test_bad_settings_are_errors(kind, name):
    settings, message = ERRORS[name]
    if not set(settings) <= set(kind.__dataclass_fields__):
        message, error = "unexpected keyword argument", TypeError
    else:
        error = ValueError
    with pytest.raises(error, match=message):
        kind(**settings)


def test_a_spline_without_bins_says_so():
    class Nothing(Spline):
        num_parameters = 0

    with pytest.raises(NotImplementedError, match="Nothing has no bins"):
        Nothing().forward([1.0], [])
