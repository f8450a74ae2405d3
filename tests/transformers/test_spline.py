"""`RationalQuadraticSpline` against TFP's, and at its knots."""

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


def test_round_trip_in_float32():
    spline = RationalQuadraticSpline()
    z = tf.constant(np.linspace(-4, 4, 2000), tf.float32)
    parameters = raw(spline, 2000, 0.3, "float32")
    x, log_det = spline.forward(z, parameters)
    back, inverse_log_det = spline.inverse(x, parameters)
    # Roundings of values up to 4, and of slopes of bins a tenth as wide.
    np.testing.assert_allclose(back, z, atol=1e-5)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-4)
