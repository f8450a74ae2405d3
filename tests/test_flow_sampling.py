"""Seeds, temperature and context of `sample`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import FLOWS, build_flow, cases_of, draw_context, max_difference


def test_equal_seeds_give_equal_samples_and_others_differ():
    flow = build_flow("realnvp")
    first = flow.sample(5, seed=1)
    np.testing.assert_array_equal(flow.sample(5, seed=1), first)
    np.testing.assert_array_equal(flow.sample(5, seed=(1, 0)), first)
    for seed in (0, 2, -1, 2**31 + 1, (1, 1)):
        assert max_difference(flow.sample(5, seed=seed), first) > 1e-3


def test_no_seed_follows_the_global_one():
    flow = build_flow("realnvp")
    keras.utils.set_random_seed(4)
    first, second = flow.sample(5), flow.sample(5)
    assert max_difference(first, second) > 1e-3
    keras.utils.set_random_seed(4)
    np.testing.assert_array_equal(flow.sample(5), first)


def test_no_seed_draws_anew_at_each_call_of_a_graph():
    flow = build_flow("realnvp")
    sample = tf.function(lambda: flow.sample(5))
    assert max_difference(sample(), sample()) > 1e-3


@pytest.mark.parametrize("name", cases_of(FLOWS))
def test_temperature_zero_is_the_decode_of_zeros(name):
    flow = build_flow(name)
    context = draw_context(flow, 3)
    zeros = np.zeros([3, *flow.transform.latent_shape], "float32")
    expected = flow.decode(zeros, context)
    np.testing.assert_array_equal(flow.sample(3, 0.0, context=context), expected)


@pytest.mark.parametrize("name", ["realnvp", "realnvp_logistic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_temperature_is_a_factor_on_z(name, dtype):
    flow = build_flow(name, dtype)
    z = flow.encode(flow.sample(50, seed=0))
    cooler = flow.encode(flow.sample(50, temperature=0.7, seed=0))
    assert max_difference(cooler, 0.7 * z) < (1e-4 if dtype == "float32" else 1e-10)


def test_one_context_for_all_samples():
    for name in ("realnvp_classes", "realnvp_context"):
        flow = build_flow(name)
        one = draw_context(flow, 1)
        all_of_them = np.repeat(one, 4, axis=0)
        expected = flow.sample(4, seed=0, context=all_of_them)
        np.testing.assert_array_equal(flow.sample(4, seed=0, context=one[0]), expected)


def test_samples_of_classes_differ():
    flow = build_flow("realnvp_classes")
    samples = [flow.sample(4, seed=0, context=label) for label in range(3)]
    assert max_difference(samples[0], samples[1]) > 1e-3
    assert max_difference(samples[1], samples[2]) > 1e-3


@pytest.mark.parametrize("name", ["realnvp", "realnvp_logistic"])
def test_base_samples_have_the_moments_of_the_base(name):
    flow = build_flow(name)
    n = 40000
    z = flow.encode(flow.sample(n, seed=0)).numpy()
    variance = {"Normal": 1.0, "Logistic": np.pi**2 / 3}[type(flow.base_layer).__name__]
    fourth = {"Normal": 3.0, "Logistic": 4.2}[type(flow.base_layer).__name__]  # kurtosis
    assert np.all(np.abs(z.mean(0)) < 4 * np.sqrt(variance / n))
    assert np.all(np.abs(z.var(0) - variance) < 4 * variance * np.sqrt((fourth - 1) / n))
    assert abs(np.mean(z[:, 0] * z[:, 1])) < 4 * variance / np.sqrt(n)
