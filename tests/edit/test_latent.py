"""Edits in latent space, against closed forms and against what the latents must be."""

import functools
import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfflows
from tfflows import edit
from tfflows.distributions.dequantization import quantize
from tfflows.layers import Chain, Conv1x1, LearnedPrior, Rescaling
from tfflows.networks import ConvNetwork

SHAPE = (8, 8, 3)


def filled(flow, scale=0.1):
    """A flow away from the identity."""
    rng = np.random.default_rng(3)
    for weight in flow.trainable_weights:
        weight.assign(weight + rng.normal(0, scale, weight.shape))
    return flow


def glow(dtype="float64", **settings):
    sizes = {"levels": 2, "steps": 1, "width": 8, "prior_width": 8}
    return filled(tfflows.Glow(SHAPE, num_bits=8, dtype=dtype, **sizes, **settings))


def realnvp(levels=2, **settings):
    sizes = {"levels": levels, "width": 4, "num_blocks": 1, "prior_width": 4}
    flow = tfflows.ImageRealNVP(SHAPE, num_bits=8, dtype="float64", **sizes, **settings)
    filled(flow)
    # The last layers of its networks, which multiply by 9 / sqrt(width).
    for weight in flow.trainable_weights:
        if "transpose" in weight.path:
            weight.assign(weight / 9)
    return flow


def nice(**settings):
    sizes = {"num_couplings": 2, "hidden": (8,), "num_bits": 8}
    return filled(tfflows.NICE(SHAPE, dtype="float64", **sizes, **settings))


def affine(**settings):
    """x = 256 (z exp(s) + shift) + 128 per channel, s and shift of the label if there is one."""
    layers = [LearnedPrior(dtype="float64"), Rescaling(256.0, 128.0, dtype="float64")]
    flow = tfflows.Flow(
        Chain(layers, dtype="float64"), (4, 4, 3), num_bits=8, dtype="float64", **settings
    )
    return filled(flow, 0.5)


def gaussian(spreads=(1, 1, 1, 1)):
    """Pixels of four channels with a full covariance, and that covariance."""
    flow = tfflows.Flow(Conv1x1("full", dtype="float64"), (2, 2, 4), dtype="float64")
    (kernel,) = flow.trainable_weights
    square = np.random.default_rng(5).normal(size=(4, 4)) + 2 * np.eye(4)
    kernel.assign(square / np.reshape(spreads, [4, 1]))  # from data to base
    columns, _ = flow.transform.forward_and_log_det(
        tf.reshape(tf.eye(4, dtype="float64"), [4, 1, 1, 4]) + tf.zeros([4, 2, 2, 4], "float64")
    )
    factor = columns[:, 0, 0].numpy().T
    return flow, factor @ factor.T


def pixels(n, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [n, *shape]).astype("uint8")


# Temperatures.


@pytest.mark.parametrize("make", [glow, realnvp])
def test_equal_temperatures_are_the_flows_own(make):
    flow = make()
    expected = flow.sample(3, temperature=0.6, seed=4)
    np.testing.assert_array_equal(edit.sample(flow, 3, [0.6, 0.6], seed=4), expected)
    np.testing.assert_array_equal(edit.sample(flow, 3, 0.6, seed=4), expected)
    np.testing.assert_array_equal(edit.sample(flow, 3, seed=4), flow.sample(3, seed=4))


def test_each_level_has_its_temperature():
    flow = glow()
    coarse, fine = flow.multiscale.split(flow.encode(flow.sample(3, seed=4)))
    for temperatures in ([0.5, 2.0], [1.5, 0.0]):
        x = edit.sample(flow, 3, temperatures, seed=4)
        found = flow.multiscale.split(flow.encode(x))
        np.testing.assert_allclose(found[0], temperatures[0] * coarse, atol=1e-9)
        np.testing.assert_allclose(found[1], temperatures[1] * fine, atol=1e-9)


def test_temperatures_of_a_conditional_flow_and_of_one_without_levels():
    flow = glow(num_classes=3)
    one, three = (edit.sample(flow, 2, [1.0, 0.7], seed=0, context=c) for c in (1, [1, 1]))
    np.testing.assert_array_equal(one, three)
    flow = nice()
    np.testing.assert_array_equal(edit.sample(flow, 2, 0.7, seed=0), flow.sample(2, 0.7, seed=0))


@pytest.mark.parametrize("temperatures", [[1.0], [1.0, 1.0, 1.0], []])
def test_wrong_number_of_temperatures(temperatures):
    with pytest.raises(ValueError, match=f"2 levels of .*, but found {len(temperatures)}"):
        edit.sample(glow(), 2, temperatures)


@pytest.mark.parametrize("bad", [-0.5, float("nan")])
def test_negative_temperatures(bad):
    for temperatures in (bad, [1.0, bad]):
        with pytest.raises(ValueError, match=f"at least 0, but found .*{bad}"):
            edit.sample(glow(), 2, temperatures)


def test_a_flow_without_levels():
    with pytest.raises(ValueError, match="has no levels: .* MultiScale, but found"):
        edit.sample(nice(), 2, [1.0, 0.5])
    with pytest.raises(ValueError, match="has no levels: .* MultiScale, but found"):
        edit.reconstruct(nice(), pixels(2), 1)


# Paths.


@pytest.mark.parametrize("make", [glow, realnvp, nice])
@pytest.mark.parametrize("kind", ["spherical", "linear"])
def test_ends_of_a_path_are_the_images(make, kind):
    flow = make()
    a, b = pixels(2)
    path = edit.interpolate(flow, a, b, num_steps=5, kind=kind)
    assert path.shape == (5, *SHAPE)
    np.testing.assert_allclose(path[0], a + 0.5, atol=1e-8)
    np.testing.assert_allclose(path[-1], b + 0.5, atol=1e-8)
    np.testing.assert_array_equal(quantize(path[0], 8), a)
    a, b = (x.astype("float64") + 0.25 for x in (a, b))
    np.testing.assert_allclose(edit.interpolate(flow, a, b, 2, kind), [a, b], atol=1e-8)


def test_linear_path_in_closed_form():
    flow = glow()
    a, b = pixels(2) + 0.5
    z_a, z_b = flow.encode([a, b]).numpy()
    expected = flow.decode([z_a + t * (z_b - z_a) for t in (0, 0.25, 0.5, 0.75, 1)])
    found = edit.interpolate(flow, a, b, num_steps=5, kind="linear")
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("norms", [(10.0, 10.0), (8.0, 16.0)])
def test_spherical_path_turns_evenly_and_keeps_the_norm(norms):
    flow = glow()
    z = np.random.default_rng(1).normal(size=(2, 192))
    z *= np.array(norms)[:, None] / np.linalg.norm(z, axis=1, keepdims=True)
    a, b = flow.decode(z).numpy()
    path = flow.encode(edit.interpolate(flow, a, b, num_steps=6)).numpy()
    lengths = np.linalg.norm(path, axis=1)
    np.testing.assert_allclose(lengths, np.linspace(*norms, 6), rtol=1e-8)
    unit = path / lengths[:, None]
    angles = np.arccos(np.sum(unit[1:] * unit[:-1], axis=1))
    whole = np.arccos(np.sum(unit[0] * unit[-1]))
    np.testing.assert_allclose(angles, whole / 5, rtol=1e-6)


@pytest.mark.parametrize("factor", [1.0, 2.0, 0.0, -1.0])
def test_spherical_path_between_parallel_latents_is_a_line(factor):
    flow = glow()
    z = flow.encode(pixels(1))[0].numpy()
    a, b = flow.decode([z, factor * z]).numpy()
    path = flow.encode(edit.interpolate(flow, a, b, num_steps=3)).numpy()
    np.testing.assert_allclose(path[1], z * (1 + factor) / 2, atol=1e-7)


def test_path_under_a_context():
    flow = glow(num_classes=3)
    a, b = pixels(2)
    z = np.mean(flow.encode(np.stack([a, b]) + 0.5, [2, 2]), axis=0, keepdims=True)
    path = edit.interpolate(flow, a, b, 3, "linear", context=2)
    np.testing.assert_allclose(path[1:2], flow.decode(z, [2]), atol=1e-8)
    with pytest.raises(ValueError, match="needs a context"):
        edit.interpolate(flow, a, b)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b": pixels(1, (8, 8, 1))[0]}, r"\(8, 8, 3\), but found shapes .* and \(8, 8, 1\)"),
        ({"a": pixels(1)}, r"but found shapes \(1, 8, 8, 3\)"),
        ({"kind": "cubic"}, "kind must be one of .*, but found 'cubic'"),
        ({"num_steps": 1}, "at least 2, but found 1"),
        ({"a": pixels(1)[0].astype("int32") - 300}, "Pixels must be in"),
        ({"a": pixels(1)[0] > 3}, "dtype bool"),
    ],
)
def test_interpolate_refuses(changes, message):
    a, b = pixels(2)
    with pytest.raises(ValueError, match=message):
        edit.interpolate(glow(), **{"a": a, "b": b, **changes})


# Directions.


@pytest.mark.parametrize("batch_size", [100, 7])
@pytest.mark.parametrize("dtype", [bool, "float32"])
def test_direction_of_an_affine_flow(batch_size, dtype):
    flow, x = affine(), pixels(40, (4, 4, 3))
    attribute = np.arange(40) % 3 == 0
    scale, _ = np.split(flow.trainable_weights[0].numpy(), 2)
    difference = x[attribute].mean(axis=0) - x[~attribute].mean(axis=0)
    found = edit.attribute_direction(flow, x, attribute.astype(dtype), batch_size=batch_size)
    assert found.dtype == "float64"
    np.testing.assert_allclose(found, difference / 256 * np.exp(-scale), atol=1e-10)
    others = np.arange(40) % 2 == 0
    both = edit.attribute_direction(flow, x, np.stack([attribute, others], 1).astype(dtype))
    np.testing.assert_allclose(both[0], found, atol=1e-12)
    np.testing.assert_allclose(both[1], edit.attribute_direction(flow, x, others), atol=1e-12)
    moved = edit.manipulate(flow, x[:2], found, [-1, 0, 0.5]).numpy()
    assert moved.shape == (2, 3, 4, 4, 3)
    for i, strength in enumerate((-1, 0, 0.5)):
        expected = x[:2] + 0.5 + strength * difference
        np.testing.assert_allclose(moved[:, i], expected, atol=1e-9)


def test_direction_of_a_flow_that_knows_the_class():
    flow, x = affine(num_classes=2), pixels(30, (4, 4, 3))
    bias, kernel = (w.numpy() for w in flow.trainable_weights)
    labels = np.arange(30) % 2
    scale, shift = np.split(bias + kernel[labels], 2, axis=-1)
    z = ((x + 0.5 - 128) / 256 - shift[:, None, None]) * np.exp(-scale[:, None, None])
    attribute = np.arange(30) < 10
    found = edit.attribute_direction(flow, x, attribute, labels, batch_size=7)
    expected = z[attribute].mean(axis=0) - z[~attribute].mean(axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    moved = edit.manipulate(flow, x[:2], found, [1.0], context=1)
    expected = x[:2] + 0.5 + 256 * np.exp(bias + kernel[1])[:3] * found
    np.testing.assert_allclose(moved[:, 0], expected, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("make", [glow, realnvp, nice])
def test_directions_of_deep_flows(make):
    flow, x = make(), pixels(9)
    z = flow.encode(x + 0.5).numpy()
    attribute = np.arange(9) > 5
    found = edit.attribute_direction(flow, x, attribute, batch_size=4)
    np.testing.assert_allclose(found, z[6:].mean(axis=0) - z[:6].mean(axis=0), atol=1e-8)
    moved = edit.manipulate(flow, x, found, [0.0, 1.5])
    np.testing.assert_allclose(moved[:, 0], x + 0.5, atol=1e-8)
    np.testing.assert_allclose(flow.encode(moved[:, 1]), z + 1.5 * found, atol=1e-7)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ([True, False], r"each of the 4 examples, or a row of them, but found shape \(2,\)"),
        (np.ones([4, 1, 1], bool), r"but found shape \(4, 1, 1\)"),
        (np.array([[0, 1], [0, 0], [0, 1], [0, 0]]), r"the values found are \[0\]"),
        ([True] * 4, r"the values found are \[True\]"),
        ([0.0] * 4, r"the values found are \[0.0\]"),
        ([-1, 1, 1, -1], r"the values found are \[-1, 1\]"),
        ([0, 1, 2, 1], r"the values found are \[0, 1, 2\]"),
    ],
)
def test_direction_refuses(attribute, message):
    with pytest.raises(ValueError, match=message):
        edit.attribute_direction(glow(), pixels(4), attribute)


def test_manipulate_refuses():
    flow, x = glow(), pixels(2)
    with pytest.raises(ValueError, match=r"direction of shape \(192,\), but found \(8, 8, 3\)"):
        edit.manipulate(flow, x, np.zeros(SHAPE), [1.0])
    for strengths in (1.0, []):
        with pytest.raises(ValueError, match="a list of strengths, but found"):
            edit.manipulate(flow, x, np.zeros(192), strengths)
    with pytest.raises(ValueError, match=r"expected x of shape .*\(2, 4, 8, 3\)"):
        edit.manipulate(flow, x[:, :4], np.zeros(192), [1.0])

    with pytest.raises(ValueError, match="too strong.*, but 48 of 48 values are NaN or infinite"):
        edit.manipulate(affine(), pixels(1, (4, 4, 3)), np.ones((4, 4, 3)), [1.0, 1e307])


# Levels.


@pytest.mark.parametrize("make", [glow, realnvp])
def test_reconstruction_from_all_levels_is_the_image(make):
    found = edit.reconstruct(make(), pixels(3), num_levels=2, temperature=1.0)
    np.testing.assert_allclose(found, pixels(3) + 0.5, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("make", [glow, realnvp])
def test_reconstruction_keeps_the_coarse_and_draws_the_fine(make):
    flow = make()
    kept, fine = flow.multiscale.split(flow.encode(pixels(30) + 0.5))
    drawn = {}
    for temperature in (0.0, 0.5, 1.0):
        x = edit.reconstruct(flow, pixels(30), 1, temperature, seed=1)
        coarse, drawn[temperature] = flow.multiscale.split(flow.encode(x))
        np.testing.assert_allclose(coarse, kept, atol=1e-6)
    np.testing.assert_allclose(drawn[0.0], tf.zeros_like(fine), atol=1e-6)
    np.testing.assert_allclose(drawn[0.5], 0.5 * drawn[1.0], atol=1e-6)
    values = drawn[1.0].numpy()
    error = 4 / values.size**0.5
    assert abs(values.mean()) < error and abs(values.std() - 1) < error
    again, other = (edit.reconstruct(flow, pixels(30), 1, 1.0, seed) for seed in (1, 2))
    np.testing.assert_array_equal(again, x)
    assert np.abs(other - x).max() > 1


def test_reconstruction_under_a_context():
    flow = glow(num_classes=3)
    z = flow.encode(pixels(2) + 0.5, [1, 1])
    coarse, fine = flow.multiscale.split(z)
    expected = flow.decode(flow.multiscale.join([coarse, 0 * fine]), [1, 1])
    found = edit.reconstruct(flow, pixels(2), 1, context=1)
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("num_levels", [0, 3, -1, 1.5])
def test_levels_out_of_range(num_levels):
    with pytest.raises(ValueError, match=f"1 to all 2 levels of .* num_levels {num_levels}"):
        edit.reconstruct(glow(), pixels(2), num_levels)
    with pytest.raises(ValueError, match="at least 0, but found -1"):
        edit.reconstruct(glow(), pixels(2), 1, temperature=-1)


# Inpainting.


def hole():
    mask = np.zeros(SHAPE[:2], bool)
    mask[2:6, 3:7] = True
    return mask


@pytest.mark.slow
@pytest.mark.parametrize("make", [glow, functools.partial(realnvp, levels=1), nice])
def test_inpainting_keeps_the_known_pixels(make):
    flow, mask = make(), hole()
    x = pixels(3) // 4 + 90
    y = edit.inpaint(flow, x, mask, 5, seed=0).numpy()
    np.testing.assert_array_equal(y[:, ~mask], x[:, ~mask] + 0.5)
    assert np.all((y >= 0) & (y < 256))
    # What was under the mask is not looked at.
    other = edit.inpaint(flow, np.where(mask[..., None], 255 - x, x), mask, 5, seed=0)
    np.testing.assert_array_equal(other, y)


def test_inpainting_draws_from_the_conditional_distribution_of_a_gaussian():
    flow, covariance = gaussian()
    one = np.random.default_rng(0).normal(size=(2, 2, 4))
    x = np.tile(one, [1000, 1, 1, 1])
    mask = np.zeros([2, 2, 4], bool)
    mask[..., :2] = True
    to_known = covariance[:2, 2:] @ np.linalg.inv(covariance[2:, 2:])
    mean = one[..., 2:] @ to_known.T
    conditional = covariance[:2, :2] - to_known @ covariance[2:, :2]
    for temperature in (1.0, 0.5):
        found = edit.inpaint(flow, x, mask, 1000, temperature=temperature, seed=0).numpy()
        np.testing.assert_array_equal(found[..., 2:], x[..., 2:])
        unknown = (found[..., :2] - mean).reshape(-1, 2) / temperature
        error = np.sqrt(np.diag(conditional) / len(unknown))
        assert np.all(np.abs(unknown.mean(axis=0)) < 4 * error + 0.01)
        # Standard errors of covariances are at most sqrt(2 / 4000) of the variances.
        np.testing.assert_allclose(np.cov(unknown.T), conditional, atol=0.09 * conditional.max())
    found = edit.inpaint(flow, x[:1], mask, num_steps=1000, temperature=0.0).numpy()
    np.testing.assert_allclose(found[0, ..., :2], mean, atol=5e-3)


def test_channels_of_unlike_spreads_count_alike():
    flow, covariance = gaussian(spreads=[1, 1, 1e4, 1e-4])
    assert covariance[2, 2] > 1e14 * covariance[3, 3]
    x = np.random.default_rng(0).normal(size=(3, 2, 2, 4)) * np.sqrt(np.diag(covariance)) / 2
    mask = np.zeros([2, 2, 4], bool)
    mask[..., :2] = True
    found = edit.inpaint(flow, x, mask, num_steps=1000, temperature=0.0).numpy()
    to_known = covariance[:2, 2:] @ np.linalg.inv(covariance[2:, 2:])
    np.testing.assert_allclose(found[..., :2], x[..., 2:] @ to_known.T, atol=0.01)


def test_fillings_differ_by_seed_and_by_row():
    flow, _ = gaussian()
    x, mask = np.zeros([2, 2, 2, 4]), np.zeros([2, 2, 4], bool)
    mask[..., :2] = True
    first, same, other = (edit.inpaint(flow, x, mask, 20, seed=seed).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other)[..., :2].min() > 1e-3
    assert np.abs(first[0] - first[1])[..., :2].min() > 1e-3
    cold = edit.inpaint(flow, x, mask, 20, temperature=0.0).numpy()
    np.testing.assert_array_equal(cold[0], cold[1])


@pytest.mark.slow
def test_masks_of_three_shapes_and_of_each_image():
    flow, x, mask = nice(), pixels(2), hole()
    whole = np.broadcast_to(mask[..., None], SHAPE)
    same = [edit.inpaint(flow, x, m, 3, seed=0) for m in (mask, whole, np.stack([whole, whole]))]
    np.testing.assert_array_equal(same[0], same[1])
    np.testing.assert_array_equal(same[0], same[2])
    each = np.stack([whole, np.zeros(SHAPE, bool)])
    found = edit.inpaint(flow, x, each, 3, seed=0)
    np.testing.assert_array_equal(found[1], x[1] + 0.5)


def test_a_channel_that_is_unknown_everywhere():
    flow, mask = nice(), np.zeros(SHAPE, bool)
    mask[..., 1] = True
    found = edit.inpaint(flow, pixels(2), mask, 3).numpy()
    assert np.all(np.isfinite(found))
    np.testing.assert_array_equal(found[..., 0], pixels(2)[..., 0] + 0.5)


def test_inpainting_under_a_context():
    flow, mask = nice(num_classes=3), hole()
    one, two, both = (
        edit.inpaint(flow, pixels(2), mask, 3, temperature=0.0, context=c) for c in (1, 2, [1, 2])
    )
    np.testing.assert_allclose(both[0], one[0], atol=1e-6)
    np.testing.assert_allclose(both[1], two[1], atol=1e-6)
    assert np.abs(one - two).max() > 1e-3


def test_inpainting_says_how_far_it_is():
    done, flow = [], tfflows.RealNVP((3,), num_couplings=1, hidden=(4,))
    mask = np.array([True, False, False])
    found = edit.inpaint(flow, np.ones([1, 3]), mask, 12, seed=0, progress=done.append)
    assert done == [10, 12]
    np.testing.assert_array_equal(found, edit.inpaint(flow, np.ones([1, 3]), mask, 12, seed=0))


@pytest.mark.slow
def test_inpainting_is_traced_once(monkeypatch):
    calls = []
    call = ConvNetwork.call

    def counted(self, *args, **kwargs):
        calls.append(tf.executing_eagerly())
        return call(self, *args, **kwargs)

    monkeypatch.setattr(ConvNetwork, "call", counted)
    flow = glow("float32")
    edit.inpaint(flow, pixels(2), hole(), num_steps=2)
    first = calls.count(False)
    assert first > 0
    edit.inpaint(flow, pixels(2, seed=1), hole(), 30, 0.1, 0.5, seed=3)
    assert calls.count(False) == first
    # What is kept of the trace does not keep the flow.
    reference = weakref.ref(flow)
    del flow
    keras.backend.clear_session()
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros([8, 7], bool), r"found shape \(8, 7\)"),
        (np.zeros([3, *SHAPE], bool), r"shape \(2, 8, 8, 3\) of x, .* found shape \(3, 8, 8, 3\)"),
        (np.ones([8, 8], bool), "mask of 2 of 2 is True everywhere"),
        (np.stack([np.ones(SHAPE, bool), np.zeros(SHAPE, bool)]), "mask of 1 of 2 is True"),
        (np.zeros([8, 8]), "booleans, but found dtype float64"),
    ],
)
def test_bad_masks(mask, message):
    with pytest.raises(ValueError, match=message):
        edit.inpaint(glow(), pixels(2), mask)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_steps": 0}, "num_steps of at least 1, but found 0"),
        ({"step_size": -0.1}, "step_size of at least 0, but found -0.1"),
        ({"temperature": -1}, "temperature of at least 0, but found -1"),
        ({"temperature": float("nan")}, "but found nan"),
        ({"x": pixels(2)[:, :4]}, r"found \(2, 4, 8, 3\)"),
        ({"x": np.full([2, *SHAPE], np.nan)}, "finite"),
        ({"context": 1}, "not conditional"),
    ],
)
def test_inpaint_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        edit.inpaint(glow(), **{"x": pixels(2), "mask": hole(), **changes})


# Neighbours.


@pytest.mark.parametrize("batch_size", [3, 50])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_neighbours_by_brute_force(batch_size, kind):
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, [50, 4, 4, 3]).astype(kind)
    samples = rng.integers(0, 256, [5, 4, 4, 3]).astype("uint8")
    if kind == "float32":
        train += rng.random(train.shape, "float32")
    samples[2] = train[17]
    wide = samples[:, None].astype("float64") - train[None].astype("float64")
    all_distances = np.sqrt(np.sum(wide**2, axis=(2, 3, 4)))
    expected = np.argsort(all_distances, axis=1)[:, :4]
    index, distance = edit.nearest_neighbours(samples, train, k=4, batch_size=batch_size)
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_allclose(
        distance, np.take_along_axis(all_distances, expected, axis=1), rtol=1e-12
    )
    assert index[2, 0] == 17 and (kind == "float32" or distance[2, 0] == 0)


def test_neighbours_as_near_as_each_other_and_all_of_them():
    train = np.array([[5, 5], [0, 1], [1, 0], [0, 0], [1, 0]], "uint8")
    index, distance = edit.nearest_neighbours(np.zeros([1, 2], "uint8"), train, 5, batch_size=2)
    assert index.tolist() == [[3, 1, 2, 4, 0]]
    np.testing.assert_array_equal(distance, [[0, 1, 1, 1, 50**0.5]])


def test_neighbours_in_a_file_are_read_in_parts(tmp_path):
    train = pixels(20, (4, 4, 3))
    np.save(tmp_path / "train.npy", train)

    class Slices:
        """Only slices of up to four images may be had."""

        array = np.load(tmp_path / "train.npy", mmap_mode="r")
        shape, __len__ = array.shape, array.__len__

        def __getitem__(self, rows):
            assert rows.stop - rows.start <= 4
            return self.array[rows]

    index, distance = edit.nearest_neighbours(train[[11, 3]], Slices(), batch_size=4)
    assert index.tolist() == [[11], [3]] and np.all(distance == 0)


@pytest.mark.parametrize(
    ("samples", "train", "k", "message"),
    [
        ([2, 8, 8, 3], [5, 8, 8, 1], 1, r"\(2, 8, 8, 3\) and \(5, 8, 8, 1\)"),
        ([8, 8, 3], [5, 8, 8, 3], 1, r"\(8, 8, 3\) and"),
        ([0, 8, 8, 3], [5, 8, 8, 3], 1, r"\(0, 8, 8, 3\) and"),
        ([2, 8, 8, 3], [5, 8, 8, 3], 6, "k from 1 to the 5 training images, but found 6"),
        ([2, 8, 8, 3], [5, 8, 8, 3], 0, "but found 0"),
    ],
)
def test_neighbours_refuse(samples, train, k, message):
    with pytest.raises(ValueError, match=message):
        edit.nearest_neighbours(np.zeros(samples), np.zeros(train), k)
