"""Properties that every invertible layer has, over the registry in `cases.py`."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import LAYERS, SAME_GRAPHS, cases_of, max_difference

from tfflows.layers.parts import all_parts

# TensorFlow has no kernel of XLA for the log-det of a full matrix.
WITHOUT_XLA = {"conv1x1_full"}
# One dimension has none before it.
WITHOUT_INPUT = {"autoregressive_one": "kernel_0"}
DIRECTIONS = {"z": "forward_and_log_det", "x": "inverse_and_log_det"}

every_layer = pytest.mark.parametrize("name", cases_of(LAYERS))
both_directions = pytest.mark.parametrize("side", DIRECTIONS)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@every_layer
@both_dtypes
def test_round_trips(name, dtype):
    case = LAYERS[name]
    layer = case.build(dtype)
    tolerance = case.tolerance if dtype == "float32" else case.error

    z, context = case.draw("z", layer, 33)
    x, _ = layer.forward_and_log_det(z, context)
    again, _ = layer.inverse_and_log_det(x, context)
    assert max_difference(again, z) <= tolerance * max(1, np.abs(z).max(), np.abs(x).max())

    x, context = case.draw("x", layer, 34)
    z, _ = layer.inverse_and_log_det(x, context)
    again, _ = layer.forward_and_log_det(z, context)
    assert max_difference(again, x) <= tolerance * max(1, np.abs(z).max(), np.abs(x).max())


@every_layer
@both_directions
def test_log_det_is_that_of_the_jacobian(name, side):
    case = LAYERS[name]
    layer = case.build("float64")
    value, context = case.draw(side, layer, 3)
    size = math.prod(layer.event_shape)
    flat = tf.reshape(value, [-1, size])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(flat)
        result, log_det = getattr(layer, DIRECTIONS[side])(tf.reshape(flat, value.shape), context)
        result = tf.reshape(result, [-1, size])
    # Without pfor, whose tracing takes a second a case.
    jacobian = tape.batch_jacobian(result, flat, experimental_use_pfor=False).numpy()
    expected = np.linalg.slogdet(jacobian)[1]
    assert max_difference(log_det, expected) <= case.error * max(1, np.abs(expected).max())


@every_layer
@both_directions
def test_float32_agrees_with_float64(name, side):
    case = LAYERS[name]
    in_float32, in_float64 = case.build("float32"), case.build("float64")
    for found, expected in zip(
        getattr(in_float32, DIRECTIONS[side])(*case.draw(side, in_float32, 5)),
        getattr(in_float64, DIRECTIONS[side])(*case.draw(side, in_float64, 5)),
        strict=True,
    ):
        assert max_difference(found, expected) <= 1e-5 * max(1, np.abs(expected).max())


@every_layer
def test_forward_log_det_is_minus_inverse_log_det(name):
    case = LAYERS[name]
    layer = case.build("float64")
    z, context = case.draw("z", layer, 5)
    x, forward = layer.forward_and_log_det(z, context)
    _, inverse = layer.inverse_and_log_det(x, context)
    assert max_difference(forward, -inverse) <= case.error


@every_layer
@both_directions
def test_graph_of_unknown_batch_size_equals_eager(name, side):
    case = LAYERS[name]
    layer = case.build()
    value, context = case.draw(side, layer, 7)
    method = getattr(layer, DIRECTIONS[side])
    spec = [tf.TensorSpec([None, *value.shape[1:]])]
    spec += [] if context is None else [tf.TensorSpec([None, case.context_dim])]
    # Tracing without autograph takes half the time, and layers do not need it.
    graph = tf.function(method, input_signature=spec, autograph=False)

    out_shape = layer.event_shape if side == "z" else layer.latent_shape
    outputs = graph.get_concrete_function().structured_outputs
    assert [tuple(output.shape) for output in outputs] == [(None, *out_shape), (None,)]
    expected = method(value, context)
    assert [output.dtype.name for output in expected] == ["float32", "float32"]
    assert [tuple(output.shape) for output in expected] == [(7, *out_shape), (7,)]
    for batch in (slice(0, 1), slice(0, 7)):  # one example, and an odd number of them
        inputs = [value[batch]] if context is None else [value[batch], context[batch]]
        for found, wanted in zip(graph(*inputs), expected, strict=True):
            np.testing.assert_allclose(found, wanted[batch], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*LAYERS} - WITHOUT_XLA - SAME_GRAPHS))
@both_directions
def test_xla_equals_eager(name, side):
    case = LAYERS[name]
    layer = case.build()
    value, context = case.draw(side, layer, 7)
    method = getattr(layer, DIRECTIONS[side])
    compiled = tf.function(method, autograph=False, jit_compile=True)
    for found, expected in zip(compiled(value, context), method(value, context), strict=True):
        scale = max(1, np.abs(expected).max())
        assert max_difference(found, expected) <= case.tolerance * scale


@every_layer
def test_layers_say_whether_xla_compiles_them(name):
    parts = all_parts(LAYERS[name].build())
    assert all(part.supports_jit for part in parts) == (name not in WITHOUT_XLA)


@every_layer
@both_directions
def test_finite_in_the_tails(name, side):
    case = LAYERS[name]
    layer = case.build()
    value, context = case.draw(side, layer, 9, tails=True)
    for output in getattr(layer, DIRECTIONS[side])(value, context):
        assert np.all(np.isfinite(output))


@every_layer
@both_directions
def test_every_weight_gets_a_gradient(name, side):
    case = LAYERS[name]
    layer = case.build()
    value, context = case.draw(side, layer, 9)
    with tf.GradientTape() as tape:
        result, log_det = getattr(layer, DIRECTIONS[side])(value, context)
        loss = tf.reduce_sum(result**2) + tf.reduce_sum(log_det)
    weights = layer.trainable_weights
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None, weight.path
        assert np.all(np.isfinite(gradient)), weight.path
        assert np.any(gradient) or weight.name == WITHOUT_INPUT.get(name), weight.path


@every_layer
def test_config_makes_an_equal_layer(name):
    case = LAYERS[name]
    layer = case.build()
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()
    context_shape = None if case.context_dim is None else (None, case.context_dim)
    if not copy.built:
        copy.build((None, *case.latent_shape), context_shape)
    copy.set_weights(layer.get_weights())
    z, context = case.draw("z", layer, 3)
    for ours, theirs in zip(
        layer.forward_and_log_det(z, context), copy.forward_and_log_det(z, context), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@every_layer
def test_calling_the_layer_is_forward(name):
    case = LAYERS[name]
    layer = case.build()
    z, context = case.draw("z", layer, 3)
    x, _ = layer.forward_and_log_det(z, context)
    np.testing.assert_array_equal(layer(z, context=context), x)
    assert layer.compute_output_shape((None, *layer.latent_shape)) == (None, *layer.event_shape)


@pytest.mark.parametrize("name", cases_of([name for name in LAYERS if LAYERS[name].context_dim]))
@both_directions
def test_context_is_used(name, side):
    case = LAYERS[name]
    layer = case.build()
    value, context = case.draw(side, layer, 3)
    method = getattr(layer, DIRECTIONS[side])
    assert max_difference(method(value, context)[0], method(value, context + 1)[0]) > 1e-3
