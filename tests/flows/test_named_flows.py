"""What the flows by name are made of."""

import numpy as np
import pytest
import tensorflow as tf
from cases import draw_points

import tfflows
from tfflows.layers import AdditiveCoupling, AffineCoupling


def couplings(flow, kind):
    return [layer for layer in flow.transform.layers if isinstance(layer, kind)]


@pytest.mark.parametrize(
    ("flow", "kind"), [(tfflows.NICE, AdditiveCoupling), (tfflows.RealNVP, AffineCoupling)]
)
@pytest.mark.parametrize("mask", ["half", "alternating", [True, True, True, False]])
def test_couplings_take_turns_and_transform_every_dimension(flow, kind, mask):
    layers = couplings(flow((4,), num_couplings=3, hidden=(8, 4), mask=mask), kind)
    assert [layer.flip for layer in layers] == [False, True, False]
    assert {tuple(layer.conditioner.hidden) for layer in layers} == {(8, 4)}
    sizes = [layer.conditioner.output_dim // layer.parameters_per_dimension for layer in layers]
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
    for layer in couplings(flow, AdditiveCoupling):
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
    (layer,) = couplings(flow, AffineCoupling)
    assert layer.log_scale_bound == 0.5
    assert layer.conditioner.activation.__name__ == "tanh"
    assert layer.conditioner.dropout == 0.25
