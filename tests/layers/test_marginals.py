"""`MarginalGaussianization` against SciPy's distributions, and what `adapt` makes of data."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from cases import cases_of

from tfflows.layers import MarginalGaussianization


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


DATA = {
    "normal": scipy.stats.norm(3.0, 2.0),
    "exponential": scipy.stats.expon(),
    "student_t": scipy.stats.t(3),
    "uniform": scipy.stats.uniform(),
}


@pytest.mark.parametrize("name", cases_of(DATA, [*DATA][1:]))
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


def test_a_batch_that_is_constant_leaves_the_mixture_wide():
    layer = MarginalGaussianization(8)
    layer.adapt(np.full([20, 2], 5.0, "float32"))
    x, log_det = layer.forward_and_log_det(np.array([[-1.0, 0.0], [0.0, 1.0]], "float32"))
    assert np.std(x) > 0.3 and np.all(np.abs(x - 5) < 3)
    assert np.all(np.abs(log_det) < 2)


@pytest.mark.slow
@pytest.mark.parametrize("with_xla", [False, True])
def test_outliers_are_finite_and_as_in_float64(with_xla):
    # Where XLA's own quantile of the normal distribution is not a number.
    layers = {dtype: MarginalGaussianization(8, dtype=dtype) for dtype in ("float32", "float64")}
    x = np.random.default_rng(0).normal(size=[500, 1])
    points = np.linspace(-40, 40, 81)[:, np.newaxis]
    found = {}
    for dtype, layer in layers.items():
        layer.adapt(x.astype(dtype))
        run = tf.function(layer.inverse_and_log_det, autograph=False, jit_compile=with_xla)
        found[dtype] = run(tf.constant(points, dtype))
    for single, double in zip(*found.values(), strict=True):
        np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-4)


def test_one_component_is_an_error():
    with pytest.raises(ValueError, match="needs at least 2 components, but found 1"):
        MarginalGaussianization(1)
