"""Roots of increasing functions, against inverse functions that are known."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfflows.transformers.roots import increasing_root

# Functions with their log-slopes, and their inverses.
FUNCTIONS = {
    "cube": (lambda u: (u**3 + u, tf.math.log(3 * u**2 + 1)), lambda u: u**3 + u),
    # Flat but in the middle, where Newton's steps from elsewhere lead far away.
    "sigmoid": (
        lambda u: (tf.sigmoid(u), tf.math.log_sigmoid(u) + tf.math.log_sigmoid(-u)),
        scipy.special.expit,
    ),
    "tanh and a little": (
        lambda u: (tf.tanh(9 * u) + 1e-3 * u, tf.math.log(9 / tf.cosh(9 * u) ** 2 + 1e-3)),
        lambda u: np.tanh(9 * u) + 1e-3 * u,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_roots_are_where_values_were_taken(name, dtype):
    function, numpy_function = FUNCTIONS[name]
    u = np.linspace(-6, 6, 49)
    target, ends = tf.constant(numpy_function(u), dtype), tf.fill([49], tf.constant(20.0, dtype))
    found = increasing_root(function, target, -ends, ends)
    value, log_slope = function(tf.constant(u, dtype))
    # The target and the function are rounded.
    eps = np.finfo(dtype).eps
    tolerance = 8 * eps * (np.abs(value) + 1e-3) / np.exp(log_slope) + 8 * eps * np.abs(u)
    assert np.all(np.abs(found - u) <= tolerance)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graphs_and_xla_find_the_same(jit_compile):
    function, numpy_function = FUNCTIONS["cube"]
    u = np.linspace(-6, 6, 13)
    run = tf.function(increasing_root, autograph=False, jit_compile=jit_compile)
    ends = tf.fill([13], tf.constant(20.0, "float64"))
    found = run(function, tf.constant(numpy_function(u)), -ends, ends)
    np.testing.assert_allclose(found, u, rtol=1e-14, atol=1e-14)


def test_a_target_beyond_the_ends_gives_the_nearer_one():
    function = FUNCTIONS["cube"][0]
    ends = tf.ones([2], "float64")
    found = increasing_root(function, tf.constant([-1e9, 1e9], "float64"), -ends, ends)
    np.testing.assert_allclose(found, [-1, 1], rtol=1e-12)


def test_first_and_second_derivatives_are_those_of_the_inverse():
    # u = log(y / a), with a parameter within the function.
    y, a = tf.constant([0.5, 3.0], "float64"), tf.constant([2.0, 0.7], "float64")
    ends = tf.fill([2], tf.constant(9.0, "float64"))
    with tf.GradientTape(persistent=True) as outer:
        outer.watch([y, a])
        with tf.GradientTape() as inner:
            inner.watch([y, a])
            u = increasing_root(lambda u: (a * tf.exp(u), u + tf.math.log(a)), y, -ends, ends)
        first = inner.gradient(u, [y, a])
    np.testing.assert_allclose(u, np.log(y / a), rtol=1e-14)
    np.testing.assert_allclose(first, [1 / y, -1 / a], rtol=1e-13)
    np.testing.assert_allclose(outer.gradient(first[0], y), -1 / y**2, rtol=1e-12)
    np.testing.assert_allclose(outer.gradient(first[1], a), 1 / a**2, rtol=1e-12)


def test_the_search_is_that_of_the_frozen_function():
    calls, ends = [], tf.fill([1], tf.constant(9.0, "float64"))

    def function(u):
        calls.append(u)
        return tf.exp(u), u

    frozen = FUNCTIONS["cube"][0]
    # The root of the frozen function, and two of Newton's steps towards that of the other.
    u = increasing_root(function, tf.constant([10.0], "float64"), -ends, ends, frozen)
    expected = 2.0
    for _ in range(2):
        expected += (10 - np.exp(expected)) / np.exp(expected)
    np.testing.assert_allclose(u, expected, rtol=1e-12)
    assert len(calls) == 2
