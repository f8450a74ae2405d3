"""Planar and radial layers by the paper's formulas and at their constraints; starts of all."""

import numpy as np
import pytest
import tensorflow as tf

from tfflows.layers import Planar, Radial, Sylvester

Z = np.random.default_rng(0).normal(size=(7, 3))


def made(kind, parameters):
    layer = kind(dtype="float64")
    layer.build((None, 3))
    layer.parameters.assign(np.concatenate([np.ravel(part) for part in parameters]))
    return layer


def test_planar():
    u, w, b = np.array([1.5, -0.3, 0.2]), np.array([-2.0, 0.5, 1.0]), 0.4
    x, log_det = made(Planar, [u, w, b]).forward_and_log_det(Z)
    # The u that the paper calls u-hat, of which w . u is -0.99 + softplus(w . u + c).
    gain = np.log1p(np.exp(w @ u) * np.expm1(0.99)) - 0.99
    u_hat = u + (gain - w @ u) * w / (w @ w)
    h = np.tanh(Z @ w + b)
    np.testing.assert_allclose(x, Z + u_hat * h[:, None], rtol=1e-12)
    np.testing.assert_allclose(log_det, np.log(np.abs(1 + (1 - h**2) * (u_hat @ w))), rtol=1e-11)
    assert gain > -1 > w @ u


def test_radial():
    centre, a, h = np.array([0.5, -1.0, 0.3]), 0.7, 2.0
    x, log_det = made(Radial, [centre, a, h]).forward_and_log_det(Z)
    alpha = np.log1p(np.exp(a))
    beta = alpha * (np.log1p(np.exp(h) * np.expm1(0.99)) - 0.99)
    r = np.linalg.norm(Z - centre, axis=1, keepdims=True)
    k = 1 / (alpha + r)
    np.testing.assert_allclose(x, Z + beta * k * (Z - centre), rtol=1e-12)
    # As the paper has it, with k' = -1 / (alpha + r)^2.
    determinant = (1 + beta * k) ** 2 * (1 + beta * k - beta * r * k**2)
    np.testing.assert_allclose(log_det, np.log(determinant[:, 0]), rtol=1e-11)


@pytest.mark.parametrize("sign", [-1, 1])
def test_at_their_constraints_they_can_be_inverted(sign):
    # v . w and beta / alpha as near to -1 as can be, or far from it.
    size = 50 if sign < 0 else 5
    for layer in (
        made(Planar, [[sign * size, 0, 0], [1, 0, 0], 0]),
        made(Radial, [[0, 0, 0], 0, sign * size]),
    ):
        x, log_det = layer.forward_and_log_det(1e-3 * Z)
        back, inverse_log_det = layer.inverse_and_log_det(x)
        np.testing.assert_allclose(back, 1e-3 * Z, atol=1e-12)
        np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-8)
        assert np.all(log_det < -4 if sign < 0 else log_det > 1)


@pytest.mark.parametrize("make", [Planar, Radial, lambda: Sylvester(2)])
def test_it_starts_as_the_identity_and_learns(make):
    layer = make()
    with tf.GradientTape() as tape:
        x, log_det = layer.forward_and_log_det(Z.astype("float32"))
        loss = tf.reduce_sum((x - 1) ** 2)
    np.testing.assert_allclose(x, Z, atol=1e-6)
    np.testing.assert_allclose(log_det, 0, atol=1e-6)
    assert np.any(tape.gradient(loss, layer.parameters.value) != 0)


@pytest.mark.parametrize("kind", [Planar, Radial, lambda **settings: Sylvester(2, **settings)])
def test_one_pass_turns_the_formula_around(kind):
    usual, turned = kind(dtype="float64"), kind(one_pass="inverse", dtype="float64")
    for layer in (usual, turned):
        layer.build((None, 3))
        values = np.random.default_rng(1).normal(size=layer.parameters.shape)
        layer.parameters.assign(values)
    for a, b in [
        (usual.forward_and_log_det, turned.inverse_and_log_det),
        (usual.inverse_and_log_det, turned.forward_and_log_det),
    ]:
        for found, expected in zip(a(Z), b(Z), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert np.max(np.abs(usual.forward_and_log_det(Z)[0] - turned.forward_and_log_det(Z)[0])) > 0.1


@pytest.mark.parametrize("kind", [Planar, Radial, lambda one_pass: Sylvester(1, one_pass)])
def test_another_direction_is_an_error(kind):
    with pytest.raises(ValueError, match="one_pass is 'inverse' or 'forward', but found 'both'"):
        kind(one_pass="both")


def test_a_planar_layer_without_a_direction_is_a_shift():
    layer = made(Planar, [[1, 2, 3], [0, 0, 0], 0.5])
    x, log_det = layer.forward_and_log_det(Z)
    np.testing.assert_allclose(x, Z + np.tanh(0.5) * np.array([1, 2, 3]), rtol=1e-12)
    np.testing.assert_array_equal(log_det, np.zeros(7))
    np.testing.assert_allclose(layer.inverse_and_log_det(x)[0], Z, atol=1e-14)


def test_the_centre_of_a_radial_layer_has_finite_gradients():
    layer = made(Radial, [[0.5, 0.5, 0.5], 0, 1])
    centre = tf.fill([1, 3], tf.constant(0.5, "float64"))
    for method in (layer.forward_and_log_det, layer.inverse_and_log_det):
        with tf.GradientTape() as tape:
            tape.watch(centre)
            value, log_det = method(centre)
        np.testing.assert_allclose(value, centre)
        gradients = tape.gradient([value, log_det], [centre, layer.parameters.value])
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


@pytest.mark.parametrize("kind", [Planar, Radial])
def test_images_are_an_error(kind):
    with pytest.raises(
        ValueError, match=r"is for vectors, .*\(2, 2, 1\); put a tfflows.layers.Resh"
    ):
        kind().build((None, 2, 2, 1))
