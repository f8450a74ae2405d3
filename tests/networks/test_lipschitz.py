"""Lipschitz networks: norms against singular values, state, bounds."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import max_difference, randomize

import tfflows.networks.lipschitz as lipschitz
import tfflows.networks.lipschitz_layers as lipschitz_layers
from tfflows.networks import LipschitzConv2D, LipschitzDense, LipschitzNetwork
from tfflows.networks.lipschitz_layers import normalized

LAYERS = {
    "dense": (lambda **settings: LipschitzDense(5, **settings), (3,)),
    "conv": (lambda **settings: LipschitzConv2D(4, 3, **settings), (4, 5, 2)),
    "conv_fewer": (lambda **settings: LipschitzConv2D(2, 3, **settings), (3, 4, 3)),
}
NORMS = {1: 1, 2: 2, "inf": np.inf}


def built(name, **settings):
    make, shape = LAYERS[name]
    layer = make(**settings)
    layer.build((None, *shape))
    randomize(layer)
    return layer, shape


def matrix_of(layer, shape):
    """The linear part of a layer as a matrix of rows x columns = outputs x inputs."""
    size = math.prod(shape)
    rows = tf.reshape(tf.eye(size, dtype=layer.compute_dtype), [size, *shape])
    zero = tf.zeros([1, *shape], layer.compute_dtype)
    return tf.reshape(layer(rows) - layer(zero), [size, -1]).numpy().astype("float64").T


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", LAYERS)
def test_norm_is_the_coefficient(name, norm):
    layer, shape = built(name, coefficient=0.9, norm=norm, tolerance=1e-5)
    found = np.linalg.norm(matrix_of(layer, shape), NORMS[norm])
    assert found == pytest.approx(0.9, rel=1e-4)
    bound = layer.lipschitz_bound()
    # An image of 3 x 4 pixels has inner ones, so that the sums are not from above only.
    assert bound == pytest.approx(found, rel=1e-5)
    assert found <= bound * (1 + 1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_small_kernels_stay_as_they_are(name):
    layer, _ = built(name, coefficient=0.9)
    layer.kernel.assign(1e-3 * layer.kernel)
    np.testing.assert_allclose(layer.parameters()[0], layer.kernel, rtol=1e-6)


def test_zero_kernel_has_a_gradient_and_leaves_the_state():
    layer, _ = built("dense")
    layer.kernel.assign(tf.zeros([3, 5]))
    before = layer.singular_vector.numpy()
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(layer(tf.ones([1, 3]), training=True))
    assert np.all(tape.gradient(y, layer.kernel._value) == 1)
    state = layer.singular_vector.numpy()
    np.testing.assert_allclose(state, before / np.linalg.norm(before), rtol=1e-6)


def test_bound_by_fourier_transform_is_from_above_and_close(monkeypatch):
    layer = LipschitzConv2D(3, 3, coefficient=0.9)
    layer.build((None, 9, 10, 2))
    exact = layer.lipschitz_bound()
    monkeypatch.setattr(lipschitz_layers, "_MATRIX_SIZE", 0)
    bound = layer.lipschitz_bound()
    assert exact < bound < 1.1 * exact


def test_state_moves_in_training_only_and_serves_the_next_step():
    layer, _ = built("dense", tolerance=0.1)
    x = tf.ones([2, 3])
    before = layer.singular_vector.numpy()
    layer(x)
    np.testing.assert_array_equal(layer.singular_vector, before)
    layer(x, training=True)
    once = layer.singular_vector.numpy()
    assert max_difference(once, before) > 0.01
    for _ in range(100):
        layer(x, training=True)
    vectors = np.linalg.svd(layer.kernel.numpy())[0]
    assert abs(vectors[:, 0] @ layer.singular_vector.numpy()[0]) == pytest.approx(1, abs=1e-4)
    # In inference the norm does not depend on the state that training left.
    converged = layer(x).numpy()
    layer.singular_vector.assign(once)
    np.testing.assert_allclose(layer(x), converged, rtol=0.1)


@pytest.mark.slow
def test_gradient_is_that_of_the_normalised_kernel():
    layer, shape = built("dense", dtype="float64")
    x = tf.constant(np.random.default_rng(0).normal(size=(4, *shape)))
    weights = np.random.default_rng(1).normal(size=(4, 5))

    def value(kernel):
        norm = np.linalg.norm(kernel, 2)
        return np.sum(weights * (x.numpy() @ kernel * 0.97 / norm))

    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weights * (layer(x) - layer.bias))
    found = tape.gradient(loss, layer.kernel._value).numpy()
    kernel = layer.kernel.numpy()
    for index in [(0, 0), (1, 3), (2, 4)]:
        step = np.zeros_like(kernel)
        step[index] = 1e-6
        expected = (value(kernel + step) - value(kernel - step)) / 2e-6
        assert found[index] == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("activation", lipschitz._ACTIVATIONS)
def test_activations_have_slopes_of_at_most_one(activation):
    h = tf.linspace(-20.0, 20.0, 4001)
    for beta in (-1.0, 0.5, 4.0):
        with tf.GradientTape() as tape:
            tape.watch(h)
            function, largest = lipschitz._ACTIVATIONS[activation]
            scale = tf.nn.softplus(beta)
            y = function(scale * h) / (largest * scale)
        slope = np.abs(tape.gradient(y, h))
        assert 0.8 < slope.max() <= 1 + 1e-6


@pytest.mark.parametrize("kernel_sizes", [None, (3, 1, 3)])
def test_each_power_iteration_ends_by_itself(kernel_sizes):
    shape = (4,) if kernel_sizes is None else (3, 4, 2)
    network = LipschitzNetwork((6, 9), kernel_sizes)
    network.build((None, *shape))
    randomize(network)
    together = normalized(network.layers)
    alone = [layer.parameters() for layer in network.layers]
    for found, expected in zip(together, alone, strict=True):
        # Another order of sums; a step more or less would change norms by up to 5e-4.
        np.testing.assert_allclose(found[0], expected[0], rtol=2e-6)
        np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("activation", ["lipswish", "lipmish"])
def test_learned_activations_equal_their_formula(activation):
    network = LipschitzNetwork((5, 6), activation=activation, dtype="float64")
    network.build((None, 3), (None, 2))
    randomize(network)
    rng = np.random.default_rng(0)
    network.beta.assign([-1.5, 2.0])
    x, context = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))

    def bend(h, beta):
        scaled = np.log1p(np.exp(beta)) * h
        if activation == "lipswish":
            return h / (1 + np.exp(-scaled)) / 1.1
        return h * np.tanh(np.log1p(np.exp(scaled))) / 1.089

    (first, *rest) = [[np.asarray(v) for v in layer.parameters()] for layer in network.layers]
    expected = x @ first[0] + first[1] + context @ network.context_kernel.numpy()
    for (kernel, bias), beta in zip(rest, network.beta.numpy(), strict=True):
        expected = bend(expected, beta) @ kernel + bias
    np.testing.assert_allclose(network(x, context), expected, rtol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kernel_sizes", [None, (3, 1, 3)])
def test_distances_shrink_by_the_bound(kernel_sizes, norm):
    shape = (4,) if kernel_sizes is None else (3, 4, 2)
    network = LipschitzNetwork((6, 6), kernel_sizes, coefficient=0.9, norm=norm, tolerance=1e-5)
    network.build((None, *shape), (None, 2))
    randomize(network)
    assert network.lipschitz_bound() == pytest.approx(0.9, rel=2e-3)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, *shape)).astype("float32")
    y = x + rng.normal(size=x.shape).astype("float32") * np.logspace(-2, 1, 50).reshape(
        [-1] + [1] * len(shape)
    ).astype("float32")
    context = rng.normal(size=(50, 2)).astype("float32")
    gain = [
        np.linalg.norm(np.reshape(difference, [50, -1]), NORMS[norm], axis=1)
        for difference in (network(x, context) - network(y, context), x - y)
    ]
    assert np.all(gain[0] < 0.9 * gain[1])
    assert np.all(gain[0] > 0)


def test_network_is_float32_under_a_low_precision_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = LipschitzNetwork((4,))
    assert network(tf.ones([1, 2])).dtype == tf.float32


ERRORS = {
    "coefficient": (lambda: LipschitzNetwork(coefficient=1.0), r"\(0, 1\).*found 1.0"),
    "coefficient_of_layer": (lambda: LipschitzDense(2, 0.0), r"\(0, 1\).*found 0.0"),
    "activation": (lambda: LipschitzNetwork(activation="swish"), "at most 1, but found 'swish'"),
    "norm": (lambda: LipschitzDense(2, norm=3), "knows the norms .* found 3"),
    "tolerance": (lambda: LipschitzDense(2, tolerance=0), "positive tolerance, but found 0"),
    "float16": (lambda: LipschitzNetwork(dtype="float16"), "'float16', whose rounding"),
    "bfloat16": (lambda: LipschitzDense(2, dtype="mixed_bfloat16"), "'bfloat16', whose rounding"),
    "even_kernel": (lambda: LipschitzConv2D(2, 4), "odd kernel_size .* found 4"),
    "kernel_sizes": (lambda: LipschitzNetwork((4,), (3,)), r"needs 2 kernel_sizes, but found \[3"),
    "vector": (lambda: LipschitzNetwork((4,), (3, 3))(tf.ones([1, 2])), "expected images"),
    "image": (lambda: LipschitzNetwork((4,))(tf.ones([1, 2, 2, 1])), "expected vectors"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_is_an_error(name):
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        action()
