"""The fully connected conditioners."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import max_difference, randomize

from tfflows.networks import MLP, ResidualMLP

NETWORKS = {
    "mlp": lambda **settings: MLP(6, hidden=(8, 4), **settings),
    "residual": lambda **settings: ResidualMLP(6, width=8, num_blocks=2, **settings),
}
every_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@every_network
@pytest.mark.parametrize("context_dim", [None, 3])
def test_output_shape_and_use_of_context(make, context_dim):
    network = make()
    context = None if context_dim is None else draw(5, context_dim)
    network.build((None, 2), None if context_dim is None else (None, context_dim))
    randomize(network)
    y = network(draw(5, 2), context=context)
    assert y.shape == (5, 6)
    assert network.compute_output_shape((None, 2)) == (None, 6)
    if context is not None:
        assert max_difference(network(draw(5, 2), context=context + 1), y) > 1e-3


@every_network
def test_zero_output_starts_at_zero_and_learns(make):
    network, x = make(zero_output=True), tf.constant(draw(5, 2))
    with tf.GradientTape() as tape:
        y = network(x)
        loss = tf.reduce_sum((y - 1) ** 2)
    np.testing.assert_array_equal(y, np.zeros([5, 6]))
    assert any(np.any(g) for g in tape.gradient(loss, network.trainable_variables))
    assert np.any(make()(x))


@every_network
def test_config_makes_an_equal_network(make):
    network = make(activation="tanh", dropout=0.3, dtype="float64")
    network.build((None, 2), (None, 3))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    assert copy.get_config() == network.get_config()
    assert copy.compute_dtype == "float64"
    if not copy.built:
        copy.build((None, 2), (None, 3))
    copy.set_weights(network.get_weights())
    inputs = draw(5, 2).astype("float64"), draw(5, 3).astype("float64")
    np.testing.assert_array_equal(copy(*inputs), network(*inputs))


@every_network
def test_dropout_only_in_training(make):
    network, x = make(dropout=0.5), draw(20, 2)
    network(x)
    randomize(network)
    np.testing.assert_array_equal(network(x), network(x))
    assert max_difference(network(x, training=True), network(x)) > 1e-3


@every_network
def test_takes_images_on_the_last_axis(make):
    network = make()
    network.build((None, 4, 4, 2))
    assert network(draw(3, 4, 4, 2)).shape == (3, 4, 4, 6)


@every_network
def test_global_policy_reaches_the_network(make):
    keras.config.set_dtype_policy("mixed_bfloat16")

    @keras.saving.register_keras_serializable(package="tests")
    def recorded(h):
        seen.append(h.dtype)
        return h

    network, seen = make(activation=recorded), []
    assert network(draw(3, 2)).dtype == tf.float32
    assert set(seen) == {tf.bfloat16}
    seen.clear()
    make(activation=recorded, dtype="float32")(draw(3, 2))
    assert set(seen) == {tf.float32}


def test_mlp_by_hand():
    network = MLP(1, hidden=(2,), activation="relu")
    network.build((None, 1), (None, 1))
    network._hidden[0].set_weights([np.array([[1.0, -1.0], [2.0, 1.0]]), np.array([0.5, 0.0])])
    network._output.set_weights([np.array([[3.0], [5.0]]), np.array([0.25])])
    # hidden: relu(x + 2c + 0.5), relu(-x + c)
    y = network(np.array([[1.0], [-2.0]]), context=np.array([[0.5], [0.5]]))
    np.testing.assert_allclose(y, [[3 * 2.5 + 0.25], [5 * 2.5 + 0.25]])


def test_residual_mlp_without_blocks_weights_is_linear_then_activation():
    # The outer layers start at zero, so that each block starts as the identity.
    network, x = ResidualMLP(2, width=3, num_blocks=2, activation="relu"), draw(4, 2)
    y = network(x)
    first, last = network._first.get_weights(), network._output.get_weights()
    h = np.maximum(x @ first[0] + first[1], 0)
    np.testing.assert_allclose(y, h @ last[0] + last[1], rtol=1e-5, atol=1e-6)
