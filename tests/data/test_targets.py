"""The integrals of targets, found in other ways."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
from cases import cases_of

from tfflows.data.targets import _EFFECTS, _ERRORS, TARGETS


@pytest.mark.parametrize("name", cases_of(["u1", "u2", "u3", "u4"], ["u2", "u3", "u4"]))
def test_integrals_on_a_grid(name):
    # Sums over a grid are exact, up to what is beyond it, for functions that are as smooth.
    first, second = np.linspace(-6, 6, 301), np.linspace(-8, 8, 401)
    total = 0.0
    for column in first:
        x = np.stack([np.full_like(second, column), second], 1)
        total += np.exp(TARGETS[name].log_prob(tf.constant(x)).numpy()).sum()
    area = (first[1] - first[0]) * (second[1] - second[0])
    np.testing.assert_allclose(np.log(total * area), TARGETS[name].log_evidence, atol=1e-4)


def test_the_banana_and_the_funnel_are_densities_of_scipy():
    x = np.random.default_rng(0).normal(size=[20, 10])
    norm = scipy.stats.norm
    funnel = norm(0, 3).logpdf(x[:, 0])
    funnel += norm(0, np.exp(x[:, :1] / 2)).logpdf(x[:, 1:]).sum(1)
    np.testing.assert_allclose(TARGETS["funnel"].log_prob(tf.constant(x)), funnel, rtol=1e-10)
    banana = norm.logpdf(x[:, 0]) + norm(x[:, 0] ** 2, 0.5).logpdf(x[:, 1])
    np.testing.assert_allclose(
        TARGETS["banana"].log_prob(tf.constant(x[:, :2])), banana, rtol=1e-10
    )
    assert TARGETS["banana"].log_evidence == TARGETS["funnel"].log_evidence == 0


def test_eight_schools():
    effects, errors, norm = np.array(_EFFECTS), np.array(_ERRORS), scipy.stats.norm

    def density(log_deviation):
        # The mean and the effects are integrated over in closed form.
        covariance = np.diag(errors**2 + np.exp(2 * log_deviation)) + 10.0**2
        normal = scipy.stats.multivariate_normal(np.zeros(8), covariance)
        return normal.pdf(effects) * norm.pdf(log_deviation, 5, 1)

    integral, _ = scipy.integrate.quad(density, -3, 13, points=[0, 2, 4, 6], epsabs=0)
    target = TARGETS["eight_schools"]
    np.testing.assert_allclose(np.log(integral), target.log_evidence, rtol=1e-9)

    x = np.random.default_rng(0).normal(size=[5, 10])
    expected = norm(0, 10).logpdf(x[:, 0]) + norm(5, 1).logpdf(x[:, 1])
    expected += norm.logpdf(x[:, 2:]).sum(1)
    means = x[:, :1] + np.exp(x[:, 1:2]) * x[:, 2:]
    expected += norm(means, errors).logpdf(effects).sum(1)
    np.testing.assert_allclose(target.log_prob(tf.constant(x)), expected, rtol=1e-10)


@pytest.mark.parametrize("name", TARGETS)
def test_targets_take_both_dtypes_and_have_gradients(name):
    target = TARGETS[name]
    for dtype in ("float32", "float64"):
        x = tf.zeros([3, target.dim], dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_p = target.log_prob(x)
        assert log_p.shape == (3,) and log_p.dtype == dtype
        assert np.all(np.isfinite(tape.gradient(log_p, x)))
