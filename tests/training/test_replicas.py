"""Training on two replicas equals training on one device at the same global batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import build_flow, draw_context, draw_data, max_difference

import tfflows


def trained(flow, x, context=None):
    flow.compile(keras.optimizers.SGD(0.02))
    fitted = flow.fit(x, context, batch_size=16, epochs=2, shuffle=False, verbose=0)
    result = flow.evaluate(x, context, batch_size=16, verbose=0, return_dict=True)
    return flow, fitted.history, result


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"num_classes": 3}], ids=["vector", "classes"])
def test_training_on_two_replicas_equals_one_device(settings, two_replicas):
    def make():
        return tfflows.RealNVP((3,), num_couplings=2, hidden=(8,), name="flow", **settings)

    single = make()
    x, context = 5 + 3 * draw_data(single, 64), draw_context(single, 64)
    single.adapt(x, context)
    # Else the conditioners' last layer is zero, and no gradient reaches the others.
    for i, weight in enumerate(single.trainable_weights):
        weight.assign(0.1 * (i + 1) + weight)
    start = single.get_weights()
    single, history, result = trained(single, x, context)
    with two_replicas.scope():
        mirrored = make()
        mirrored.set_weights(start)
    mirrored, mirrored_history, mirrored_result = trained(mirrored, x, context)

    for ours, theirs in zip(single.weights, mirrored.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    for weight, first in zip(single.weights, start, strict=True):
        assert (max_difference(weight, first) > 0) == weight.trainable
    for name in history:
        np.testing.assert_allclose(mirrored_history[name], history[name], rtol=1e-5)
    for name in result:
        assert mirrored_result[name] == pytest.approx(result[name], rel=1e-5)


@pytest.mark.slow
def test_fitting_to_a_target_on_two_replicas_equals_one_device(two_replicas):
    def fitted():
        keras.utils.set_random_seed(0)
        flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        flow.compile(keras.optimizers.SGD(0.05))
        history = flow.fit_to(
            lambda x: -tf.reduce_sum((x - 1) ** 2, -1),
            epochs=1,
            steps_per_epoch=5,
            batch_size=64,
            verbose=0,
        ).history
        return flow.log_prob(np.ones([1, 2], "float32")), history["elbo"]

    expected = fitted()
    with two_replicas.scope():
        found = fitted()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


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


def test_replicas_draw_different_noise(two_replicas):
    with two_replicas.scope():
        flow = build_flow("nice_image")
    x = tf.zeros([1, *flow.event_shape], tf.uint8)
    first, second = two_replicas.experimental_local_results(
        two_replicas.run(tf.function(lambda: flow.log_prob(x)))
    )
    assert max_difference(first, second) > 1e-6
