"""Training on two replicas equals training on one device at the same global batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import build_flow, draw_context, draw_data, max_difference

import tfflows


def trained(flow, x, context=None, learning_rate=0.02):
    flow.compile(keras.optimizers.SGD(learning_rate))
    fitted = flow.fit(x, context, batch_size=16, epochs=2, shuffle=False, verbose=0)
    result = flow.evaluate(x, context, batch_size=16, verbose=0, return_dict=True)
    return flow, fitted.history, result


@pytest.mark.parametrize("settings", [{}, {"num_classes": 3}], ids=["vector", "classes"])
def test_training_on_two_replicas_equals_one_device(settings, two_replicas):
    def make():
        return tfflows.RealNVP((3,), num_couplings=2, hidden=(8,), name="flow", **settings)

    single = make()
    x, context = 5 + 3 * draw_data(single, 64), draw_context(single, 64)
    # Else the conditioners' last layer is zero, and no gradient reaches the others.
    start = [0.1 * (i + 1) + weight for i, weight in enumerate(single.get_weights()[:-3])]
    start += single.get_weights()[-3:]
    single.set_weights(start)
    single, history, result = trained(single, x, context)
    with two_replicas.scope():
        mirrored = make()
        mirrored.set_weights(start)
    mirrored, mirrored_history, mirrored_result = trained(mirrored, x, context)

    for ours, theirs, first in zip(
        single.get_weights(), mirrored.get_weights(), start, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        assert max_difference(ours, first) > 0  # something was trained
    for name in history:
        np.testing.assert_allclose(mirrored_history[name], history[name], rtol=1e-5)
    for name in result:
        assert mirrored_result[name] == pytest.approx(result[name], rel=1e-5)


def test_adapted_state_is_equal_on_the_replicas(two_replicas):
    with two_replicas.scope():
        flow = tfflows.RealNVP((2,), num_couplings=1, hidden=(4,))
    x = (5 + 3 * np.random.default_rng(0).normal(size=(32, 2))).astype("float32")
    flow.compile(keras.optimizers.SGD(0.01))
    flow.fit(x, batch_size=16, shuffle=False, verbose=0)
    standardize = flow.transform.layers[-1]
    for weight, expected in (
        (standardize.mean, x.mean(0)),
        (standardize.stddev, x.std(0)),
    ):
        copies = two_replicas.experimental_local_results(weight._value)
        assert len(copies) == 2
        for copy in copies:
            np.testing.assert_allclose(copy, expected, rtol=1e-5)


def test_glow_on_two_replicas_equals_one_device(two_replicas):
    def make():
        keras.utils.set_random_seed(0)
        # Without num_bits: each replica would draw noise of its own.
        return tfflows.Glow((4, 4, 2), levels=2, steps=2, width=4, prior_width=4, name="flow")

    single = make()
    x = 5 + 3 * draw_data(single, 64)
    single, history, result = trained(single, x, learning_rate=1e-3)
    with two_replicas.scope():
        mirrored = make()
    mirrored, mirrored_history, mirrored_result = trained(mirrored, x, learning_rate=1e-3)

    for ours, theirs in zip(single.weights, mirrored.weights, strict=True):
        first, second = two_replicas.experimental_local_results(theirs._value)
        np.testing.assert_array_equal(first, second, err_msg=theirs.path)
        np.testing.assert_allclose(first, ours, rtol=1e-4, atol=1e-5, err_msg=theirs.path)
    actnorm = single.multiscale.levels[1].layers[-2]
    assert isinstance(actnorm, tfflows.layers.ActNorm)
    assert np.all(np.abs(actnorm.shift) > 1)  # it started from the data, not from zero
    np.testing.assert_allclose(mirrored_history["nll"], history["nll"], rtol=1e-5)
    assert mirrored_result["nll"] == pytest.approx(result["nll"], rel=1e-5)


def test_replicas_draw_different_noise(two_replicas):
    with two_replicas.scope():
        flow = build_flow("nice_image")
    x = tf.zeros([1, *flow.event_shape], tf.uint8)
    first, second = two_replicas.experimental_local_results(
        two_replicas.run(tf.function(lambda: flow.log_prob(x)))
    )
    assert max_difference(first, second) > 1e-6
