"""What the flows by name are made of."""

import numpy as np
import pytest
import tensorflow as tf
from cases import draw_points

import tfflows
from tfflows.transformers import Affine, Shift


def couplings(flow):
    layers = flow.transform.unrolled()
    return [layer for layer in layers if type(layer).__name__ == "Coupling"]


@pytest.mark.parametrize(
    ("flow", "transformer"), [(tfflows.NICE, Shift()), (tfflows.RealNVP, Affine())]
)
@pytest.mark.parametrize("mask", ["half", "alternating", [True, True, True, False]])
def test_couplings_take_turns_and_transform_every_dimension(flow, transformer, mask):
    layers = couplings(flow((4,), num_couplings=3, hidden=(8, 4), mask=mask))
    assert [layer.flip for layer in layers] == [False, True, False]
    assert {tuple(layer.conditioner.hidden) for layer in layers} == {(8, 4)}
    sizes = [layer.conditioner.output_dim // transformer.num_parameters for layer in layers]
    assert {layer.transformer for layer in layers} == {transformer}
    assert sizes[0] + sizes[1] == 4


@pytest.mark.parametrize("flow", [tfflows.NICE, tfflows.RealNVP])
def test_vector_flow_starts_as_standardised_base(flow):
    made = flow((2,), num_couplings=3, hidden=(8,), base="normal")
    x = 100 + 5 * np.random.default_rng(0).normal(size=(500, 2)).astype("float32")
    made.adapt(x)
    z = made.encode(x)
    np.testing.assert_allclose(np.mean(z, 0), [0, 0], atol=1e-3)
    np.testing.assert_allclose(np.std(z, 0), [1, 1], rtol=1e-3)


def test_nice_preserves_volume_but_for_its_scales():
    flow = tfflows.NICE((4,), num_couplings=2, hidden=(8,), base="normal")
    for layer in couplings(flow):
        for weight in layer.conditioner.weights:
            weight.assign(tf.random.normal(weight.shape))
    _, log_det = flow.transform.inverse_and_log_det(tf.constant(draw_points(flow, 5)))
    np.testing.assert_allclose(log_det, np.zeros(5), atol=1e-6)


def test_pixels_are_mapped_to_the_unit_interval_before_the_couplings():
    # Black and white are (alpha, 1 - alpha) as logits, symmetric around zero.
    flow = tfflows.RealNVP((1, 2, 1), num_couplings=2, hidden=(4,), num_bits=8, logit_alpha=0.1)
    x = np.array([0.0, 256.0], "float32").reshape(1, 1, 2, 1)
    np.testing.assert_allclose(flow.encode(x), [[-np.log(9), np.log(9)]], rtol=1e-4)


def test_settings_reach_the_layers():
    flow = tfflows.RealNVP(
        (3,), num_couplings=1, hidden=(4,), activation="tanh", dropout=0.25, log_scale_bound=0.5
    )
    (layer,) = couplings(flow)
    assert layer.transformer.bound == 0.5
    assert layer.conditioner.activation.__name__ == "tanh"
    assert layer.conditioner.dropout == 0.25
