"""`MarginalGaussianization` against SciPy's distributions, and what `adapt` makes of data."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfflows.layers import MarginalGaussianization
from tfflows.layers.marginals import _logit, _probit


def test_it_takes_a_mixture_to_a_normal_distribution():
    layer = MarginalGaussianization(3, dtype="float64")
    layer.build((None, 2))
    rng = np.random.default_rng(0)
    for weight in layer.weights[:3]:
        weight.assign(rng.normal(size=[3, 2]))
    weights = np.exp(layer.logits) / np.exp(layer.logits).sum(0)
    parts = scipy.stats.logistic(np.asarray(layer.means), np.exp(layer.log_scales))
    x = rng.normal(0, 2, [50, 2])
    cdf, pdf = ((f(x[:, np.newaxis]) * weights).sum(1) for f in (parts.cdf, parts.pdf))
    expected = scipy.stats.norm.ppf(cdf)
    slope = np.log(pdf) - scipy.stats.norm.logpdf(expected)
    z, log_det = layer.inverse_and_log_det(tf.constant(x))
    np.testing.assert_allclose(z, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(log_det, slope.sum(1), rtol=1e-9, atol=1e-9)
    back, forward_log_det = layer.forward_and_log_det(z)
    np.testing.assert_allclose(back, x, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(forward_log_det, -log_det, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logit_and_probit_of_both_tails(dtype):
    # Across the places where one formula takes the other's turn.
    z = np.concatenate([np.linspace(-45, 45, 9001), [-1e4, 1e4]])
    expected = scipy.stats.norm.logcdf(z) - scipy.stats.norm.logsf(z)
    with tf.GradientTape(persistent=True) as tape:
        value = tf.constant(z, dtype)
        tape.watch(value)
        logit, log_slope = _logit(value)
        back, back_log_slope = _probit(logit)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(logit, expected, rtol=30 * eps, atol=30 * eps)
    np.testing.assert_allclose(back, z, rtol=30 * eps, atol=30 * eps)
    slope = tape.gradient(logit, value)
    near = np.abs(z) < 1e3
    # Exponents of this size are rounded.
    tolerance = 10 * eps * (1 + z[near] ** 2)
    assert np.all(np.abs(np.log(slope)[near] - log_slope[near]) <= tolerance)
    assert np.all(np.abs(log_slope + back_log_slope)[near] <= tolerance)
    np.testing.assert_allclose(tape.gradient(back, value), np.ones_like(z), rtol=1e-4)


DATA = {
    "normal": scipy.stats.norm(3.0, 2.0),
    "exponential": scipy.stats.expon(),
    "student_t": scipy.stats.t(3),
    "uniform": scipy.stats.uniform(),
}


@pytest.mark.parametrize("name", DATA)
def test_adapted_to_data_it_makes_other_data_normal(name):
    x = DATA[name].rvs([20_000, 1], random_state=0)
    layer = MarginalGaussianization(32, dtype="float64")
    layer.adapt(x[:10_000])
    z, log_det = layer.inverse_and_log_det(x[10_000:])
    assert scipy.stats.kstest(z[:, 0], "norm").statistic < 0.03
    # Its density is nearly the best one: nats above the entropy of the distribution.
    found = np.mean(log_det + scipy.stats.norm.logpdf(z[:, 0]))
    excess = np.mean(DATA[name].logpdf(x[10_000:])) - found
    assert -0.01 < excess < 0.06


def test_constant_columns_and_repeated_values_have_finite_densities():
    x = np.random.default_rng(0).integers(0, 3, [500, 3]).astype("float32")
    x[:, 0] = 7.0
    layer = MarginalGaussianization(8)
    z = layer.adapt(x)
    assert np.all(np.isfinite(z))
    z, log_det = layer.inverse_and_log_det(np.array([[7.5, 0.5, 9.0]], "float32"))
    assert np.all(np.isfinite(z)) and np.all(np.isfinite(log_det))


def test_one_component_is_an_error():
    with pytest.raises(ValueError, match="needs at least 2 components, but found 1"):
        MarginalGaussianization(1)
