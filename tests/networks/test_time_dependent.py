"""The right-hand sides of continuous flows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import randomize

from tfflows.networks import TimeDependentConvNetwork, TimeDependentMLP

NETWORKS = {"mlp": (TimeDependentMLP, (2,)), "conv": (TimeDependentConvNetwork, (3, 2, 2))}
every_network = pytest.mark.parametrize(("network", "shape"), NETWORKS.values(), ids=NETWORKS)


def draw(*shape):
    return tf.constant(np.random.default_rng(0).normal(size=shape).astype("float32"))


@pytest.mark.parametrize("squash", [True, False])
def test_mlp_is_its_formula(squash):
    network = TimeDependentMLP(2, hidden=(4,), squash=squash)
    network.build((None, 2), (None, 3))
    randomize(network)
    z, context = draw(5, 2), draw(5, 3)
    s = np.concatenate([np.full([5, 1], 0.7), context], 1)
    shift = s @ network._shift.kernel.numpy()
    gate = np.ones([5, 6])
    if squash:
        gate = 1 / (1 + np.exp(-(s @ network._gate.kernel.numpy() + network._gate.bias.numpy())))
    h = z.numpy()
    for i, part in enumerate([slice(0, 4), slice(4, 6)]):
        linear = network._maps[i]
        h = (np.tanh(h) if i else h) @ linear.kernel.numpy() + linear.bias.numpy()
        h = h * gate[:, part] + shift[:, part]
    np.testing.assert_allclose(network(z, tf.constant(0.7), context=context), h, atol=1e-5)


@every_network
def test_one_time_for_all_is_that_time_for_each(network, shape):
    network = network(2, hidden=(4,))
    network.build((None, *shape))
    randomize(network)
    z = draw(5, *shape)
    found = network(z, tf.fill([5], 0.7))
    assert found.shape == (5, *shape) == network.compute_output_shape((5, *shape))
    np.testing.assert_allclose(found, network(z, tf.constant(0.7)), rtol=1e-5, atol=1e-6)
    mixed = network(z, tf.constant([0.7, 0.1, 0.2, 0.3, 0.4]))
    np.testing.assert_allclose(mixed[0], found[0], rtol=1e-5, atol=1e-6)
    assert np.max(np.abs(mixed[1] - found[1])) > 1e-2


@every_network
def test_zero_output_and_config(network, shape):
    made = network(2, hidden=(4,), zero_output=True, squash=False, activation="silu")
    made.build((None, *shape))
    np.testing.assert_array_equal(made(draw(5, *shape), tf.constant(0.7)), np.zeros([5, *shape]))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert copy.get_config() == made.get_config()
