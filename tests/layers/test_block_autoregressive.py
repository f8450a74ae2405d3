"""Block autoregressive layers: their masks, their range, and their inverse."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import randomize

import tfflows
from tfflows.layers import BlockAutoregressive


def built(dim, context_dim=None, dtype="float64", **settings):
    layer = BlockAutoregressive(dtype=dtype, **settings)
    layer.build((None, dim), None if context_dim is None else (None, context_dim))
    randomize(layer, 2.0)
    return layer


@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("depth", [1, 3])
def test_each_output_sees_its_own_input_and_those_before_it(dim, depth):
    layer = built(dim, width=3, depth=depth)
    x = tf.constant(np.random.default_rng(0).normal(size=[4, dim]))
    with tf.GradientTape() as tape:
        tape.watch(x)
        z, log_det = layer.inverse_and_log_det(x)
    jacobian = tape.batch_jacobian(z, x).numpy()
    for matrix in jacobian:
        np.testing.assert_array_equal(matrix != 0, np.tril(np.ones([dim, dim], bool)))
        assert np.all(np.diag(matrix) > 0)
    np.testing.assert_allclose(log_det, np.log(np.linalg.det(jacobian)), rtol=1e-12, atol=1e-12)


def test_it_is_the_network_of_the_docstring():
    layer = built(2, width=3, depth=1)
    kernels = []
    for i, (a, b) in enumerate([(1, 3), (3, 1)]):
        raw = np.reshape(getattr(layer, f"kernel_{i}"), [2, a, 2, b])
        kernel = np.zeros_like(raw)
        for j in range(2):
            kernel[j, :, j] = np.exp(raw[j, :, j])
        kernel[0, :, 1] = raw[0, :, 1]
        kernel = kernel.reshape(2 * a, 2 * b)
        kernel *= np.exp(getattr(layer, f"log_norm_{i}")) / np.linalg.norm(kernel, axis=0)
        kernels.append(kernel)
    x = np.random.default_rng(0).normal(size=[5, 2])
    h = np.tanh(x @ kernels[0] + layer.bias_0)
    y = h @ kernels[1] + layer.bias_1
    gate = 1 / (1 + np.exp(-np.asarray(layer.gate)))
    z, _ = layer.inverse_and_log_det(tf.constant(x))
    np.testing.assert_allclose(z, gate * x + (1 - gate) * y, rtol=1e-12)


def test_a_wide_range_is_inverted():
    layer = built(3, width=8, depth=2)
    z = tf.constant([[-50.0, 3.0, 1000.0], [0.0, 0.0, 0.0]], "float64")
    x, _ = layer.forward_and_log_det(z)
    np.testing.assert_allclose(layer.inverse_and_log_det(x)[0], z, rtol=1e-12, atol=1e-12)


def test_gradients_of_samples_are_those_of_finite_differences():
    layer = built(2, 1, width=3)
    z, context = tf.constant([[0.3, -0.7]], "float64"), tf.constant([[0.4]], "float64")
    weights = [*layer.trainable_weights]

    def total():
        x, log_det = layer.forward_and_log_det(z, context)
        return tf.reduce_sum(x * [1.0, 2.0]) + tf.reduce_sum(log_det)

    with tf.GradientTape() as tape:
        loss = total()
    gradients = tape.gradient(loss, [w.value for w in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        start, direction = np.asarray(weight), np.random.default_rng(0).normal(size=weight.shape)
        ends = []
        for step in (1e-5, -1e-5):
            weight.assign(start + step * direction)
            ends.append(float(total()))
        weight.assign(start)
        found = np.sum(gradient * direction)
        np.testing.assert_allclose(found, (ends[0] - ends[1]) / 2e-5, rtol=1e-5, atol=1e-9)


MISTAKES = {
    "width": ({"width": 0}, (None, 2), "at least 1, but found width=0 and depth=1"),
    "depth": ({"depth": 0}, (None, 2), "at least 1, but found width=8 and depth=0"),
    "image": ({}, (None, 2, 2), r"for vectors, but found an event of shape \(2, 2\)"),
}


@pytest.mark.parametrize("settings, shape, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes(settings, shape, message):
    with pytest.raises(ValueError, match=message):
        BlockAutoregressive(**settings).build(shape)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_flow_starts_near_its_base(depth):
    """Layers that stretch or squeeze by their size would be far from any data at the start."""
    keras.utils.set_random_seed(0)
    flow = tfflows.BNAF((2,), num_layers=5, width=32, depth=depth)
    x = np.random.default_rng(0).normal(size=(500, 2)).astype("float32")
    flow.adapt(x)
    entropy = np.log(2 * np.pi * np.e)  # of the data, nats
    assert -np.mean(flow.log_prob(x)) < entropy + 2.5
