"""Curves of training: means, standard errors, evaluations."""

import numpy as np
import pytest

from tfflows import plots


def test_several_runs_have_bars():
    runs = [[{"val_nll": a}, {"val_nll": a / 2}] for a in (1.0, 2.0, 6.0)]
    (container,) = plots.figure_of_curves(*runs).axes[0].containers
    line, _, (bars,) = container.lines
    np.testing.assert_allclose(line.get_ydata(), [3.0, 1.5])
    lengths = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()]
    error = np.std([1.0, 2.0, 6.0], ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(lengths, [2 * error, error])


def test_flows_that_solve_equations_show_their_evaluations():
    rows = [{"nll": 3.0, "val_nll": 3.5, "nfe": 20.0}, {"nll": 2.0, "val_nll": 2.5, "nfe": 32.0}]
    likelihood, evaluations = plots.figure_of_curves(rows).axes
    assert likelihood.get_ylabel() == "nats" and evaluations.get_xlabel() == "epoch"
    np.testing.assert_array_equal(evaluations.lines[0].get_ydata(), [20, 32])


def test_runs_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="as many epochs each, but found runs of 1, 2"):
        plots.figure_of_curves([{"val_nll": 1.0}], [{"val_nll": 1.0}] * 2)
