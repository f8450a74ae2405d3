"""Checks of values, eagerly and within a graph."""

import numpy as np
import pytest
import tensorflow as tf

from tfflows.checks.values import require_finite, require_range


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_require_finite(bad):
    x = tf.constant([1.0, bad, 2.0])
    with pytest.raises(ValueError, match=r"^x is finite, but 1 of 3 values are NaN or infinite\.$"):
        require_finite(x, "x is finite")
    with pytest.raises(tf.errors.InvalidArgumentError, match="x is finite"):
        tf.function(require_finite)(x, "x is finite")


@pytest.mark.parametrize("bad", [-1, 3, 2**40])
def test_require_range(bad):
    x = tf.constant([1, bad], tf.int64)
    low, high = min(1, bad), max(1, bad)
    with pytest.raises(
        ValueError, match=rf"^x is in \[0, 3\), but found values from {low} to {high}\.$"
    ):
        require_range(x, 3, "x is in [0, 3)")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"x is in \[0, 3\)\."):
        tf.function(require_range)(x, 3, "x is in [0, 3)")


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "graph"])
def test_good_values_pass_through(wrap):
    x = tf.constant([0.0, -1e30, 1e-30])
    np.testing.assert_array_equal(wrap(require_finite)(x, "finite"), x)
    for dtype in (tf.uint8, tf.int32, tf.int64):
        n = tf.constant([0, 2], dtype)
        found = wrap(require_range)(n, 3, "in range")
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, n)


@pytest.mark.parametrize("size", [255, 256, 300])
def test_bounds_beyond_the_dtype(size):
    # A bound of 256 does not fit into the uint8 that is compared with it.
    x = tf.constant([0, 254], tf.uint8)
    for check in (require_range, tf.function(require_range)):
        np.testing.assert_array_equal(check(x, size, "in range"), x)


def test_empty_tensors_pass():
    assert require_range(tf.zeros([0], tf.int32), 3, "in range").shape == (0,)
    assert require_finite(tf.zeros([0]), "finite").shape == (0,)
