"""Angles: splines, turns and networks of the circle, and a flow on the torus."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfflows
from tfflows.layers import Chain, CircularShift, Coupling, Reverse, Stack
from tfflows.networks import MLP, PeriodicFeatures
from tfflows.transformers import CircularSpline

tfd = tfp.distributions


def test_both_ends_of_a_circular_spline_have_the_same_derivative():
    spline = CircularSpline(bins=5)
    raw = [tf.constant([p]) for p in np.random.default_rng(0).normal(size=15)]
    ends = np.array([-np.pi + 1e-9, np.pi - 1e-9])
    x, log_det = spline.forward(ends, raw)
    np.testing.assert_allclose(x, ends, atol=1e-8)
    np.testing.assert_allclose(log_det[0], log_det[1], atol=1e-6)
    expected = np.log(1e-3 + np.log1p(np.exp(raw[10].numpy() + np.log(np.expm1(1 - 1e-3)))))
    np.testing.assert_allclose(log_det[:1], expected, atol=1e-6)


def test_a_shift_turns_and_wraps():
    layer = CircularShift(dtype="float64")
    layer.build((None, 2), (None, 1))
    layer.shift.assign([1.0, -2.5])
    layer.kernel.assign([[0.5, 4.0]])
    z = np.random.default_rng(0).uniform(-np.pi, np.pi, [50, 2])
    context = np.random.default_rng(1).normal(size=[50, 1])
    x, log_det = layer.forward_and_log_det(z, context)
    turned = z + [1.0, -2.5] + context * [0.5, 4.0]
    np.testing.assert_allclose(np.exp(1j * x.numpy()), np.exp(1j * turned), atol=1e-12)
    assert np.all(x >= -np.pi) and np.all(x < np.pi)
    np.testing.assert_allclose(layer.inverse_and_log_det(x, context)[0], z, atol=1e-12)
    np.testing.assert_array_equal(log_det, np.zeros(50))


def test_periodic_features_are_the_same_after_a_period(tmp_path):
    network = PeriodicFeatures(MLP(3, hidden=(8,)), bound=2.0)
    x, context = np.random.default_rng(0).normal(size=[2, 5, 2]).astype("float32")
    first = network(x, context)
    np.testing.assert_allclose(network(x + 4.0, context), first, atol=1e-5)
    assert np.abs(network(x + 1.0, context) - first).max() > 1e-2
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    assert copy(x, context).shape == (5, 3) and copy.bound == 2.0


@keras.saving.register_keras_serializable(package="tests")
def uniform_angles(shape):
    angle = tf.fill(shape, np.float32(np.pi))
    return tfd.Independent(tfd.Uniform(-angle, angle), len(shape))


def torus_flow():
    spline = CircularSpline()
    network = PeriodicFeatures(MLP(spline.num_parameters, hidden=(32,), zero_output=True))
    step = Chain([Coupling(spline, network), Reverse(), CircularShift(start=2.0)])
    base = tfflows.distributions.DistributionBase(uniform_angles)
    return tfflows.Flow(Stack(step, n=4), (2,), base=base)


def angles(n, seed=0):
    """Two angles around (pi, 0) whose sum varies less than their difference, and their density."""
    rng = np.random.default_rng(seed)
    total, difference = rng.vonmises(np.pi, 6.0, n), rng.vonmises(np.pi, 1.0, n)
    # Of unit determinant on the torus: (a, b) -> (a, a + b).
    x = np.stack([difference, total - difference], 1)
    vonmises = scipy.stats.vonmises
    log_p = vonmises(6.0, np.pi).logpdf(x.sum(1)) + vonmises(1.0, np.pi).logpdf(x[:, 0])
    return ((x + np.pi) % (2 * np.pi) - np.pi).astype("float32"), log_p


@pytest.mark.slow
def test_a_flow_on_the_torus_learns_a_density_without_a_seam(tmp_path):
    keras.utils.set_random_seed(0)
    flow = torus_flow()
    x, _ = angles(20_000)
    flow.compile(keras.optimizers.Adam(3e-3))
    flow.fit(x, batch_size=200, epochs=8, verbose=0)
    test, truth = angles(5000, seed=1)
    assert truth.mean() - flow.log_prob(test).numpy().mean() < 0.05

    axis = np.linspace(-np.pi, np.pi, 301)[:-1] + np.pi / 300
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2).astype("float32")
    integral = np.exp(flow.log_prob(grid)).sum() * (axis[1] - axis[0]) ** 2
    np.testing.assert_allclose(integral, 1, atol=1e-3)

    seam = np.array([[np.pi - 1e-5, 0.3], [-np.pi + 1e-5, 0.3]], "float32")
    for points in (seam, seam[:, ::-1]):
        found = flow.log_prob(points).numpy()
        assert abs(found[0] - found[1]) < 1e-2

    samples = flow.sample(1000, seed=0).numpy()
    assert np.all(np.abs(samples) <= np.pi)
    flow.save(tmp_path / "torus.keras")
    loaded = keras.saving.load_model(tmp_path / "torus.keras")
    np.testing.assert_allclose(loaded.log_prob(test[:10]), flow.log_prob(test[:10]), rtol=1e-5)


def test_a_bound_that_is_none_is_an_error():
    with pytest.raises(ValueError, match="CircularShift needs a positive finite bound, but found"):
        CircularShift(bound=0.0)
    with pytest.raises(ValueError, match="PeriodicFeatures needs a positive bound, but found 0"):
        PeriodicFeatures(MLP(3, hidden=(8,)), bound=0.0)
