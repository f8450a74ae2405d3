"""Autoregressive layers: against loops over dimensions, in values and gradients."""

import numpy as np
import pytest
import tensorflow as tf
from cases import randomize

from tfflows.layers import Autoregressive, Chain, Reverse, Stack
from tfflows.networks import MLP, MaskedMLP
from tfflows.transformers import Affine, RationalQuadraticSpline, Shift

TRANSFORMERS = {"affine": Affine(1.0), "spline": RationalQuadraticSpline(bins=3)}


def built(transformer, n, one_pass="inverse", context_dim=None, order="sequential", **settings):
    hidden = settings.pop("hidden", (n + 4, n + 3))
    network = MaskedMLP(
        transformer.num_parameters, hidden, order, "tanh", dtype="float64", **settings
    )
    layer = Autoregressive(transformer, network, one_pass, dtype="float64")
    layer.build((None, n), None if context_dim is None else (None, context_dim))
    randomize(layer, 0.5)
    return layer


def draw(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def one_by_one(layer, direction, value, context):
    """A direction's result, dimension by dimension, with one pass of the network for each."""
    n = value.shape[-1]
    columns = [tf.zeros_like(value[:, 0])] * n
    for i in np.argsort(layer.conditioner.levels, kind="stable"):
        outputs = layer.conditioner(tf.stack(columns, -1), context)
        parameters = tf.split(outputs, layer.transformer.num_parameters, axis=-1)
        columns[i] = direction(value[:, i], [p[:, i] for p in parameters])[0]
    return tf.stack(columns, -1)


@pytest.mark.parametrize("transformer", TRANSFORMERS.values(), ids=TRANSFORMERS)
@pytest.mark.parametrize("one_pass", ["inverse", "forward"])
@pytest.mark.parametrize("order", ["sequential", [1, 0, 2, 0]])
def test_the_direction_in_steps_has_the_values_and_gradients_of_a_loop(
    transformer, one_pass, order
):
    layer = built(transformer, 4, one_pass, 2, order)
    value, context, weights = draw(3, 4), draw(3, 2, seed=1), draw(3, 4, seed=2)
    in_steps, direction = layer.forward_and_log_det, transformer.forward
    if one_pass == "forward":
        in_steps, direction = layer.inverse_and_log_det, transformer.inverse
    sources = [value, context, *[weight.value for weight in layer.trainable_weights]]
    found = []
    for compute in (
        lambda: in_steps(value, context)[0],
        lambda: one_by_one(layer, direction, value, context),
    ):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            result = compute()
            loss = tf.reduce_sum(weights * result**2)
        found.append((result, *tape.gradient(loss, sources)))
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 3, 63])
@pytest.mark.parametrize("one_pass", ["inverse", "forward"])
def test_one_pass_has_a_triangular_jacobian(n, one_pass):
    layer = built(Affine(1.0), n, one_pass)
    value = draw(1, n)
    direction = getattr(layer, f"{one_pass}_and_log_det")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(value)
        result, log_det = direction(value)
    jacobian = tape.jacobian(result, value, experimental_use_pfor=False)[0, :, 0].numpy()
    np.testing.assert_array_equal(np.triu(jacobian, 1), np.zeros([n, n]))
    expected = np.sum(np.log(np.diag(jacobian)))
    assert float(log_det[0]) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 63])
def test_directions_undo_each_other(n):
    layer = built(RationalQuadraticSpline(bins=4), n)
    z = draw(20, n)
    x, log_det = layer.forward_and_log_det(z)
    again, inverse_log_det = layer.inverse_and_log_det(x)
    np.testing.assert_allclose(again, z, rtol=0, atol=1e-10)
    np.testing.assert_allclose(log_det, -inverse_log_det, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("one_pass", ["inverse", "forward"])
def test_a_stack_of_them_is_a_chain_of_them(one_pass):
    def step():
        return Chain([built_step(), Reverse(dtype="float64")], dtype="float64")

    def built_step():
        network = MaskedMLP(2, (6,), activation="tanh", dtype="float64")
        return Autoregressive(Affine(1.0), network, one_pass, dtype="float64")

    @tf.function(autograph=False)  # where a stack's steps run in a loop
    def compute(layer, direction, z):
        weights = [weight.value for weight in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(z)
            result, log_det = getattr(layer, direction)(z)
            loss = tf.reduce_sum(result**2) + tf.reduce_sum(log_det)
        dz, *gradients = tape.gradient(loss, [z, *weights])
        return result, log_det, dz, gradients

    stack, chain = (
        Stack(step(), 3, dtype="float64"),
        Chain([step() for _ in range(3)], dtype="float64"),
    )
    for layer in (stack, chain):
        layer.build((None, 3))
    randomize(stack)
    for k, part in enumerate(chain.layers):
        for weight, values in zip(part.weights, stack.stacked, strict=True):
            weight.assign(values.numpy()[k])
    z = draw(5, 3)
    for direction in ("forward_and_log_det", "inverse_and_log_det"):
        found = []
        for layer in (stack, chain):
            *values, gradients = compute(layer, direction, z)
            if layer is chain:  # step by step there, and stacked here
                per_step = np.array_split(np.arange(len(gradients)), 3)
                gradients = [
                    np.stack([gradients[i] for i in places])
                    for places in zip(*per_step, strict=True)
                ]
            found.append((*values, *gradients))
        for ours, expected in zip(*found, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("transformer", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_second_derivatives_are_those_of_finite_differences(transformer):
    layer, z = built(transformer, 3), draw(2, 3)

    @tf.function(autograph=False)
    def gradient(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            x, log_det = layer.forward_and_log_det(z)
            loss = tf.reduce_sum(tf.sin(x)) + tf.reduce_sum(log_det)
        return tape.gradient(loss, z)

    direction = draw(2, 3, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(z)
        along = tf.reduce_sum(gradient(z) * direction)
    step = 1e-6 * direction
    expected = (gradient(z + step) - gradient(z - step)) / 2e-6
    np.testing.assert_allclose(tape.gradient(along, z), expected, rtol=1e-6, atol=1e-7)


def masked(num_parameters=2, **settings):
    return MaskedMLP(num_parameters, (8,), **settings)


ERRORS = {
    "conditioner": (lambda: Autoregressive(Affine(), MLP(4)), ["MaskedMLP", "MLP"]),
    "parameters": (lambda: Autoregressive(Shift(), masked()), ["Shift takes 1", "gives 2"]),
    "one_pass": (lambda: Autoregressive(Affine(), masked(), "both"), ["'forward'", "'both'"]),
    "dtype": (
        lambda: Autoregressive(Affine(), masked(dtype="float64")),
        ["computes in float32", "dtype float64"],
    ),
    "images": (
        lambda: Autoregressive(Affine(), masked()).build((None, 2, 2, 1)),
        ["vectors", "(2, 2, 1)", "Reshape"],
    ),
}


@pytest.mark.parametrize(("fail", "words"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_was_found(fail, words):
    with pytest.raises(ValueError) as error:
        fail()
    for word in words:
        assert word in str(error.value)
