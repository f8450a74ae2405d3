"""What the lines of figures are, against arrays computed by hand."""

import numpy as np
import pytest

import tfflows
from tfflows import layers, plots


def plane_flow():
    scale = layers.Scale()
    flow = tfflows.Flow(
        layers.Chain([layers.Reverse(), layers.Stack(layers.Chain([scale]), 2)]), event_shape=(2,)
    )
    for step, sizes in zip(
        flow.transform.layers[1].steps, ([np.log(2.0), 0.0], [0.0, np.log(5.0)]), strict=True
    ):
        step.layers[0].set_weights([np.array(sizes, "float32"), np.array(True)])
    return flow


def test_the_grid_is_mapped_layer_by_layer():
    figure = plots.figure_of_deformation(plane_flow(), panels=4)
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == ["base", "after layer 1 of 3", "after layer 2 of 3", "data"]
    first, reversed_, doubled, last = (
        np.stack([line.get_xydata() for line in panel.lines]) for panel in figure.axes
    )
    assert first.shape == (34, 200, 2)
    assert first.min() == -2.5 and first.max() == 2.5
    np.testing.assert_allclose(reversed_, first[..., ::-1])
    np.testing.assert_allclose(doubled, reversed_ * [2, 1], rtol=1e-6)
    np.testing.assert_allclose(last, reversed_ * [2, 5], rtol=1e-6)


def test_coverage_is_drawn_at_each_level():
    ranks = np.array([[10, 90]] * 50 + [[50, 50]] * 50)
    calibration = tfflows.evaluate.Calibration(ranks, ranks[:, 0], num_draws=99)
    *lines, density, diagonal = plots.figure_of_calibration(calibration).axes[0].lines
    assert len(lines) == 2
    for line, coverages in zip(lines, calibration.coverage(0.5), strict=True):
        assert line.get_ydata()[50] == coverages == 0.5
    assert density.get_ydata()[30] == calibration.density_coverage(0.3) == 0.5
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])


def test_files_are_written(tmp_path):
    calibration = tfflows.evaluate.Calibration(np.zeros([5, 1], int), np.zeros(5, int), 9)
    for path in (
        plots.save_deformation(plane_flow(), tmp_path / "a.png", panels=2),
        plots.save_calibration(calibration, tmp_path / "b.png"),
    ):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="unconditional flow of 2-D points, but found RealNVP"):
        plots.figure_of_deformation(tfflows.RealNVP((3,), num_couplings=2, hidden=(4,)))
    with pytest.raises(ValueError, match="panels must be at least 2, but found 1"):
        plots.figure_of_deformation(plane_flow(), panels=1)
