"""`InverseCDF` against SciPy's quantiles."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from cases import cases_of

import tfflows
from tfflows.layers import Chain, InverseCDF, Reverse

tfd = tfp.distributions

# Of TFP, each with SciPy's.
DISTRIBUTIONS = {
    "gamma": (lambda one: tfd.Gamma(2.0 * one, one), scipy.stats.gamma(2.0)),
    "student_t": (lambda one: tfd.StudentT(3.0 * one, 0.0, one), scipy.stats.t(3.0)),
    "laplace": (lambda one: tfd.Laplace(0.0, one), scipy.stats.laplace()),
    "uniform": (lambda one: tfd.Uniform(-one, one), scipy.stats.uniform(-1, 2)),
    "beta": (lambda one: tfd.Beta(2.0 * one, 3.0 * one), scipy.stats.beta(2.0, 3.0)),
    "gumbel": (lambda one: tfd.Gumbel(0.0, one), scipy.stats.gumbel_r()),
}


# All but one are slow.
every_distribution = pytest.mark.parametrize("name", cases_of(DISTRIBUTIONS, [*DISTRIBUTIONS][1:]))


def layer_of(name, dtype, dim=1):
    make, _ = DISTRIBUTIONS[name]
    layer = InverseCDF(lambda shape: make(tf.ones(shape, dtype)), dtype=dtype)
    layer.build((None, dim))
    return layer


@every_distribution
@pytest.mark.parametrize("dtype, largest", [("float32", 4.0), ("float64", 6.0)])
def test_quantiles_are_those_of_scipy(name, dtype, largest):
    z = np.linspace(-largest, largest, 33)[:, np.newaxis]
    truth = DISTRIBUTIONS[name][1]
    # From the tail that is nearer, where probabilities are not rounded to 1.
    tail = scipy.stats.norm.cdf(-np.abs(z))
    expected = np.where(z < 0, truth.ppf(tail), truth.isf(tail))
    layer = layer_of(name, dtype)
    x, log_det = layer.forward_and_log_det(tf.constant(z, dtype))
    # Of TFP's F, relative to 1 where it has it from its complement, over the slope of z.
    error = 100 * np.finfo(dtype).eps / scipy.stats.norm.pdf(z)
    slope = scipy.stats.norm.pdf(z) / truth.pdf(expected)
    assert np.all(np.abs(x - expected) <= error * slope + error * np.abs(expected))
    log_slope = np.log(slope[:, 0])
    np.testing.assert_allclose(log_det, log_slope, atol=3 * error.max())
    back, inverse_log_det = layer.inverse_and_log_det(x)
    assert np.all(np.abs(back - z) <= 3 * error)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=3 * error.max())


@every_distribution
def test_of_a_normal_base_it_makes_the_distribution(name):
    flow = tfflows.Flow(layer_of(name, "float32", 2), (2,))
    truth = DISTRIBUTIONS[name][1]
    x = truth.rvs([50, 2], random_state=0)
    expected = truth.logpdf(x).sum(1)
    np.testing.assert_allclose(flow.log_prob(x.astype("float32")), expected, rtol=1e-3, atol=1e-3)
    samples = flow.sample(2000, seed=0).numpy()[:, 0]
    assert scipy.stats.kstest(samples, truth.cdf).pvalue > 1e-3


def test_a_mixture_without_quantiles():
    def mixture(shape):
        parts = tfd.Normal(tf.constant([-2.0, 2.0]) + tf.zeros([*shape, 2]), 0.5)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=tf.zeros([*shape, 2])), parts)

    layer = InverseCDF(mixture)
    z = tf.constant([[-2.0], [-0.5], [0.3], [2.0]])
    x, log_det = layer.forward_and_log_det(z)
    cdf = 0.5 * (scipy.stats.norm.cdf((x + 2) / 0.5) + scipy.stats.norm.cdf((x - 2) / 0.5))
    np.testing.assert_allclose(cdf, scipy.stats.norm.cdf(z), rtol=1e-4)
    pdf = scipy.stats.norm.pdf((x + 2) / 0.5) + scipy.stats.norm.pdf((x - 2) / 0.5)
    expected = scipy.stats.norm.logpdf(z) - np.log(pdf)
    np.testing.assert_allclose(log_det, expected[:, 0], atol=1e-3)


@keras.saving.register_keras_serializable(package="tests")
def trained_gamma(shape):
    return tfd.Gamma(tfp.util.TransformedVariable(tf.ones(shape), tfp.bijectors.Exp()), 1.0)


def test_its_variables_are_trained_and_saved(tmp_path):
    flow = tfflows.Flow(Chain([Reverse(), InverseCDF(trained_gamma)]), (2,))
    x = np.random.default_rng(0).gamma([4.0, 0.7], size=[4000, 2]).astype("float32")
    flow.compile(keras.optimizers.Adam(0.05))
    flow.fit(x, batch_size=500, epochs=20, verbose=0)
    fitted = np.exp(flow.trainable_weights[0])
    expected = [scipy.stats.gamma.fit(column, floc=0, fscale=1)[0] for column in x.T]
    np.testing.assert_allclose(fitted, expected, rtol=0.05)
    flow.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras")
    np.testing.assert_allclose(loaded.log_prob(x[:5]), flow.log_prob(x[:5]), rtol=1e-6)


def test_gradients_of_samples_are_those_of_the_quantile():
    z = tf.constant([[-1.0], [0.5]], "float64")
    concentration = tf.Variable([2.0], dtype="float64")
    layer = InverseCDF(
        lambda shape: tfd.Gamma(concentration, tf.ones(shape, "float64")), dtype="float64"
    )
    with tf.GradientTape() as tape:
        x, _ = layer.forward_and_log_det(z)
        total = tf.reduce_sum(x)
    probability = scipy.stats.norm.cdf(z)
    quantile = lambda a: scipy.stats.gamma.ppf(probability, a).sum()  # noqa: E731
    expected = (quantile(2 + 1e-5) - quantile(2 - 1e-5)) / 2e-5
    np.testing.assert_allclose(tape.gradient(total, concentration), [expected], rtol=1e-6)


@every_distribution
def test_tails_are_finite_with_finite_gradients(name):
    layer = layer_of(name, "float32")
    for method, value in (
        (layer.forward_and_log_det, [[-5.0], [-4.0], [0.0], [4.0], [5.0]]),
        (layer.inverse_and_log_det, [[1e-3], [0.5], [0.999]]),
    ):
        value = tf.constant(value)
        with tf.GradientTape() as tape:
            tape.watch(value)
            result, log_det = method(value)
        assert np.all(np.isfinite(result))
        assert np.all(np.isfinite(log_det))
        assert np.all(np.isfinite(tape.gradient([result, log_det], value)))


def test_the_inverse_of_its_own_samples_has_gradients():
    # TFP's bijectors remember which z an x came from, and would return that one.
    one = tf.ones([1], "float64")
    layer = InverseCDF(lambda shape: tfd.LogNormal(0 * one, one), dtype="float64")
    z = tf.constant([[-1.0], [0.3]], "float64")
    x, _ = layer.forward_and_log_det(z)
    with tf.GradientTape() as tape:
        tape.watch(x)
        back, log_det = layer.inverse_and_log_det(x)
    gradient = tape.gradient(back, x)
    np.testing.assert_allclose(gradient[:, 0], np.exp(log_det), rtol=1e-8)


MISTAKES = {
    "no distribution": (lambda shape: tf.ones(shape), "must return a tfd.Distribution"),
    "one event": (
        lambda shape: tfd.Normal(0.0, 1.0),
        r"shape \(2,\), but .Normal. has \(\) ",
    ),
    "dtype": (lambda s: tfd.Normal(tf.zeros(s, "float64"), 1.0), "but 'Normal' has dtype float64"),
    "discrete": (lambda shape: tfd.Poisson(tf.ones(shape)), "but 'Poisson' is discrete"),
    "no cdf": (lambda shape: tfd.VonMisesFisher(tf.ones([*shape, 3]), 1.0), "event shape"),
}


@pytest.mark.parametrize("make, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        InverseCDF(make).build((None, 2))
