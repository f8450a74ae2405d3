"""The scales of `Affine` and `SigmoidAffine`."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfflows.transformers import Affine, SigmoidAffine

Z = np.linspace(-3, 3, 31)
H = np.linspace(-1, 1, 31)
T = np.linspace(2, -5, 31)


@pytest.mark.parametrize("bound", [0.1, 2.0])
def test_log_scale_is_bounded(bound):
    h = [-1e30, -1.0, 1e-3, 1.0, 1e30]
    _, log_det = Affine(bound).forward(tf.ones([5]), [h, tf.zeros([5])])
    assert np.all(np.abs(log_det) <= np.float32(bound))
    np.testing.assert_allclose(log_det[::4], [-bound, bound], rtol=1e-6)
    np.testing.assert_allclose(log_det[2], 1e-3, rtol=1e-4)  # tanh(u) = u + O(u^3), u <= 0.01


def test_without_a_bound_h_is_the_log_scale():
    x, log_det = Affine(bound=None).forward(Z, [10 * H, T])
    np.testing.assert_array_equal(log_det, 10 * H)
    np.testing.assert_allclose(x, Z * np.exp(10 * H) + T, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transformer", [Affine(), SigmoidAffine()])
def test_results_are_those_of_released_flows_to_the_last_bit(transformer, dtype):
    # Weights that were trained with these operations, in this order, give the same samples.
    z, h, t = (tf.constant(value, dtype) for value in (Z, 4 * H, T))
    if transformer == Affine():
        s = 2.0 * tf.tanh(h / 2.0)
    else:
        s = tf.minimum(tf.math.softplus(-h - 2.0), 5.0)
    x, log_det = transformer.forward(z, [h, t])
    np.testing.assert_array_equal(x, z * tf.exp(s) + t)
    np.testing.assert_array_equal(log_det, s)
    back, log_det = transformer.inverse(x, [h, t])
    np.testing.assert_array_equal(back, (x - t) * tf.exp(-s))
    np.testing.assert_array_equal(log_det, -s)


def test_sigmoid_scale():
    h = np.linspace(-6, 20, 53)  # sigmoid(h + 2) is above exp(-5) from h = -6.99 on
    z, log_det = SigmoidAffine().inverse(np.ones(53), [h, np.zeros(53)])
    np.testing.assert_allclose(z, scipy.special.expit(h + 2), rtol=1e-14)
    np.testing.assert_allclose(log_det, np.log(scipy.special.expit(h + 2)), atol=1e-14)


def test_sigmoid_scale_is_not_below_its_least():
    x, log_det = SigmoidAffine().forward(np.ones(3), [[-7.0, -100.0, -1e30], np.zeros(3)])
    np.testing.assert_allclose(x, np.exp(5) * np.ones(3), rtol=1e-14)
    np.testing.assert_array_equal(log_det, 5 * np.ones(3))
