"""Numbers of a seed against TensorFlow's own kernels, and the same under XLA."""

import numpy as np
import pytest
import tensorflow as tf
from cases import max_difference

import tfflows
from tfflows.random import stateless

EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
SHAPES = [(), (1,), (5,), (3, 4), (0, 2), (200, 3)]
SEEDS = [(0, 0), (1, 2), (-5, 2**31 - 1)]


@pytest.mark.parametrize("dtype", EPS)
def test_numbers_are_those_of_tensorflows_kernels(dtype):
    for shape in SHAPES:
        for seed in SEEDS:
            found = stateless.uniform(shape, seed, dtype)
            assert found.dtype == dtype
            expected = tf.random.stateless_uniform(shape, seed, dtype=dtype, alg="philox")
            np.testing.assert_array_equal(found, expected)
            # A number is at most 5.7, and two roundings of its factors are in each.
            found = stateless.normal(shape, seed, dtype)
            expected = tf.random.stateless_normal(shape, seed, dtype=dtype, alg="philox")
            np.testing.assert_allclose(found, expected, rtol=0, atol=16 * EPS[dtype])


@pytest.mark.parametrize("dtype", EPS)
def test_a_seed_that_is_a_tensor_gives_the_same_numbers_under_xla(dtype):
    def draws(seed):
        return stateless.uniform([7, 3], seed, dtype), stateless.normal([7, 3], seed, dtype)

    for seed in SEEDS:
        compiled = tf.function(draws, jit_compile=True, autograph=False)(tf.constant(seed))
        for found, expected in zip(compiled, draws(seed), strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=16 * EPS[dtype])


@pytest.mark.parametrize("base", ["normal", "logistic", "mixture"])
def test_samples_of_a_seed_that_is_a_tensor_are_the_same_under_xla(base):
    bases = {
        "normal": "normal",
        "logistic": tfflows.distributions.Logistic(),
        "mixture": tfflows.distributions.GaussianMixture(3),
    }
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), base=bases[base])
    compiled = tf.function(lambda seed: flow.sample(20, seed=seed), jit_compile=True)
    seed = tf.constant([3, 1])
    np.testing.assert_allclose(compiled(seed), flow.sample(20, seed=seed), atol=1e-5)
    assert max_difference(compiled(seed), flow.sample(20, seed=[3, 2])) > 0.1
