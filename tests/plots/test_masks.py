"""Pictures of masks, against what a coupling leaves as it is."""

import numpy as np
import pytest
import tensorflow as tf
from cases import randomize

import tfflows
from tfflows import plots
from tfflows.layers import Coupling
from tfflows.layers.parts import layers_of_kind


@pytest.mark.parametrize(
    "flow",
    [
        lambda: tfflows.RealNVP((5,), num_couplings=3, hidden=(4,)),
        lambda: tfflows.ImageRealNVP((4, 4, 1), levels=1, width=2, num_blocks=1),
    ],
    ids=["table", "image"],
)
def test_what_is_dark_stays_as_it_is(flow):
    flow = flow()
    randomize(flow)
    couplings = layers_of_kind(flow.transform, Coupling)
    panels = plots.figure_of_masks(flow).axes
    assert len(panels) == len(couplings) >= 3
    for panel, coupling in zip(panels, couplings, strict=True):
        shape = coupling.latent_shape
        z = tf.constant(np.random.default_rng(0).normal(size=(1, *shape)), tf.float32)
        x, _ = coupling.forward_and_log_det(z)
        stays = np.broadcast_to(coupling.conditions, shape)
        np.testing.assert_array_equal(x[0].numpy() == z[0].numpy(), stays)
        shown = np.asarray(panel.images[0].get_array())
        np.testing.assert_array_equal(shown, np.atleast_2d(coupling.conditions.squeeze()))


def test_a_flow_without_couplings_is_refused():
    with pytest.raises(ValueError, match="drawn of couplings, but MAF has none"):
        plots.figure_of_masks(tfflows.MAF((2,), num_layers=1, hidden=(4,)))
