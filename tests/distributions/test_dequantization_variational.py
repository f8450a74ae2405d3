"""Learned noise: a density, a valid bound, trained with the flow and saved with it."""

import json

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from cases import draw_data, max_difference, randomize

import tfflows
from tfflows import evaluate
from tfflows.distributions.dequantization import VariationalDequantizer, dequantize
from tfflows.layers import AffineCoupling, Chain, Rescaling
from tfflows.networks import ConvNetwork

IMAGES = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(16, 1, 2, 1)


def made(shape=(1, 2, 1), size=1.0, dtype="float64", **settings):
    """A dequantizer with random weights."""
    settings = {"width": 6, "num_couplings": 2, "log_scale_bound": 0.5, **settings}
    layer = VariationalDequantizer(dtype=dtype, **settings)
    layer.build((None, *shape))
    randomize(layer, size)
    return layer


def toy_flow(dequantizer=None, dtype="float64"):
    """A density over two pixels of 2 bits, not flat within a pixel."""
    layers = [
        AffineCoupling(ConvNetwork(2, 6, dtype=dtype), "checkerboard", flip, 0.5, dtype=dtype)
        for flip in (False, True)
    ]
    transform = Chain([*layers, Rescaling(0.9, 2.0, dtype=dtype)], dtype=dtype)
    flow = tfflows.Flow(transform, (1, 2, 1), num_bits=2, dtype=dtype, dequantizer=dequantizer)
    randomize(transform)
    return flow


def tiny_glow(**settings):
    return tfflows.Glow(
        (4, 4, 2), levels=1, steps=1, width=4, prior_width=4, num_bits=3, **settings
    )


def unit_grid(num=100):
    """Midpoints of the unit square, `[num**2, 1, 2, 1]`."""
    u = (np.arange(num) + 0.5) / num
    return np.stack(np.meshgrid(u, u), -1).reshape(-1, 1, 2, 1)


def exact_log_probability(flow, image):
    """log P of a discrete image, by integration of p over its pixels' values."""
    density = np.exp(flow.log_prob((image + unit_grid()).astype(flow.compute_dtype)))
    return np.log(density.mean())


def test_starts_as_uniform_noise():
    flow, plain = tiny_glow(dequantizer=VariationalDequantizer(width=4)), tiny_glow()
    randomize(flow.transform)
    plain.set_weights(flow.transform.get_weights())
    x = draw_data(plain, 7)
    noisy, log_q = flow.dequantizer.dequantize(x, 3, seed=5)
    assert max_difference(log_q, np.zeros(7)) < 1e-4
    assert max_difference(noisy, dequantize(x, 3, seed=5)) < 1e-5
    np.testing.assert_allclose(flow.log_prob(x, seed=5), plain.log_prob(x, seed=5), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("num_couplings", [1, 3])
def test_q_integrates_to_one_and_depends_on_the_image(num_couplings):
    layer = made(num_couplings=num_couplings)
    # In steps of the logit, since q may be infinite at the ends of the interval.
    t = np.linspace(-32, 32, 400)
    slope = np.exp(-np.abs(t)) / (1 + np.exp(-np.abs(t))) ** 2
    u = np.stack(np.meshgrid(1 / (1 + np.exp(-t)), 1 / (1 + np.exp(-t))), -1)
    u, weights = u.reshape(-1, 1, 2, 1), np.outer(slope, slope).ravel() * (t[1] - t[0]) ** 2
    densities = []
    for pixels in ([0, 0], [3, 1]):
        x = np.broadcast_to(np.reshape(pixels, (1, 1, 2, 1)), u.shape)
        densities.append(np.exp(layer.log_prob(u, x, num_bits=2)))
        assert np.sum(densities[-1] * weights) == pytest.approx(1, abs=1e-4)
    assert np.sum(np.abs(densities[0] - densities[1]) * weights) > 0.02
    assert np.sum(np.abs(densities[0] - 1) * weights) > 0.05


@pytest.mark.parametrize("shape", [(1, 2, 1), (4, 3, 1), (2, 2, 3), (3, 2, 2)])
def test_density_of_a_draw_is_the_density(shape):
    layer = made(shape, size=0.5, num_couplings=4, log_scale_bound=2.0)
    x = np.random.default_rng(0).integers(8, size=(50, *shape))
    noisy, log_q = layer.dequantize(x, 3, seed=1)
    u = noisy - x
    assert np.all((u > 0) & (u < 1))
    np.testing.assert_allclose(layer.log_prob(u, x, 3), log_q, atol=1e-6)
    assert np.std(log_q) > 0.05
    # Every pixel's noise has changed.
    start = dequantize(x, 3, seed=1, dtype="float64")
    assert np.all(np.max(np.abs(noisy - start), 0) > 1e-3)


def test_density_of_float32_pixels_of_8_bits():
    layer = made((4, 4, 3), size=0.3, dtype="float32", num_couplings=4)
    x = np.random.default_rng(0).integers(200, 256, size=(50, 4, 4, 3)).astype("uint8")
    noisy, log_q = layer.dequantize(x, 8, seed=1)
    assert noisy.dtype == log_q.dtype == "float32"
    np.testing.assert_array_equal(np.floor(noisy), x)
    wide = made((4, 4, 3), size=0.3, num_couplings=4)
    np.testing.assert_allclose(wide.log_prob(noisy - np.float32(x), x, 8), log_q, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("dequantizer", [None, made])
def test_bound_and_importance_weighted_bound(dequantizer):
    layer = None if dequantizer is None else dequantizer()
    flow = toy_flow(layer)
    grid = unit_grid()
    for image in IMAGES[[0, 11]]:
        exact = exact_log_probability(flow, image)
        log_p = flow.log_prob(image + grid).numpy()
        pixels = np.broadcast_to(image, grid.shape)
        log_q = np.zeros(len(grid)) if layer is None else layer.log_prob(grid, pixels, 2).numpy()
        bound = np.mean(np.exp(log_q) * (log_p - log_q))
        variance = np.mean(np.exp(2 * log_p - log_q)) / np.exp(2 * exact) - 1
        assert bound < exact - 0.01  # the test is not one of a flat density

        x = np.repeat(image[None], 1500, axis=0)
        found = evaluate.likelihood(flow, x, batch_size=2000)
        assert abs(-found.nll - bound) < 4 * found.standard_error + 2e-3
        below = -found.nll
        for k in (4, 16, 64):
            found = evaluate.importance_weighted_bound(flow, x, num_samples=k, batch_size=2000)
            assert below < -found.nll < exact + 4 * found.standard_error
            below = -found.nll
        # The gap is that of the delta method.
        gap = variance / (2 * 64)
        assert abs(exact - below - gap) < 4 * found.standard_error + 0.3 * gap


@pytest.mark.slow
def test_training_closes_the_gap_that_uniform_noise_leaves():
    # The Gaussian's mean is where the pixels meet: its mass is at one end of either pixel.
    layer = VariationalDequantizer(width=8, num_couplings=2)
    flow = tfflows.Flow(Rescaling(0.3, 1.0), (1, 2, 1), num_bits=1, dequantizer=layer)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 64).reshape(-1, 1, 2, 1)
    cdf = scipy.stats.norm(1.0, 0.3).cdf
    exact = -2 * np.log(cdf(2) - cdf(1))
    before = evaluate.likelihood(flow, x, num_draws=20)
    assert before.nll == pytest.approx(2 * (np.log(0.3 * np.sqrt(2 * np.pi)) + 1 / 0.54), abs=0.1)
    flow.compile(keras.optimizers.Adam(0.02))
    flow.fit(x, epochs=100, batch_size=256, verbose=0)
    after = evaluate.likelihood(flow, x, num_draws=20)
    assert exact < after.nll + 4 * after.standard_error
    assert after.nll - exact < 0.1 * (before.nll - exact)
    assert after.estimator == "variational dequantisation bound"


@pytest.mark.slow
def test_every_weight_gets_the_right_gradient():
    flow = toy_flow(made(size=0.5, num_couplings=4))
    x = IMAGES
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(flow.log_prob(x, seed=3))
    weights = flow.dequantizer.trainable_weights
    gradients = tape.gradient(loss, weights)
    assert len(weights) == 4 + 4 * 6
    rng = np.random.default_rng(0)
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None and np.all(np.isfinite(gradient)), weight.path
        assert np.any(gradient != 0), weight.path
        direction, start, values = rng.normal(size=weight.shape), weight.numpy(), []
        for step in (1e-6, -1e-6):
            weight.assign(start + step * direction)
            values.append(float(tf.reduce_mean(flow.log_prob(x, seed=3))))
        weight.assign(start)
        slope = (values[0] - values[1]) / 2e-6
        assert slope == pytest.approx(float(np.sum(gradient * direction)), rel=1e-4, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_equal_seeds_give_equal_noise_in_graph_and_xla(jit_compile):
    layer = made((3, 3, 1), dtype="float32")
    x = np.random.default_rng(0).integers(8, size=(5, 3, 3, 1))
    expected, log_q = layer.dequantize(x, 3, seed=3)
    draw = tf.function(lambda x: layer.dequantize(x, 3, seed=3), jit_compile=jit_compile)
    noisy, log_q_too = draw(x)
    np.testing.assert_allclose(noisy, expected, atol=1e-5)
    np.testing.assert_allclose(log_q_too, log_q, atol=1e-4)
    assert max_difference(layer.dequantize(x, 3, seed=4)[0], expected) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["glow", "image_realnvp", "generic"])
def test_saved_with_the_flow(kind, tmp_path):
    layer = VariationalDequantizer(width=5, num_couplings=3, log_scale_bound=1.5)
    if kind == "glow":
        flow = tiny_glow(dequantizer=layer)
    elif kind == "image_realnvp":
        flow = tfflows.ImageRealNVP(
            (2, 4, 1), levels=1, width=4, num_blocks=1, num_bits=3, dequantizer=layer
        )
    else:
        flow = tfflows.Flow(Rescaling(8.0), (2, 2, 2), num_bits=3, dequantizer=layer)
    randomize(flow, size=0.3)
    x = draw_data(flow, 6)
    expected = flow.log_prob(x, seed=2)
    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    config = json.loads(json.dumps(flow.get_config()))
    flow.save_weights(tmp_path / "flow.weights.h5")
    tf.train.Checkpoint(flow).write(str(tmp_path / "checkpoint"))
    fresh, restored = type(flow).from_config(config), type(flow).from_config(config)
    fresh.load_weights(tmp_path / "flow.weights.h5")
    tf.train.Checkpoint(restored).read(str(tmp_path / "checkpoint")).assert_consumed()
    for copy in (loaded, fresh, restored):
        np.testing.assert_array_equal(copy.log_prob(x, seed=2), expected)
        assert json.loads(json.dumps(copy.get_config())) == config
        assert copy.dequantizer.width == 5 and copy.dequantizer.log_scale_bound == 1.5


def test_recipes_can_ask_for_it():
    config = {"class_name": "tfflows>VariationalDequantizer", "config": {"width": 4}}
    flow = tiny_glow(dequantizer=config)
    assert flow.dequantizer.width == 4
    assert "dequantizer" not in tiny_glow().get_config()


@pytest.mark.slow
def test_a_flow_fits_encodes_and_exports_with_it(tmp_path):
    flow = toy_flow(VariationalDequantizer(width=4, num_couplings=2, dtype="float64"))
    flow.compile(keras.optimizers.Adam(0.01))
    weights = [weight.numpy() for weight in flow.weights]
    history = flow.fit(IMAGES, epochs=5, batch_size=8, verbose=0).history
    assert history["nll"][-1] < history["nll"][0]
    for weight, before in zip(flow.weights, weights, strict=True):
        assert max_difference(weight, before) > 0, weight.path
    back = flow.decode(flow.encode(IMAGES, seed=1))
    assert max_difference(back, flow.dequantizer.dequantize(IMAGES, 2, seed=1)[0]) < 1e-6
    served = tf.saved_model.load(tfflows.export.save(flow, tmp_path / "1")).signatures
    points = tf.cast(IMAGES, "float32") + 0.5
    found = served["log_prob"](x=points)["log_prob"]
    np.testing.assert_allclose(found, flow.log_prob(points), rtol=1e-5)


def test_networks_of_low_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    flow = tiny_glow(dequantizer=VariationalDequantizer(width=4))
    randomize(flow, size=0.3)
    assert flow.dequantizer._second.compute_dtype == "bfloat16"
    found = flow.log_prob(draw_data(flow, 5), seed=0)
    assert found.dtype == "float32" and np.all(np.isfinite(found))


def test_bad_settings():
    flow = toy_flow(made())
    with pytest.raises(ValueError, match=r"\[0, 4\) for num_bits=2, but found values from 0 to 7"):
        flow.log_prob(IMAGES + np.arange(16).reshape(-1, 1, 1, 1) % 5)
    with pytest.raises(ValueError, match="num_bits is None"):
        tfflows.Flow(Rescaling(2.0), (1, 2, 1), dequantizer=VariationalDequantizer())
    with pytest.raises(ValueError, match="dequantizer has dtype float64"):
        tiny_glow(dequantizer=VariationalDequantizer(dtype="float64"))
    with pytest.raises(ValueError, match="num_couplings must be at least 1, but found 0"):
        VariationalDequantizer(num_couplings=0)
    with pytest.raises(ValueError, match="at least 2 pixels"):
        tfflows.Flow(Rescaling(2.0), (1, 1, 1), num_bits=1, dequantizer=VariationalDequantizer())
