"""The convolutional conditioners."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import max_difference, randomize
from scipy.signal import correlate

from tfflows.networks import ConvNetwork, ResidualConvNetwork

NETWORKS = {
    "conv": lambda **settings: ConvNetwork(6, width=8, **settings),
    "conv_edge": lambda **settings: ConvNetwork(6, width=8, edge_bias=True, **settings),
    "residual": lambda **settings: ResidualConvNetwork(6, width=8, num_blocks=2, **settings),
}
every_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@every_network
@pytest.mark.parametrize("context_dim", [None, 3])
def test_output_shape_and_use_of_context(make, context_dim):
    network = make()
    context = None if context_dim is None else draw(5, context_dim)
    network.build((None, 4, 3, 2), None if context_dim is None else (None, context_dim))
    randomize(network)
    y = network(draw(5, 4, 3, 2), context=context)
    assert y.shape == (5, 4, 3, 6)
    assert network.compute_output_shape((None, 4, 3, 2)) == (None, 4, 3, 6)
    if context is not None:
        assert max_difference(network(draw(5, 4, 3, 2), context=context + 1), y) > 1e-3


@every_network
def test_zero_output_starts_at_zero_and_learns(make):
    network, x = make(zero_output=True), tf.constant(draw(5, 4, 4, 2))
    with tf.GradientTape() as tape:
        y = network(x)
        loss = tf.reduce_sum((y - 1) ** 2)
    np.testing.assert_array_equal(y, np.zeros([5, 4, 4, 6]))
    assert any(np.any(g) for g in tape.gradient(loss, network.trainable_variables))
    assert np.any(make()(x))


@every_network
def test_config_makes_an_equal_network(make):
    network = make(activation="tanh", dtype="float64")
    network.build((None, 4, 4, 2), (None, 3))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    assert copy.get_config() == network.get_config()
    if not copy.built:
        copy.build((None, 4, 4, 2), (None, 3))
    randomize(network)
    copy.set_weights(network.get_weights())
    inputs = draw(5, 4, 4, 2).astype("float64"), draw(5, 3).astype("float64")
    np.testing.assert_array_equal(copy(*inputs), network(*inputs))


@every_network
def test_global_policy_reaches_the_network(make):
    keras.config.set_dtype_policy("mixed_bfloat16")
    seen = []

    @keras.saving.register_keras_serializable(package="tests")
    def recorded(h):
        seen.append(h.dtype)
        return h

    assert make(activation=recorded)(draw(3, 4, 4, 2)).dtype == tf.float32
    assert set(seen) == {tf.bfloat16}


def test_low_precision_is_summed_in_float32_where_there_are_cpus_alone(monkeypatch):
    network = ConvNetwork(3, width=64, activation="linear", dtype="mixed_bfloat16")
    network.build((None, 5, 4, 2))
    randomize(network)

    def rounded(value):
        return tf.cast(tf.cast(value, tf.bfloat16), tf.float32)

    def expected(x):
        """In float32, and rounded to bfloat16 after each operation but the last."""
        for layer in (network._first, network._middle):
            x = rounded(tf.nn.conv2d(x, rounded(layer.kernel.value), 1, "SAME"))
            x = rounded(x + rounded(layer.bias.value))
        last = network._last
        x = tf.nn.conv2d_transpose(x, last.kernel.value, [*x.shape[:-1], 3], 1, "SAME")
        return (x + last.bias.value) * network._output_factor

    x = rounded(draw(5, 5, 4, 2))
    np.testing.assert_array_equal(network(x), expected(x))
    # Elsewhere TensorFlow's own kernel for bfloat16 is asked.
    calls = []
    convolve = keras.ops.conv

    def conv(inputs, kernel, **settings):
        calls.append(inputs.dtype)
        return convolve(inputs, kernel, **settings)

    monkeypatch.setattr("keras.src.layers.convolutional.base_conv.ops.conv", conv)
    network(x)
    devices = [tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda: devices)
    network(x)
    assert calls == 2 * [tf.float32] + 2 * [tf.bfloat16]


def convolved(x, kernel):
    """3x3 convolution without padding, the kernel [3, 3, in, out], by SciPy."""
    return np.stack(
        [
            sum(correlate(x[..., i], kernel[..., i, o], "valid") for i in range(x.shape[-1]))
            for o in range(kernel.shape[-1])
        ],
        axis=-1,
    )


@pytest.mark.parametrize("edge_bias", [False, True])
def test_conv_network_by_hand(edge_bias):
    network = ConvNetwork(3, width=4, edge_bias=edge_bias, dtype="float64")
    network.build((None, 5, 4, 2))
    randomize(network)
    x = np.random.default_rng(0).normal(size=(5, 4, 2))

    def layer(h, kernel, bias, edge):
        # The edge's kernel reads a channel that is 1 in the padding and 0 in the image.
        padded = np.pad(h, [(1, 1), (1, 1), (0, 0)])
        outside = np.pad(np.zeros([*h.shape[:2], 1]), [(1, 1), (1, 1), (0, 0)], constant_values=1)
        result = convolved(padded, kernel) + bias
        return result + convolved(outside, edge.numpy()) if edge_bias else result

    first, middle, last = network._first, network._middle, network._last
    kernels = [w.kernel.numpy() for w in (first, middle, last)]
    h = np.maximum(
        layer(x, kernels[0], first.bias.numpy(), network.first_edge if edge_bias else 0), 0
    )
    h = np.maximum(h @ kernels[1][0, 0] + middle.bias.numpy(), 0)
    # A transposed convolution keeps its kernel flipped, [3, 3, out, in].
    flipped = kernels[2][::-1, ::-1].transpose(0, 1, 3, 2) / 2  # sqrt(width)
    expected = layer(h, flipped, last.bias.numpy() / 2, network.last_edge if edge_bias else 0)
    np.testing.assert_allclose(network(x[None])[0], expected, rtol=1e-10, atol=1e-10)


def test_residual_network_by_hand():
    network = ResidualConvNetwork(3, width=4, num_blocks=2, dtype="float64")
    network.build((None, 5, 4, 2))
    randomize(network)
    x = np.random.default_rng(0).normal(size=(5, 4, 2))

    def conv(h, layer):
        padded = np.pad(h, [(1, 1), (1, 1), (0, 0)])
        return convolved(padded, layer.kernel.numpy()) + layer.bias.numpy()

    h = conv(x, network._first)
    for inner, outer in zip(network._inner, network._outer, strict=True):
        h = h + conv(np.maximum(conv(np.maximum(h, 0), inner), 0), outer)
    # A transposed convolution keeps its kernel as [1, 1, out, in].
    kernel = network._last.kernel.numpy()[0, 0].T
    expected = 9 / 2 * (np.maximum(h, 0) @ kernel + network._last.bias.numpy())  # 9 / sqrt(width)
    np.testing.assert_allclose(network(x[None])[0], expected, rtol=1e-10, atol=1e-10)
