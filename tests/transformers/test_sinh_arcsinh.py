"""`SinhArcsinh` against its formula, against TFP, and in the tails."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.transformers import SinhArcsinh

Z = np.linspace(-20, 20, 81)


def raw(value):
    """The parameter whose bounded value this is, for a bound of 1."""
    return np.full(1, np.arctanh(value))


@pytest.mark.parametrize("skewness", [-0.9, 0.0, 0.4])
@pytest.mark.parametrize("log_tail_weight", [-0.8, 0.0, 0.5])
def test_agrees_with_the_paper_and_with_tfp(skewness, log_tail_weight):
    transformer, d = SinhArcsinh(), np.exp(log_tail_weight)
    parameters = [raw(skewness), raw(log_tail_weight)]
    x, log_det = transformer.forward(Z, parameters)

    # The paper's H goes from the data to the normal.
    z, inverse_log_det = transformer.inverse(Z, parameters)
    h = np.sinh(d * np.arcsinh(Z) - skewness)
    np.testing.assert_allclose(z, h, rtol=1e-12, atol=1e-13)
    slope = d * np.sqrt(1 + h**2) / np.sqrt(1 + Z**2)
    np.testing.assert_allclose(inverse_log_det, np.log(slope), atol=1e-13)

    # TFP multiplies what it makes of z, and its tail weight is the inverse of ours.
    peer = tfp.bijectors.SinhArcsinh(np.float64(skewness), 1 / np.float64(d))
    multiplier = 2 / np.sinh(np.arcsinh(2) / d)
    np.testing.assert_allclose(x, peer.forward(Z) / multiplier, rtol=1e-12, atol=1e-13)
    expected = peer.forward_log_det_jacobian(Z) - np.log(multiplier)
    np.testing.assert_allclose(log_det, expected, atol=1e-12)


def test_skewness_and_tails_are_as_stated():
    z = scipy.stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    plain = scipy.stats.kurtosis(z)

    def x(skewness, log_tail_weight):
        return SinhArcsinh().forward(z, [raw(skewness), raw(log_tail_weight)])[0]

    assert scipy.stats.skew(x(0.5, 0.0)) > 0.1
    assert scipy.stats.skew(x(-0.5, 0.0)) < -0.1
    assert scipy.stats.kurtosis(x(0.0, -0.5)) > plain + 0.5
    assert scipy.stats.kurtosis(x(0.0, 0.5)) < plain - 0.5


@pytest.mark.parametrize("bound", [1.0, 1.3])
@pytest.mark.parametrize("with_xla", [False, True])
def test_squares_and_their_gradients_are_finite_in_float32(bound, with_xla):
    z = tf.constant([-1e4, 1e4])
    # The largest skewness away from zero, and the heaviest tails. Not so large that tanh is flat.
    parameters = [tf.constant([-3.0, 3.0]), tf.constant([-3.0, -3.0])]

    @tf.function(jit_compile=with_xla)
    def loss_and_gradients():
        with tf.GradientTape() as tape:
            tape.watch([z, *parameters])
            x, log_det = SinhArcsinh(bound).forward(z, parameters)
            loss = tf.reduce_sum(x**2) + tf.reduce_sum(log_det)
        return loss, tape.gradient(loss, [z, *parameters])

    loss, gradients = loss_and_gradients()
    assert np.isfinite(loss)
    assert np.all(np.isfinite(gradients))
    assert np.all(np.abs(gradients) > 0)


def test_log_det_is_right_where_x_overflows():
    z, parameters = [-1e4, 1e4], [[-9.0, 9.0], [-9.0, -9.0]]
    x, log_det = SinhArcsinh(3.0).forward(z, parameters)
    assert np.all(np.isinf(x))
    _, expected = SinhArcsinh(3.0).forward(np.array(z), parameters)
    np.testing.assert_allclose(log_det, expected, rtol=1e-5)  # of exponents of 256
