"""What single layers compute, against values worked out by hand, and how often."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import LAYERS, max_difference

from tfflows.layers import (
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    Logit,
    Permutation,
    Rescaling,
    Scale,
    Standardize,
    coupling_mask,
)
from tfflows.networks import MLP


@pytest.mark.parametrize("name", ["additive_half", "affine_mask_flip", "affine_context"])
@pytest.mark.parametrize("side", ["z", "x"])
def test_conditioner_is_evaluated_once(name, side, conditioner_calls):
    case = LAYERS[name]
    layer = case.build()
    value, context = case.draw(side, layer, 3)
    method = layer.forward_and_log_det if side == "z" else layer.inverse_and_log_det
    tf.function(method, autograph=False).get_concrete_function(value, context)
    assert len(conditioner_calls) == 1


@pytest.mark.parametrize(
    ("mask", "size", "expected"),
    [
        ("half", 4, [1, 1, 0, 0]),
        ("alternating", 5, [1, 0, 1, 0, 1]),
        ([False, True, True], 3, [0, 1, 1]),
    ],
)
def test_coupling_mask(mask, size, expected):
    np.testing.assert_array_equal(coupling_mask(mask, size), np.array(expected, bool))


@pytest.mark.parametrize("name", [name for name in LAYERS if "tive" in name or "affine" in name])
def test_coupling_leaves_what_the_mask_says(name):
    case = LAYERS[name]
    layer = case.build()
    z, context = case.draw("z", layer, 5)
    x, _ = layer.forward_and_log_det(z, context)
    same = np.asarray(x) == np.asarray(z)
    if layer.mask == "checkerboard":
        rows, columns = np.indices(x.shape[1:3])
        mask = np.broadcast_to(((rows + columns) % 2 == 0)[..., None], x.shape)
    else:
        same = np.all(same, axis=tuple(range(len(x.shape) - 1)))
        mask = coupling_mask(layer.mask, x.shape[-1])
    np.testing.assert_array_equal(same, ~mask if layer.flip else mask)


def test_affine_coupling_by_hand():
    network = keras.layers.Dense(2)  # h and t, one each
    layer = AffineCoupling(network, "half", log_scale_bound=3.0)
    layer.build((None, 2))
    network.set_weights([np.array([[0.5, -2.0]]), np.array([0.1, 0.2])])
    x, log_det = layer.forward_and_log_det(tf.constant([[2.0, 7.0]]))
    s = 3 * math.tanh((0.5 * 2 + 0.1) / 3)
    np.testing.assert_allclose(x, [[2, 7 * math.exp(s) - 2.0 * 2 + 0.2]], rtol=1e-6)
    np.testing.assert_allclose(log_det, [s], rtol=1e-6)


def test_log_scale_is_bounded():
    layer = AffineCoupling(keras.layers.Dense(2), "half", log_scale_bound=0.7)
    layer(tf.ones([1, 2]))
    layer.conditioner.set_weights([np.full([1, 2], 1e4), np.zeros(2)])
    _, log_det = layer.forward_and_log_det(tf.constant([[5.0, 1.0], [-5.0, 1.0]]))
    np.testing.assert_allclose(log_det, [0.7, -0.7], rtol=1e-6)


def test_additive_coupling_by_hand():
    layer = AdditiveCoupling(keras.layers.Dense(1), "half", flip=True)
    layer.build((None, 2))
    layer.conditioner.set_weights([np.array([[3.0]]), np.array([1.0])])
    np.testing.assert_allclose(layer(tf.constant([[10.0, 2.0]])), [[17.0, 2.0]])


def test_dropout_only_in_training():
    layer = AdditiveCoupling(MLP(2, (64,), dropout=0.5), "half")
    z = tf.ones([4, 4])
    layer(z)
    same = layer.forward_and_log_det(z)[0]
    np.testing.assert_array_equal(layer.forward_and_log_det(z)[0], same)
    assert max_difference(layer.forward_and_log_det(z, training=True)[0], same) > 1e-3


def test_chain_applies_its_first_layer_first():
    chain = Chain([Rescaling(2.0), Rescaling(1.0, offset=3.0)])
    np.testing.assert_allclose(chain(tf.constant([[1.0, 2.0]])), [[5.0, 7.0]])


def test_permutation_gradient_is_that_of_a_gather():
    # The layer has a gradient of its own; a random direction tells a wrong order apart.
    layer, order = Permutation([2, 0, 3, 1]), [2, 0, 3, 1]
    z, direction = tf.random.normal([2, 4]), tf.random.normal([2, 4])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        ours = tf.reduce_sum(layer(z) ** 2 * direction)
        plain = tf.reduce_sum(tf.gather(z, order, axis=-1) ** 2 * direction)
    np.testing.assert_allclose(tape.gradient(ours, z), tape.gradient(plain, z))


def test_standardize_takes_mean_and_stddev_of_the_batch():
    x = np.random.default_rng(0).normal(3.0, 5.0, size=(200, 2)).astype("float32")
    x[:, 1] = 4.0  # constant: its standard deviation stays 1
    layer = Standardize()
    layer.build((None, 2))
    assert layer.needs_adapt
    z = layer.adapt(x)
    assert not layer.needs_adapt
    np.testing.assert_allclose(layer.mean, x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(layer.stddev, [x[:, 0].std(), 1.0], rtol=1e-4)
    np.testing.assert_allclose(np.mean(z, 0), [0, 0], atol=1e-4)


def test_chain_adapts_each_layer_on_what_reaches_it():
    chain = Chain([Standardize(), Rescaling(2.0), Standardize()])
    x = np.random.default_rng(0).normal(3.0, 5.0, size=(100, 2)).astype("float32")
    z = chain.adapt(x)
    assert not chain.needs_adapt
    np.testing.assert_allclose(chain.layers[0].stddev, [0.5, 0.5], rtol=1e-4)
    np.testing.assert_allclose(np.std(z, 0), [1, 1], rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 0.05, 0.3])
def test_logit_keeps_its_digits_in_both_tails(alpha):
    layer = Logit(alpha, dtype="float64")
    z = tf.constant([[-12.0], [-1.0], [0.0], [1.0], [12.0]], tf.float64)
    x, forward = layer.forward_and_log_det(z)
    expected = 1 / (1 + np.exp(-z.numpy()))
    np.testing.assert_allclose(x, (expected - alpha) / (1 - 2 * alpha), rtol=1e-12)
    slope = expected * (1 - expected) / (1 - 2 * alpha)
    np.testing.assert_allclose(forward, np.log(slope)[:, 0], rtol=1e-9)


def test_scale_under_a_low_precision_policy_keeps_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = Scale()
    layer(tf.ones([1, 2]))
    layer.trainable_weights[0].assign([0.123456, 0.0])
    x, log_det = layer.forward_and_log_det(tf.ones([1, 2]))
    assert (x.dtype, log_det.dtype) == (tf.float32, tf.float32)
    np.testing.assert_allclose(log_det, [0.123456], rtol=1e-6)
