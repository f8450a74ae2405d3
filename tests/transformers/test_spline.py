"""`RationalQuadraticSpline` against TFP's, at its knots and ends, and its gradients."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.transformers import RationalQuadraticSpline

SETTINGS = [
    {},
    {"bins": 3, "bound": 5.0, "min_bin_width": 0.1, "min_bin_height": 0.02, "min_derivative": 0.2},
]


def raw(spline, n, scale=1.0, dtype="float64", seed=0):
    """Parameters for n values."""
    rng = np.random.default_rng(seed)
    values = scale * rng.normal(size=(spline.num_parameters, n))
    return [tf.constant(row, dtype) for row in values]


def knots(spline, parameters):
    """Sizes of the bins and derivatives at inner knots, `[n, K]`, by the docstring's words."""
    k = spline.bins
    logits = np.transpose(np.array(parameters))

    def sizes(part, minimum):
        shares = np.exp(part) / np.exp(part).sum(-1, keepdims=True)
        return 2 * spline.bound * (minimum + (1 - k * minimum) * shares)

    shift = np.log(np.expm1(1 - spline.min_derivative))
    return (
        sizes(logits[:, :k], spline.min_bin_width),
        sizes(logits[:, k : 2 * k], spline.min_bin_height),
        spline.min_derivative + np.log1p(np.exp(logits[:, 2 * k :] + shift)),
    )


@pytest.mark.parametrize("settings", SETTINGS)
def test_agrees_with_tfp(settings):
    spline = RationalQuadraticSpline(**settings)
    z = np.linspace(-1.4, 1.4, 200) * spline.bound
    parameters = raw(spline, 200)
    peer = tfp.bijectors.RationalQuadraticSpline(*knots(spline, parameters), -spline.bound)
    x, log_det = spline.forward(z, parameters)
    np.testing.assert_allclose(x, peer.forward(z), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, peer.forward_log_det_jacobian(z), atol=1e-11)
    x = z
    z, log_det = spline.inverse(x, parameters)
    np.testing.assert_allclose(z, peer.inverse(x), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(log_det, peer.inverse_log_det_jacobian(x), atol=1e-9)


def test_is_exact_at_its_knots():
    spline = RationalQuadraticSpline(bins=5)
    parameters = [p[:1] for p in raw(spline, 1)]
    width, height, derivative = (part[0] for part in knots(spline, parameters))
    z = np.cumsum(width)[:-1] - 3
    x, log_det = spline.forward(z, parameters)
    np.testing.assert_allclose(x, np.cumsum(height)[:-1] - 3, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(log_det, np.log(derivative), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_is_the_identity_outside_of_its_box_to_the_last_bit(dtype, direction):
    spline = RationalQuadraticSpline(bound=2.0)
    value = tf.constant([-1e30, -5.0, -2.0, 2.0, 2.5, 1e30], dtype)
    result, log_det = getattr(spline, direction)(value, raw(spline, 6, dtype=dtype))
    np.testing.assert_array_equal(result, value)
    np.testing.assert_array_equal(log_det, np.zeros(6))


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_is_smooth_at_the_ends_of_its_box(direction):
    spline = RationalQuadraticSpline()
    for end in (-3.0, 3.0):
        inside = np.full(10, end * (1 - 1e-9))
        result, log_det = getattr(spline, direction)(inside, raw(spline, 10))
        # Bins are at least 6e-3 wide, and log-slopes go to 0 in them.
        np.testing.assert_allclose(result, inside, atol=1e-7)
        np.testing.assert_allclose(log_det, 0.0, atol=1e-4)


def test_round_trip_in_float32():
    spline = RationalQuadraticSpline()
    z = tf.constant(np.linspace(-4, 4, 2000), tf.float32)
    parameters = raw(spline, 2000, 0.3, "float32")
    x, log_det = spline.forward(z, parameters)
    back, inverse_log_det = spline.inverse(x, parameters)
    # Roundings of values up to 4, and of slopes of bins a tenth as wide.
    np.testing.assert_allclose(back, z, atol=1e-5)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-4)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_second_derivatives_are_those_of_finite_differences(direction):
    spline = RationalQuadraticSpline(bins=4)
    value = tf.constant(np.linspace(-2.8, 2.8, 40))
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
    "one_bin": ({"bins": 1}, "at least 2 bins, but found 1"),
    "half_a_bin": ({"bins": 2.5}, "integer of at least 2 bins, but found 2.5"),
    "bound": ({"bound": 0.0}, "positive finite bound, but found 0.0"),
    "width": ({"bins": 4, "min_bin_width": 0.25}, "min_bin_width between 0 and 0.25, but found"),
    "height": ({"min_bin_height": 0.0}, "min_bin_height between 0 and 0.125, but found 0.0"),
    "derivative": ({"min_derivative": 1.0}, "min_derivative between 0 and 1, but found 1.0"),
    "text": ({"min_derivative": "small"}, "between 0 and 1, but found 'small'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_settings_are_errors(name):
    settings, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        RationalQuadraticSpline(**settings)
