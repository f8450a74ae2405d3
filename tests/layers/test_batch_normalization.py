"""Batch normalisation: what it takes from the batch, and what it keeps of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfflows
from tfflows.layers import BatchNormalization, Chain, Reverse, Stack


def draw(shape=(200, 3), seed=0):
    return np.random.default_rng(seed).normal(2.0, 3.0, shape).astype("float32")


def built(dim=3, **settings):
    layer = BatchNormalization(**settings)
    layer.build((None, dim))
    layer.log_scale.assign([0.5, -0.5, 0.1][:dim])
    layer.shift.assign([1.0, 2.0, -1.0][:dim])
    return layer


def test_in_training_a_batch_is_standardised_as_keras_does_it():
    x, layer = draw(), built(epsilon=1e-3)
    z, log_det = layer.inverse_and_log_det(x, training=True)
    keras_layer = keras.layers.BatchNormalization(epsilon=1e-3)
    keras_layer.build(x.shape)
    keras_layer.gamma.assign(tf.exp(layer.log_scale))
    keras_layer.beta.assign(layer.shift)
    np.testing.assert_allclose(z, keras_layer(x, training=True), rtol=1e-5, atol=1e-5)
    expected = np.sum(np.asarray(layer.log_scale) - 0.5 * np.log(x.var(0) + 1e-3))
    np.testing.assert_allclose(log_det, np.full(200, expected), rtol=1e-5)


def test_running_statistics_are_those_of_keras():
    layer, keras_layer = built(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)
    for seed in range(3):
        x = draw(seed=seed)
        layer.inverse_and_log_det(x, training=True)
        keras_layer(x, training=True)
    np.testing.assert_allclose(layer.mean, keras_layer.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(layer.variance, keras_layer.moving_variance, rtol=1e-5)
    x = draw(seed=9)
    before = np.asarray(layer.mean)
    layer.inverse_and_log_det(x)
    layer.forward_and_log_det(x, training=True)
    np.testing.assert_array_equal(layer.mean, before)


def test_pixels_of_a_channel_share_their_statistics():
    x = draw((5, 4, 6, 3))
    layer = BatchNormalization(epsilon=0.0)
    z, log_det = layer.inverse_and_log_det(x, training=True)
    np.testing.assert_allclose(np.mean(z, (0, 1, 2)), np.zeros(3), atol=1e-6)
    np.testing.assert_allclose(np.std(z, (0, 1, 2)), np.ones(3), rtol=1e-5)
    expected = -24 * np.log(x.std((0, 1, 2))).sum()
    np.testing.assert_allclose(log_det, np.full(5, expected), rtol=1e-5)


def test_adapt_sets_the_running_statistics():
    x, layer = draw(), BatchNormalization(epsilon=0.0)
    z = layer.adapt(x)
    np.testing.assert_allclose(np.mean(z, 0), np.zeros(3), atol=1e-6)
    np.testing.assert_allclose(np.std(z, 0), np.ones(3), rtol=1e-5)


def test_the_gradient_goes_through_the_statistics():
    # z does not change when all x are shifted or stretched.
    x, layer = tf.constant(draw()), built(epsilon=0.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z, _ = layer.inverse_and_log_det(x, training=True)
        loss = tf.reduce_sum(z**3)
    gradient = tape.gradient(loss, x)
    np.testing.assert_allclose(tf.reduce_sum(gradient, 0), np.zeros(3), atol=1e-2)
    np.testing.assert_allclose(tf.reduce_sum(gradient * x, 0), np.zeros(3), atol=3e-2)
    assert np.abs(gradient).max() > 0.1


@pytest.mark.parametrize("stack", [False, True])
def test_fit_moves_the_running_statistics_in_a_chain_and_in_a_stack(stack):
    layers = [BatchNormalization(momentum=0.5), Reverse()]
    transform = Stack(Chain(layers), 2) if stack else Chain(layers)
    flow = tfflows.Flow(transform, (3,))
    flow.compile("adam")
    x = draw((640, 3))
    flow.fit(x, batch_size=64, epochs=4, verbose=0)
    part = transform.steps[-1].layers[0] if stack else layers[0]
    np.testing.assert_allclose(np.ravel(part.mean), x.mean(0)[::-1], atol=0.8)
    np.testing.assert_allclose(np.ravel(part.variance), x.var(0)[::-1], rtol=0.4)
    z = flow.encode(x)
    np.testing.assert_allclose(np.std(z, 0), np.ones(3), rtol=0.3)


def test_memory_modes_that_compute_anew_are_refused():
    flow = tfflows.Flow(Chain([BatchNormalization()]), (2,))
    for mode in ("checkpoint", "invert"):
        with pytest.raises(ValueError, match=f"memory='{mode}' computes activations anew, but fou"):
            flow.memory = mode


def test_a_batch_of_one_has_no_variance():
    with pytest.raises(tf.errors.InvalidArgumentError, match="found less than two vectors"):
        built().inverse_and_log_det(draw((1, 3)), training=True)


@pytest.mark.parametrize("settings", [{"momentum": 1.0}, {"epsilon": -1e-3}])
def test_settings_out_of_their_range_are_errors(settings):
    [(name, value)] = settings.items()
    with pytest.raises(ValueError, match=f"needs an? {name} .*but found {value}"):
        BatchNormalization(**settings)
