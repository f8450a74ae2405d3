"""Weights that start from data."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import build_flow

import tfflows
from tfflows.layers import Scale, Standardize


@pytest.mark.parametrize("constant", [0.0, 0.1, 123.456, 1e4 + 0.3])
def test_a_constant_dimension_keeps_a_scale_of_one(constant):
    x = np.random.default_rng(0).normal(3, 2, [1000, 2]).astype("float32")
    x[:, 1] = constant
    standardize, scale = Standardize(), Scale()
    standardize.adapt(x)
    scale.adapt(x)
    np.testing.assert_allclose(standardize.stddev, [x[:, 0].std(), 1.0], rtol=1e-5)
    np.testing.assert_allclose(standardize.mean, x.mean(0, dtype="float64"), rtol=1e-6)
    np.testing.assert_allclose(scale.weight, [np.log(x[:, 0].std()), 0.0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6])
def test_a_small_spread_is_none_too_many(spread):
    """The data's own resolution decides what is constant."""
    z = np.random.default_rng(0).normal(size=[1000, 2])
    x = 1e5 + spread * z
    layer = Standardize(dtype="float64")
    layer.adapt(x)
    np.testing.assert_allclose(layer.stddev, x.std(0), rtol=1e-6)
    x = (1.0 + 1e-5 * z).astype("float32")
    layer = Standardize()
    layer.adapt(x)
    np.testing.assert_allclose(layer.stddev, x.std(0, dtype="float64"), rtol=1e-6)


def test_float64_is_centred_before_it_is_rounded():
    """Half an hour of seconds since 1970, of which float32 knows 14 different ones."""
    rng = np.random.default_rng(0)
    x = np.stack([1.7e9 + rng.uniform(0, 1800, 500), rng.normal(size=500)], 1)
    for flow in (tfflows.RealNVP((2,), num_couplings=2, hidden=(8,)), build_flow("realnvp")):
        flow.adapt(x, again=True)
        stddev = flow.transform.layers[-1].stddev
        np.testing.assert_allclose(stddev, x.std(0), rtol=1e-5)
        z = flow.encode(x)
        assert z.dtype == tf.float32
        assert len(np.unique(z[:, 0])) == 500
        assert flow.score(x).dtype == tf.float32
        expected = flow.log_prob(x)
        for memory in ("checkpoint", "invert"):
            flow.memory = memory
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(flow.log_prob(x, training=True))
            assert all(g is not None for g in tape.gradient(loss, flow.trainable_variables))
            np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-5)


def test_adapt_says_where_decoding_is_coarse():
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=500), 1.7e9 + rng.uniform(0, 1800, 500)], 1)
    expected = "1 of 2 columns are coarse: column 2, of values about 1.7e.09, has steps of 128, and"
    with pytest.warns(UserWarning, match=expected):
        tfflows.RealNVP((2,), num_couplings=2, hidden=(8,)).adapt(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), dtype="float64").adapt(x)
        tfflows.RealNVP((2,), num_couplings=2, hidden=(8,)).adapt(x - [0, 1.7e9])
        # Contexts are not decoded.
        conditional = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), context_dim=1)
        conditional.adapt(x - [0, 1.7e9], x[:, 1:])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("as_integers", [False, True])
def test_fit_sees_all_digits(dtype, as_integers):
    rng = np.random.default_rng(0)
    x = np.stack([1.7e9 + rng.uniform(0, 1800, 512), rng.uniform(0, 99, 512)], 1)
    x = x.astype("int64") if as_integers else x
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), dtype=dtype)
    flow.compile(keras.optimizers.SGD(0.0))
    arguments = {"batch_size": 128, "verbose": 0}
    history = flow.fit(x, validation_data=(x,), **arguments).history
    expected = pytest.approx(-np.mean(flow.log_prob(x)), rel=1e-5)
    data = tf.data.Dataset.from_tensor_slices(x).batch(128)
    found = [
        *(history["nll"][0], history["val_nll"][0]),
        *(flow.evaluate(x, **arguments)[1], flow.evaluate(data, verbose=0)[1]),
        flow.test_on_batch(x)[1],
    ]
    assert found == [expected] * 5
    # Close to the entropy of what it is, which rounded numbers do not have.
    assert expected.expected < np.log(1800) + np.log(99) + 1


def test_prior_examples_bound_the_scale_of_a_dark_pixel():
    x = np.random.default_rng(0).normal(0, 2, [9, 2])
    x[:, 1] = 0
    layer = Standardize(prior_examples=1.0, dtype="float64")
    layer.adapt(x)
    average = x[:, 0].var() / 2
    np.testing.assert_allclose(layer.stddev[1], np.sqrt(average / 10))
    np.testing.assert_allclose(layer.stddev[0], np.sqrt((9 * x[:, 0].var() + average) / 10))


def test_scale_divides_by_its_factor():
    layer = Scale(factor=10.0)
    z = layer.adapt(tf.constant([[0.0], [4.0]]))
    np.testing.assert_allclose(layer.weight, [np.log(2) / 10], rtol=1e-6)
    np.testing.assert_allclose(z, [[0.0], [2.0]], rtol=1e-6)
