"""Weights that start from data."""

import numpy as np
import pytest
import tensorflow as tf

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
