"""Masked networks: what depends on what, by automatic differentiation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import max_difference, randomize

from tfflows.networks import MaskedMLP
from tfflows.networks.masked import levels_of

ORDERS = {
    "sequential": ("sequential", 4),
    "reversed": ("reversed", 3),
    "permutation": ([2, 0, 3, 1], 4),
    "blocks": ([1, 0, 0, 2, 1, 0], 6),
    "one_level": ([0, 0, 0], 3),
    "one_dimension": ("sequential", 1),
    "two_dimensions": ("reversed", 2),
    "many_dimensions": ("sequential", 63),
}
NETWORKS = {
    "one_layer": {"hidden": (70,)},
    "three_layers": {"hidden": (70, 65, 80)},
    "residual": {"hidden": (70, 70, 70, 70, 70), "residual": True},
}
every_order = pytest.mark.parametrize(("order", "n"), ORDERS.values(), ids=ORDERS)
every_network = pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS)


def built(order, n, context_dim=None, activation="tanh", num_parameters=2, **settings):
    network = MaskedMLP(num_parameters, order=order, activation=activation, **settings)
    network.build((None, n), None if context_dim is None else (None, context_dim))
    # Small, so that no tanh is so flat that a derivative rounds to zero.
    randomize(network, 0.1)
    return network


def draw(*shape, dtype="float32"):
    return tf.constant(np.random.default_rng(0).normal(size=shape), dtype)


@every_order
@every_network
@pytest.mark.parametrize("context_dim", [None, 2])
def test_outputs_depend_on_all_lower_levels_and_on_no_other(order, n, settings, context_dim):
    network = built(order, n, context_dim, **settings)
    x, context = draw(1, n), None if context_dim is None else draw(1, context_dim)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = network(x, context)
    jacobian = tape.jacobian(y, x, experimental_use_pfor=False)[0, :, 0].numpy()
    levels = levels_of(order, n)
    expected = np.tile(levels[:, None] > levels, (2, 1))
    np.testing.assert_array_equal(jacobian != 0, expected)


@pytest.mark.parametrize("order", [[2, 0, 3, 1], [1, 0, 1, 2], [0, 0, 1, 1]])
@pytest.mark.parametrize("context_dim", [None, 2])
def test_many_units_are_those_of_the_masked_kernels(order, context_dim):
    # Products that leave out what is masked, beside NumPy's with all of it.
    network = built(order, 4, context_dim, hidden=(128, 130, 129), dtype="float64")
    x = np.random.default_rng(0).normal(size=[5, 4])
    context = None if context_dim is None else np.ones([5, context_dim])
    h = x
    for k, bias in enumerate(network.biases):
        h = h @ (np.asarray(network.kernels[k]) * network._masks[k]) + bias
        if k == 0 and context_dim:
            h += context @ np.asarray(network.context_kernel)
        h = h if k == 3 else np.tanh(h)
    np.testing.assert_allclose(network(x, context), h, rtol=1e-11, atol=1e-11)


@every_order
def test_each_dimension_sees_the_context(order, n):
    network = built(order, n, 2, hidden=(70, 70))
    context = draw(1, 2)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(context)
        y = network(draw(1, n), context)
    assert np.all(tape.jacobian(y, context, experimental_use_pfor=False) != 0)


@every_order
@every_network
@pytest.mark.parametrize("context_dim", [None, 2])
def test_level_by_level_is_what_passes_of_the_whole_network_find(order, n, settings, context_dim):
    network = built(order, n, context_dim, dtype="float64", **settings)
    given = draw(5, n, dtype="float64")
    context = None if context_dim is None else draw(5, context_dim, dtype="float64")

    def transform(values, parameters):
        return values * tf.exp(parameters[0]) + parameters[1]

    found = network.in_order(network.parameters(), transform, given, context)
    y = tf.zeros_like(given)
    for _ in range(network.num_levels):
        y = transform(given, tf.split(network(y, context), 2, axis=-1))
    np.testing.assert_allclose(found, y, rtol=1e-12, atol=1e-12)


def test_residual_layers_add_what_is_two_layers_before():
    network = built("sequential", 3, hidden=(4, 4, 4), residual=True, dtype="float64")
    parameters = [*zip(*network.parameters().values(), strict=True)]
    (w1, b1), (w2, b2), (w3, b3), (w, b) = [[np.asarray(v) for v in pair] for pair in parameters]
    x = draw(5, 3, dtype="float64").numpy()
    u = x @ w1 + b1
    u += np.tanh(np.tanh(u) @ w2 + b2) @ w3 + b3
    np.testing.assert_allclose(network(x), np.tanh(u) @ w + b, rtol=1e-12)


def test_zero_output_starts_at_zero():
    network = MaskedMLP(2, hidden=(8,), zero_output=True)
    np.testing.assert_array_equal(network(draw(5, 3)), np.zeros([5, 6]))


def test_config_makes_an_equal_network():
    network = built([1, 0, 2], 3, 2, hidden=(5, 5, 5), residual=True, dtype="float64")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    assert copy.get_config() == network.get_config()
    if not copy.built:
        copy.build((None, 3), (None, 2))
    copy.set_weights(network.get_weights())
    inputs = draw(4, 3, dtype="float64"), draw(4, 2, dtype="float64")
    assert max_difference(copy(*inputs), network(*inputs)) == 0
    assert copy(*inputs).dtype == tf.float64
    assert copy.compute_output_shape((None, 3)) == (None, 6)


def test_it_computes_in_float32_under_a_lower_global_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = MaskedMLP(2, hidden=(8,))
    finally:
        keras.config.set_dtype_policy("float32")
    assert network(draw(5, 3)).dtype == tf.float32


ERRORS = {
    "order_name": (lambda: built("random", 3, hidden=(8,)), ["'sequential'", "'random'"]),
    "order_size": (lambda: built([0, 1], 3, hidden=(8,)), ["3 levels", "found 2"]),
    "order_gap": (lambda: built([0, 2, 3], 3, hidden=(8,)), ["without a gap", "[0, 2, 3]"]),
    "order_negative": (lambda: built([-1, 0, 1], 3, hidden=(8,)), ["without a gap", "[-1, 0, 1]"]),
    "cut_off": (lambda: built("sequential", 5, hidden=(8, 3)), ["3 units", "at least 4 units"]),
    "cut_off_context": (lambda: built("sequential", 5, 2, hidden=(4,)), ["at least 5 units"]),
    "no_layer": (lambda: MaskedMLP(2, hidden=()), ["at least one hidden layer", "[]"]),
    "no_parameter": (lambda: MaskedMLP(0, hidden=(4,)), ["num_parameters", "0"]),
    "even": (lambda: MaskedMLP(2, (4, 4), residual=True), ["odd number", "[4, 4]"]),
    "sizes": (lambda: MaskedMLP(2, (4, 5, 4), residual=True), ["one size", "[4, 5, 4]"]),
    "dtype": (lambda: MaskedMLP(2, dtype="float16"), ["'float16'", "'float32' or 'float64'"]),
    "images": (lambda: MaskedMLP(2, (8,)).build((None, 2, 2, 1)), ["vectors", "(2, 2, 1)"]),
}


@pytest.mark.parametrize(("fail", "words"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_was_found(fail, words):
    with pytest.raises(ValueError) as error:
        fail()
    for word in words:
        assert word in str(error.value)
