"""Heat maps of Jacobians, whose determinant is that of the density."""

import numpy as np
import pytest
from cases import randomize

import tfflows
from tfflows import plots


def heat_map(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def test_an_autoregressive_flow_has_a_triangle_with_its_log_det():
    flow = tfflows.MAF((4,), num_layers=1, hidden=(8,), activation="tanh")
    randomize(flow)
    x = np.array([0.5, -1.0, 2.0, 0.1], "float32")
    figure = plots.figure_of_jacobian(flow, x)
    order = np.abs(heat_map(figure)) > 1e-6
    # Row by row one more column, in the order of the flow.
    assert sorted(order.sum(axis=1)) == [1, 2, 3, 4]
    z = flow.encode(x[np.newaxis])
    log_det = float((flow.log_prob(x[np.newaxis]) - flow.base.log_prob(z))[0])
    shown = float(figure.axes[0].get_title().split("= ")[1])
    assert shown == pytest.approx(log_det, abs=1e-3)


def test_images_and_contexts():
    flow = tfflows.NICE((2, 2, 1), num_couplings=2, hidden=(4,), num_classes=3)
    figure = plots.figure_of_jacobian(flow, np.ones([2, 2, 1]), context=2)
    assert heat_map(figure).shape == (4, 4)
    with pytest.raises(ValueError, match=r"one example of shape \(2, 2, 1\), but found \(2, 2\)"):
        plots.figure_of_jacobian(flow, np.ones([2, 2]), context=2)
