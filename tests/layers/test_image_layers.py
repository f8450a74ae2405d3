"""Layers for images, against independent NumPy."""

import keras
import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from cases import LAYERS, max_difference, randomize

import tfflows
from tfflows.layers import ActNorm, Chain, Conv1x1, LearnedPrior, MultiScale, Pass, Squeeze


def image(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("order", ["space_to_depth", "pixel_unshuffle"])
def test_squeeze_puts_pixels_where_it_says(order):
    x = image(2, 4, 6, 3)
    z, _ = Squeeze(order).inverse_and_log_det(x)
    expected = np.empty([2, 2, 3, 12], "float32")
    for i in range(2):
        for j in range(2):
            for c in range(3):
                channel = (2 * i + j) * 3 + c if order == "space_to_depth" else 4 * c + 2 * i + j
                expected[..., channel] = x[:, i::2, j::2, c]
    np.testing.assert_array_equal(z, expected)


def test_actnorm_standardises_each_channel_over_all_pixels():
    x = 5 + np.array([1.0, 10.0, 0.1]) * image(8, 4, 2, 3)
    layer = ActNorm()
    assert layer.built is False
    z = layer.adapt(tf.constant(x, tf.float32))
    np.testing.assert_allclose(np.mean(z, (0, 1, 2)), np.zeros(3), atol=1e-5)
    np.testing.assert_allclose(np.std(z, (0, 1, 2)), np.ones(3), rtol=1e-4)
    assert not layer.needs_adapt


@pytest.mark.parametrize("kind", ["lu", "full", "qr", "orthogonal"])
def test_conv1x1_multiplies_every_pixel_by_its_matrix(kind):
    layer = LAYERS[f"conv1x1_{kind}"].build("float64")
    size = layer.latent_shape[-1]
    x = np.random.default_rng(0).normal(size=(3, *layer.event_shape))
    z, log_det = layer.inverse_and_log_det(tf.constant(x))
    matrix = layer.matrix()
    np.testing.assert_allclose(z, x @ matrix, rtol=1e-12, atol=1e-12)
    pixels = np.prod(layer.event_shape) / size
    expected = pixels * np.linalg.slogdet(matrix)[1]
    np.testing.assert_allclose(log_det, np.full(3, expected), rtol=1e-10, atol=1e-12)
    assert abs(expected) > 0.01 or kind == "orthogonal"


@pytest.mark.parametrize("kind", ["lu", "full", "qr", "orthogonal"])
def test_conv1x1_starts_as_a_rotation_that_the_seed_decides(kind):
    first, again, other = (Conv1x1(kind, seed=seed) for seed in (1, 1, 2))
    for layer in (first, again, other):
        layer.build((None, 2, 2, 6))
    matrix = first.matrix()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=1e-5)
    assert np.abs(matrix - np.eye(6)).max() > 0.1
    np.testing.assert_array_equal(again.matrix(), matrix)
    assert np.abs(other.matrix() - matrix).max() > 0.1


def test_orthogonal_is_the_product_of_reflections():
    layer = LAYERS["conv1x1_orthogonal"].build("float64")
    expected = np.eye(5)
    for v in layer.reflections.numpy().T:
        expected = expected @ (np.eye(5) - 2 * np.outer(v, v) / (v @ v))
    np.testing.assert_allclose(layer.matrix(), expected, atol=1e-12)


def test_lu_factors_are_those_of_scipy():
    layer = Conv1x1("lu", seed=0, dtype="float64")
    layer.build((None, 7))
    permutation, lower, upper = scipy.linalg.lu(layer.matrix())
    np.testing.assert_allclose(layer.permutation, permutation)
    np.testing.assert_allclose(layer.lower.numpy() + np.eye(7), lower, atol=1e-6)
    diagonal = layer.sign.numpy() * np.exp(layer.log_diagonal.numpy())
    np.testing.assert_allclose(layer.upper.numpy() + np.diag(diagonal), upper, atol=1e-6)


def test_singular_kernel_is_refused():
    layer = Conv1x1("full", name="mix")
    layer.build((None, 3))
    layer.kernel.assign(np.ones([3, 3]))
    for method in (layer.forward_and_log_det, layer.inverse_and_log_det):
        with pytest.raises(ValueError, match="'mix' is singular: its condition number"):
            method(tf.ones([1, 3]))


@pytest.mark.parametrize("kind", ["lu", "full", "qr", "orthogonal"])
def test_constant_weights_need_no_inversion(kind):
    layer = LAYERS[f"conv1x1_{kind}"].build()
    z = tf.constant(image(3, *layer.latent_shape))

    def operations(call):
        function = tf.function(lambda z: layer.forward_pass(z, call)).get_concrete_function(z)
        kinds = {operation.type for operation in function.graph.get_operations()}
        return kinds & {"MatrixInverse", "MatrixTriangularSolve"}, function(z)[0]

    needed, expected = operations(Pass())
    left, found = operations(Pass(constants=True))
    assert needed
    assert not left
    assert max_difference(found, expected) < 1e-5


def test_learned_prior_is_a_gaussian_of_the_context():
    layer = LAYERS["prior_context"].build("float64")
    z, context = LAYERS["prior_context"].draw("z", layer, 4)
    x, log_det = layer.forward_and_log_det(z, context)
    parameters = layer.bias.numpy() + context.numpy() @ layer.kernel.numpy()
    s, shift = np.split(parameters[:, None, None], 2, axis=-1)
    np.testing.assert_allclose(x, z * np.exp(s) + shift)
    np.testing.assert_allclose(log_det, 2 * s.sum((1, 2, 3)))
    assert np.ptp(log_det) > 0.01


def test_multiscale_of_squeezes_by_hand():
    layer = MultiScale([Squeeze(), Squeeze()], image_shape=(4, 4, 3))
    x = image(2, 4, 4, 3)
    z, _ = layer.inverse_and_log_det(x)
    squeezed = tf.nn.space_to_depth(x, 2)
    kept, factored_out = squeezed[..., :6], squeezed[..., 6:]
    coarse, fine = layer.split(z)
    np.testing.assert_array_equal(fine, factored_out)
    np.testing.assert_array_equal(coarse, tf.nn.space_to_depth(kept, 2))
    np.testing.assert_array_equal(layer.join([coarse, fine]), z)
    assert layer.part_shapes == [(1, 1, 24), (2, 2, 6)]


def test_multiscale_adapts_every_level():
    levels = [Chain([ActNorm(), Squeeze()]) for _ in range(2)]
    layer = MultiScale(levels, image_shape=(4, 4, 1))
    x = tf.constant(3 + 2 * image(64, 4, 4, 1))
    layer.build((None, 16))
    assert layer.needs_adapt
    z = layer.adapt(x)
    assert not layer.needs_adapt
    for part in layer.split(z):
        np.testing.assert_allclose(np.std(part, (0, 1, 2)), np.ones(part.shape[-1]), rtol=0.01)
    np.testing.assert_allclose(layer.inverse_and_log_det(x)[0], z, atol=1e-5)


BAD = {
    "order": (lambda: Squeeze("rows"), ["'space_to_depth'", "'rows'"]),
    "odd_image": (
        lambda: Squeeze().inverse_and_log_det(tf.ones([1, 3, 4, 1])),
        ["even height and width", "(3, 4, 1)"],
    ),
    "no_image": (lambda: Squeeze().inverse_and_log_det(tf.ones([1, 4])), ["(4,)"]),
    "channels": (lambda: Squeeze()(tf.ones([1, 2, 2, 6])), ["4 * channels", "(2, 2, 6)"]),
    "parameterization": (lambda: Conv1x1("cholesky"), ["'lu'", "'cholesky'"]),
    "no_levels": (lambda: MultiScale([], (4, 4, 1)), ["one or more", "[]"]),
    "odd_channels": (
        lambda: MultiScale([LearnedPrior(), LearnedPrior()], (2, 2, 3))(tf.ones([1, 12])),
        ["halve the 3 channels of level 1", "(2, 2, 3)"],
    ),
    "checkerboard_of_vectors": (
        lambda: tfflows.layers.AdditiveCoupling(keras.layers.Dense(4), "checkerboard")(
            tf.ones([1, 4])
        ),
        ["'checkerboard' needs images", "(4,)"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_message_names_what_was_found_and_expected(name):
    action, fragments = BAD[name]
    with pytest.raises(ValueError, match=".") as error:
        action()
    for fragment in fragments:
        assert fragment in str(error.value)


def test_glow_scale_has_a_floor():
    """Far from the data the conditioner's output may be anything, and samples stay finite."""
    h = np.array([-100.0, -8.0, -1.0, 3.0], "float32")
    bias = keras.initializers.Constant(np.concatenate([h, np.zeros(4)]))
    conditioner = keras.layers.Dense(8, kernel_initializer="zeros", bias_initializer=bias)
    layer = tfflows.layers.AffineCoupling(conditioner, "half", log_scale_bound=None)
    z = tf.ones([1, 8])
    x, log_det = layer.forward_and_log_det(z)
    scale = np.minimum(1 + np.exp(-h.astype("float64") - 2), np.exp(5))  # 1 / sigmoid(h + 2)
    np.testing.assert_allclose(np.sort(x[0])[4:], np.sort(scale), rtol=1e-5)
    np.testing.assert_allclose(log_det, [np.log(scale).sum()], rtol=1e-5)
    np.testing.assert_allclose(layer.inverse_and_log_det(x)[0], z, rtol=1e-5)


def test_same_level_twice_is_refused():
    level = Squeeze()
    with pytest.raises(ValueError, match="same level twice"):
        MultiScale([level, level], (8, 8, 1))


def test_config_makes_an_equal_multiscale():
    layer = LAYERS["multiscale"].build()
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    copy.build((None, 16))
    copy.set_weights(layer.get_weights())
    randomize(layer)
    z = tf.constant(image(3, 16))
    assert max_difference(copy(z), layer(z)) == 0
