"""Uniform dequantisation and its seeds."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import max_difference

from tfflows.distributions.dequantization import dequantize, quantize, stateless_seed

PIXELS = np.arange(256, dtype="uint8")


def ks_distance(u):
    """Kolmogorov-Smirnov distance to the uniform distribution on [0, 1)."""
    u = np.sort(u)
    n = len(u)
    return max(np.max(np.arange(1, n + 1) / n - u), np.max(u - np.arange(n) / n))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_is_uniform_above_each_pixel(dtype):
    x = np.repeat(PIXELS, 1000)
    noisy = dequantize(x, 8, seed=0, dtype=dtype).numpy()
    assert noisy.dtype == dtype
    np.testing.assert_array_equal(np.floor(noisy), x)  # in [x, x + 1), also next to 255
    u = noisy - x
    # 1.95 / sqrt(n) is exceeded in one of a thousand cases.
    assert ks_distance(u) < 1.95 / np.sqrt(len(u))
    for value in (0, 255):
        assert ks_distance(u[x == value]) < 1.95 / np.sqrt(1000)


@pytest.mark.parametrize("num_bits", [1, 3, 8])
def test_quantize_takes_the_noise_off(num_bits):
    x = PIXELS[: 2**num_bits].reshape(-1, 2, 1)
    np.testing.assert_array_equal(quantize(dequantize(x, num_bits, seed=1), num_bits), x)


def test_quantize_cuts_to_the_range():
    found = quantize(np.array([-3.0, -0.1, 0.9, 7.0, 7.99, 8.0, 300.0]), 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [0, 0, 0, 7, 7, 7, 7])


def test_equal_seeds_give_equal_noise_in_eager_graph_and_xla():
    eager = dequantize(PIXELS, 8, seed=3)
    np.testing.assert_array_equal(dequantize(PIXELS, 8, seed=3), eager)
    for jit_compile in (False, True):
        draw = tf.function(lambda x, seed: dequantize(x, 8, seed), jit_compile=jit_compile)
        np.testing.assert_array_equal(draw(tf.constant(PIXELS), tf.constant([3, 0])), eager)
    assert max_difference(dequantize(PIXELS, 8, seed=4), eager) > 0.1


def test_no_seed_follows_the_global_one():
    keras.utils.set_random_seed(1)
    first, second = dequantize(PIXELS, 8), dequantize(PIXELS, 8)
    assert max_difference(first, second) > 0.1
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(dequantize(PIXELS, 8), first)


def test_pixels_of_one_image_get_independent_noise():
    u = dequantize(np.zeros([20000, 2], "uint8"), 8, seed=0).numpy()
    assert abs(np.corrcoef(u.T)[0, 1]) < 4 / np.sqrt(20000)


def test_seeds():
    np.testing.assert_array_equal(stateless_seed(7), stateless_seed(np.int64(7)))
    np.testing.assert_array_equal(stateless_seed((3, 4)), [3, 4])
    seeds = [0, 1, -1, 2**31, 2**31 + 1, 2**32 + 1]
    assert len({tuple(stateless_seed(seed).numpy()) for seed in seeds}) == len(seeds)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array([0.5]), r"integer pixels in \[0, 16\), but found dtype float64"),
        (np.array([3, 16]), r"\[0, 16\) for num_bits=4, but found values from 3 to 16\."),
        (np.array([-2, 3]), r"\[0, 16\) for num_bits=4, but found values from -2 to 3\."),
    ],
)
def test_what_is_no_pixel_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        dequantize(x, 4)


def test_what_is_no_pixel_is_refused_in_a_graph():
    draw = tf.function(lambda x: dequantize(x, 4, seed=0))
    for bad in ([16], [-1]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"Pixels must be in \[0, 16\)"):
            draw(tf.constant(bad))


def test_what_is_no_seed_is_refused():
    with pytest.raises(ValueError, match=r"integer or a pair of integers, but found shape \(3,\)"):
        stateless_seed((1, 2, 3))
