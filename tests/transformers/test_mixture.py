"""`LogisticMixture` against SciPy's distributions."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfflows.transformers import LogisticMixture

X = np.linspace(-12, 12, 97)


def raw(mixture):
    return 2 * np.random.default_rng(0).normal(size=mixture.num_parameters)


def test_it_takes_a_mixture_to_a_logistic_distribution():
    mixture = LogisticMixture(components=3)
    logits, means, log_scales = np.split(raw(mixture), 3)
    weights = np.exp(logits) / np.exp(logits).sum()
    start = np.log(1 - 1.5 / (np.pi**2 / 3)) / 2  # 1.5 is the variance of -1.5, 0 and 1.5
    means = 5 * np.tanh(means / 5 + np.arctanh(np.array([-1.5, 0, 1.5]) / 5))
    log_scales = 2 * np.tanh(log_scales / 2 + np.arctanh(start / 2))
    parts = scipy.stats.logistic(means, np.exp(log_scales))
    cdf, pdf = (f(X[:, np.newaxis]) @ weights for f in (parts.cdf, parts.pdf))
    survival = parts.sf(X[:, np.newaxis]) @ weights
    expected = np.log(cdf) - np.log(survival)

    parameters = [tf.constant([p]) for p in raw(mixture)]
    z, log_det = mixture.inverse(X, parameters)
    np.testing.assert_allclose(z, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(log_det, np.log(pdf / cdf / survival), atol=1e-11)
    # As a density: that of the logistic distribution, brought back.
    density = scipy.stats.logistic.pdf(z) * np.exp(log_det)
    np.testing.assert_allclose(density, pdf, rtol=1e-11)
    x, log_det = mixture.forward(expected, parameters)
    np.testing.assert_allclose(x, X, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(log_det, -np.log(pdf / cdf / survival), atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tails_are_those_of_the_widest_component(dtype):
    # Far from all means F is far smaller than any float.
    mixture = LogisticMixture(components=2)
    x = tf.constant([-1e5, 1e5], dtype)
    parameters = [[0.0], [0.0], [-3.0], [3.0], [-1.0], [0.5]]
    parameters = [tf.constant(p, dtype) for p in parameters]
    z, log_det = mixture.inverse(x, parameters)
    start = np.log(1 - 2.25 / (np.pi**2 / 3)) / 2
    scale = np.exp(2 * np.tanh(0.25 + np.arctanh(start / 2)))
    np.testing.assert_allclose(z, x / scale, rtol=1e-4)
    np.testing.assert_allclose(log_det, -np.log(scale) * np.ones(2), rtol=1e-5)
    np.testing.assert_allclose(mixture.forward(z, parameters)[0], x, rtol=1e-6)


@pytest.mark.parametrize("components, error", [(2, 1.2), (3, 0.4), (8, 0.2)])
def test_zeros_are_nearly_the_identity_with_components_that_differ(components, error):
    mixture = LogisticMixture(components)
    x = np.linspace(-4, 4, 41)
    parameters = [tf.zeros([1], "float64") for _ in range(mixture.num_parameters)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        z, log_det = mixture.inverse(x, parameters)
        loss = tf.reduce_sum((z - 1) ** 2)
    np.testing.assert_allclose(z, x, rtol=0, atol=error)
    assert np.abs(log_det).max() < error
    gradients = np.ravel(tape.gradient(loss, parameters))
    # Each component is a kind of its own: equals would go the same way in all of training.
    means = np.reshape(gradients, [3, components])[1]
    assert len(np.unique(means.round(6))) == components


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_many_mixtures_each_is_inverted(dtype):
    # Newton's method alone, kept in a bracket, goes to and fro for one in some ten thousand.
    mixture, n = LogisticMixture(components=4), 200_000
    rng = np.random.default_rng(0)
    parameters = [tf.constant(2 * rng.normal(size=n), dtype) for _ in range(12)]
    z = tf.constant(rng.logistic(size=n), dtype)
    x, log_det = mixture.forward(z, parameters)
    back, inverse_log_det = mixture.inverse(x, parameters)
    # Roundings of x, and of z.
    tolerance = 20 * np.finfo(dtype).eps * (8 * np.exp(-log_det) + np.abs(z) + 1)
    assert np.all(np.abs(back - z) <= tolerance)
    np.testing.assert_array_equal(inverse_log_det, -log_det)


def test_a_density_that_nearly_vanishes_gives_no_nan():
    # Between the two components log-slopes are below those of float32's largest number.
    mixture = LogisticMixture(components=2, bound=10.0, log_scale_bound=3.0)
    parameters = [tf.constant([p]) for p in (0.0, 0.0, -50.0, 50.0, -50.0, -50.0)]
    z = tf.constant([-1.0, 0.0, 1.0])
    with tf.GradientTape() as tape:
        tape.watch([z, *parameters])
        x, log_det = mixture.forward(z, parameters)
    assert np.all(np.abs(x) <= 11) and np.max(log_det) > 88
    gradients = tape.gradient([x, log_det], [z, *parameters])
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


@pytest.mark.parametrize("components", [1, 2.5, "many"])
def test_a_number_of_components_that_is_none_is_an_error(components):
    with pytest.raises(
        ValueError, match=f"components to be an integer of at least 2, but found {components!r}"
    ):
        LogisticMixture(components=components)


@pytest.mark.parametrize("name", ["bound", "log_scale_bound"])
def test_bounds_are_positive(name):
    with pytest.raises(ValueError, match=f"LogisticMixture needs a positive finite {name}, but"):
        LogisticMixture(**{name: -1.0})
