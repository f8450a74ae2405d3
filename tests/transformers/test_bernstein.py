"""`BernsteinPolynomial` against SciPy's polynomials."""

import keras
import numpy as np
import pytest
import scipy.interpolate
import tensorflow as tf

import tfflows
from tfflows.transformers import BernsteinPolynomial


def test_it_is_the_polynomial_of_its_coefficients():
    transformer = BernsteinPolynomial(degree=7, bound=2.0, min_share=0.01)
    raw = np.random.default_rng(0).normal(size=7)
    shares = 0.01 + 0.93 * np.exp(raw) / np.exp(raw).sum()
    coefficients = 4 * np.concatenate([[0], np.cumsum(shares)]) - 2
    polynomial = scipy.interpolate.BPoly(coefficients[:, np.newaxis], [-2.0, 2.0])
    x = np.linspace(-2, 2, 41)
    z, log_det = transformer.inverse(x, [tf.constant([p]) for p in raw])
    np.testing.assert_allclose(z, polynomial(x), rtol=0, atol=1e-13)
    np.testing.assert_allclose(log_det, np.log(polynomial.derivative()(x)), rtol=0, atol=1e-13)


def test_its_tails_are_the_tangents_at_the_ends():
    transformer = BernsteinPolynomial(degree=3, bound=2.0)
    parameters = [tf.constant([p], "float64") for p in (0.3, -1.0, 2.0)]
    x = np.array([-2.0, -7.0, 2.0, 12.0])
    z, log_det = transformer.inverse(x, parameters)
    slopes = np.exp(log_det)
    np.testing.assert_allclose(z, [-2, -2 - 5 * slopes[0], 2, 2 + 10 * slopes[2]], rtol=1e-14)
    np.testing.assert_allclose(slopes[[1, 3]], slopes[[0, 2]], rtol=1e-14)
    np.testing.assert_allclose(transformer.forward(z, parameters)[0], x, rtol=1e-13)


def test_samples_far_beyond_the_box_have_finite_gradients():
    # A search for a root out there would overflow where ends are as flat as these.
    transformer = BernsteinPolynomial()
    raw = [tf.constant([5 * p], "float32") for p in np.random.default_rng(0).normal(size=12)]
    z = tf.constant([-1e6, 0.0, 1e6])
    with tf.GradientTape() as tape:
        tape.watch([z, *raw])
        x, log_det = transformer.forward(z, raw)
    gradients = tape.gradient([x, log_det], [z, *raw])
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


@pytest.mark.slow
def test_it_trains_within_a_stack_under_xla():
    keras.utils.set_random_seed(0)
    transformer = BernsteinPolynomial(degree=4)
    flow = tfflows.MAF((2,), num_layers=2, hidden=(8,), transformer=transformer)
    flow.compile("adam", jit_compile=True)
    x = np.random.default_rng(0).normal(size=[64, 2]).astype("float32")
    history = flow.fit(x, batch_size=32, epochs=1, verbose=0).history
    assert np.isfinite(history["nll"][0])


ERRORS = {
    "degree": ({"degree": 1}, "needs degree to be an integer of at least 2, but found 1"),
    "share": ({"degree": 4, "min_share": 0.25}, "needs min_share to be between 0 and 0.25, but"),
    "bound": ({"bound": 0.0}, "needs a positive finite bound, but found 0.0"),
}


@pytest.mark.parametrize("settings, message", ERRORS.values(), ids=ERRORS)
def test_settings_out_of_their_range_are_errors(settings, message):
    with pytest.raises(ValueError, match=f"BernsteinPolynomial {message}"):
        BernsteinPolynomial(**settings)
