"""The fused optimizer computes what Keras's does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import build_flow, draw_data, max_difference

from tfflows.training import FusedAdamW

SETTINGS = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "everything": {
        "weight_decay": 0.01,
        "global_clipnorm": 0.5,
        "beta_1": 0.8,
        "epsilon": 1e-3,
    },
}


def trained(optimizer):
    flow = build_flow("realnvp")
    flow.compile(optimizer)
    flow.fit(draw_data(flow, 64), batch_size=16, epochs=3, shuffle=False, verbose=0)
    return flow.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_equals_keras(settings):
    expected = trained(keras.optimizers.AdamW(0.01, **settings))
    for found, wanted, start in zip(
        trained(FusedAdamW(0.01, **settings)),
        expected,
        build_flow("realnvp").get_weights(),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
        assert found.dtype == bool or max_difference(found, start) > 1e-3 or not found.size > 2


@pytest.mark.slow
def test_equals_keras_on_two_replicas(two_replicas):
    # Clipped, which Keras does to each replica's part of the gradient.
    settings = {"global_clipnorm": 0.1, "epsilon": 0.1}
    expected = trained(keras.optimizers.AdamW(0.01, **settings))
    with two_replicas.scope():
        found = trained(FusedAdamW(0.01, **settings))
    for one, two in zip(expected, found, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_learning_rate_schedule_and_config():
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 8)
    optimizer = FusedAdamW(schedule, weight_decay=0.1)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(copy, FusedAdamW)
    for found, wanted in zip(
        trained(copy), trained(keras.optimizers.AdamW(schedule, weight_decay=0.1)), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_one_operation_a_weight():
    weight = tf.Variable([1.0, 2.0])
    optimizer = FusedAdamW()
    optimizer.build([weight])

    @tf.function
    def step():
        optimizer.apply([tf.ones(2)], [weight])

    kinds = [operation.type for operation in step.get_concrete_function().graph.get_operations()]
    assert kinds.count("ResourceApplyAdam") == 1


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="no amsgrad"):
        FusedAdamW(amsgrad=True)


def test_moving_average_forgets_the_start():
    variable = keras.Variable(np.array([5.0, -3.0], "float32"))
    optimizer = FusedAdamW(0.5, use_ema=True, ema_momentum=0.9)
    optimizer.build([variable])
    average = np.zeros(2)
    for step in range(200):
        optimizer.apply([tf.constant([1.0, -2.0])])
        momentum = min(0.9, step / (step + 9))
        average = momentum * average + (1 - momentum) * variable.numpy()
        found = optimizer._model_variables_moving_average[0].numpy()
        np.testing.assert_allclose(found, average, rtol=1e-5)
    optimizer.finalize_variable_values([variable])
    np.testing.assert_allclose(variable, average, rtol=1e-5)


def test_accumulated_gradients_are_averaged_and_the_moving_average_waits():
    gradients = [[1.0, -2.0], [0.5, 4.0], [3.0, 1.0], [-1.0, 0.0]]
    settings = {"use_ema": True, "ema_momentum": 0.9}
    found, expected = (keras.Variable(np.array([5.0, -3.0], "float32")) for _ in range(2))
    accumulating = FusedAdamW(0.5, gradient_accumulation_steps=2, **settings)
    plain = FusedAdamW(0.5, **settings)
    accumulating.build([found])
    plain.build([expected])
    for gradient in gradients:
        accumulating.apply([tf.constant(gradient)])
    for gradient in np.mean(np.reshape(gradients, [2, 2, 2]), axis=1):
        plain.apply([tf.constant(gradient, tf.float32)])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    averages = [optimizer._model_variables_moving_average[0] for optimizer in (accumulating, plain)]
    np.testing.assert_allclose(*averages, rtol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"global_clipnorm": 1e-3}])
def test_gradient_norms_are_those_before_clipping(settings):
    flow = build_flow("realnvp")
    x = tf.constant(draw_data(flow, 16))
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(flow.log_prob(x, training=True))
    gradients = tape.gradient(loss, [weight.value for weight in flow.trainable_weights])
    expected = np.sqrt(sum(np.sum(np.square(g)) for g in gradients))
    flow.compile(FusedAdamW(0.0, **settings))
    flow.fit(x, batch_size=16, epochs=3, shuffle=False, verbose=0)
    assert float(flow.optimizer.gradient_norms) == pytest.approx(3 * expected, rel=1e-4)
