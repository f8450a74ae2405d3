"""What Glow and ImageRealNVP are made of."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import randomize

import tfflows
from tfflows import evaluate
from tfflows.layers import AffineCoupling, Permutation
from tfflows.transformers import Affine, Shift, SigmoidAffine

SMALL = {"levels": 2, "steps": 2, "width": 8, "prior_width": 8, "num_bits": 8}


def kinds(flow, level):
    return [type(layer).__name__ for layer in flow.multiscale.levels[level].unrolled()]


def test_glow_is_made_of_steps_as_in_the_paper():
    flow = tfflows.Glow((8, 8, 3), **{**SMALL, "steps": [2, 1]})
    step = ["Coupling", "Conv1x1", "ActNorm"]
    assert kinds(flow, 0) == ["LearnedPrior", *step, *step, "Squeeze"]
    assert kinds(flow, 1) == ["AffineCoupling", *step, "Squeeze"]
    assert flow.multiscale.part_shapes == [(2, 2, 24), (4, 4, 6)]
    assert flow.transform.latent_shape == (192,)


@pytest.mark.parametrize(
    ("settings", "transformer", "permutation"),
    [
        ({"coupling": "additive"}, Shift(), "Conv1x1"),
        ({"permutation": "shuffle", "log_scale_bound": 0.5}, Affine(0.5), "Permutation"),
        ({"permutation": "reverse"}, SigmoidAffine(), "Reverse"),
    ],
)
def test_glow_settings_choose_the_layers(settings, transformer, permutation):
    flow = tfflows.Glow((4, 4, 2), **{**SMALL, "levels": 1, **settings}, learned_prior=False)
    assert kinds(flow, 0) == ["Coupling", permutation, "ActNorm"] * 2 + ["Squeeze"]
    coupling = flow.multiscale.levels[0].unrolled()[3]
    assert coupling.transformer == transformer


def test_shuffles_of_different_steps_differ_and_are_reproducible():
    def orders():
        flow = tfflows.Glow((4, 4, 2), **{**SMALL, "levels": 1}, permutation="shuffle")
        layers = flow.multiscale.levels[0].unrolled()
        return [layer.permutation for layer in layers if isinstance(layer, Permutation)]

    first, second = orders()
    assert first != second
    assert orders() == [first, second]


def test_glow_maps_pixels_to_half_a_unit_around_zero():
    flow = tfflows.Glow((4, 4, 1), levels=1, steps=1, width=4, num_bits=5)
    flow.multiscale.levels[0].layers[-2].log_scale.assign(np.zeros(4))
    x = tf.constant([0.0, 32.0], shape=[2, 1, 1, 1]) * tf.ones([2, 4, 4, 1])
    mapped, _ = flow.transform.layers[-1].inverse_and_log_det(x)
    np.testing.assert_allclose(mapped[:, 0, 0, 0], [-0.5, 0.5])


def test_glow_starts_standardised_whatever_the_data():
    rng = np.random.default_rng(0)
    x = np.clip(rng.normal(100, [1, 20, 60], (300, 8, 8, 3)), 0, 255).astype("uint8")
    flow = tfflows.Glow((8, 8, 3), **SMALL)
    flow.adapt(x, seed=0)
    # The paper's couplings start with the scale sigmoid(2).
    for part in flow.multiscale.split(flow.encode(x, seed=0)):
        assert np.all(np.abs(np.mean(part, (0, 1, 2))) < 0.1)
        assert np.all(np.std(part, (0, 1, 2)) < 1.1)
        assert np.all(np.std(part, (0, 1, 2)) > 0.7)


def test_only_256_examples_are_kept_for_adapt():
    x = np.zeros([1000, 8, 8, 3], "uint8")
    flow = tfflows.Glow((8, 8, 3), **SMALL)
    assert len(flow.examples_to_adapt_to(x, None)[0]) == 256


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"coupling": "additive"}, {"log_scale_bound": 1.0}])
def test_log_det_of_a_small_glow_is_that_of_autodiff(settings):
    flow = tfflows.Glow((4, 4, 3), **{**SMALL, **settings})
    randomize(flow, 0.3)
    x = np.random.default_rng(0).uniform(0, 256, (2, 4, 4, 3))
    assert evaluate.log_det_error(flow, x) < 1e-4 * 48


def test_realnvp_for_images_is_made_as_in_the_paper():
    flow = tfflows.ImageRealNVP((8, 8, 3), levels=2, width=[8, 4], num_blocks=1, num_bits=8)
    masks = [
        [
            (layer.mask, layer.flip)
            for layer in reversed(level.layers)
            if isinstance(layer, AffineCoupling)
        ]
        for level in flow.multiscale.levels
    ]
    checkerboards = [("checkerboard", flip) for flip in (False, True, False, True)]
    channels = [("half", flip) for flip in (False, True, False)]
    assert masks[0] == checkerboards
    assert masks[1] == [*checkerboards[:3], *channels, ("half", False)]  # the last is the prior
    assert flow.multiscale.part_shapes == [(4, 4, 6), (4, 4, 6)]
    widths = [level.layers[-2].conditioner.width for level in flow.multiscale.levels]
    assert widths == [8, 4]


@pytest.mark.slow
@pytest.mark.parametrize("flow", [tfflows.Glow, tfflows.ImageRealNVP])
def test_training_lowers_bits_per_dim_on_held_out_images(flow):
    keras.utils.set_random_seed(0)
    # Smooth images: neighbouring pixels are nearly equal.
    rng = np.random.default_rng(0)
    x = np.clip(rng.normal(128, 30, (512, 1, 1, 1)) + rng.normal(0, 3, (512, 4, 4, 1)), 0, 255)
    x = x.astype("uint8")
    depth = {"steps": 2} if flow is tfflows.Glow else {"num_blocks": 1}
    made = flow((4, 4, 1), levels=1, width=8, prior_width=8, num_bits=8, **depth)
    made.adapt(x[:256])
    made.compile(keras.optimizers.Adam(3e-3))
    before = made.evaluate(x[400:], verbose=0, return_dict=True)["bits_per_dim"]
    made.fit(x[:400], batch_size=50, epochs=5, verbose=0)
    after = made.evaluate(x[400:], verbose=0, return_dict=True)["bits_per_dim"]
    assert after < before - 0.3


BAD = {
    "vector": (lambda: tfflows.Glow((4,)), ["for images", "(4,)"]),
    "odd": (lambda: tfflows.Glow((28, 28, 1), levels=3), ["divided by 8", "28 x 28"]),
    "odd_realnvp": (lambda: tfflows.ImageRealNVP((6, 6, 1), levels=3), ["divided by 4", "6 x 6"]),
    "levels": (lambda: tfflows.Glow((4, 4, 1), levels=0), ["at least 1", "0"]),
    "steps": (lambda: tfflows.Glow((4, 4, 1), levels=2, steps=[1]), ["steps", "2 levels", "[1]"]),
    "width": (lambda: tfflows.Glow((4, 4, 1), levels=1, width=0), ["width", "positive"]),
    "coupling": (lambda: tfflows.Glow((4, 4, 1), coupling="spline"), ["'affine'", "'spline'"]),
    "permutation": (lambda: tfflows.Glow((4, 4, 1), permutation="flip"), ["'conv1x1'", "'flip'"]),
    "grey_image": (
        lambda: tfflows.Glow((8, 8, 3), **SMALL).log_prob(np.zeros([1, 8, 8, 1], "uint8")),
        ["('batch', 8, 8, 3)", "(1, 8, 8, 1)"],
    ),
    "unit_interval": (
        lambda: tfflows.Glow((8, 8, 3), **SMALL).fit(np.zeros([1, 8, 8, 3], "float32")),
        ["integer pixels in [0, 256)", "float32"],
    ),
    "attributes": (
        lambda: tfflows.Glow((8, 8, 3), **SMALL, context_dim=40).log_prob(
            np.zeros([1, 8, 8, 3], "uint8"), np.zeros([1, 39], "float32")
        ),
        ["[batch, 40]", "(1, 39)"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_message_names_what_was_found_and_expected(name):
    action, fragments = BAD[name]
    with pytest.raises(ValueError, match=".") as error:
        action()
    for fragment in fragments:
        assert fragment in str(error.value)
