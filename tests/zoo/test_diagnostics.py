"""What only flows of residual blocks or of differential equations are asked."""

import numpy as np
import pytest
from cases import randomize

import tfflows
from tfflows.layers import Exact, Truncated
from tfflows.ode import DormandPrince, RungeKutta4
from zoo.diagnostics import diagnose, rows


def points(n=40, dims=3):
    return np.random.default_rng(3).normal(size=(n, dims)).astype("float32")


@pytest.mark.slow
def test_residual_blocks_are_audited():
    def make(evaluation):
        settings = {"num_blocks": 2, "hidden": (8,), "coefficient": 0.9}
        return tfflows.ResidualFlow((3,), evaluation=evaluation, **settings)

    flow = make(Truncated(terms=1))
    # Blocks of large log-dets: linear ones near -c.
    for block in flow.blocks:
        first, last = block.network.layers
        first.kernel.assign(5 * np.eye(3, 8, dtype="float32"))
        first.bias.assign(np.full(8, 4.0, "float32"))
        last.kernel.assign(-5 * np.eye(8, 3, dtype="float32"))
    found = diagnose(flow, points())
    audit = tfflows.evaluate.lipschitz(flow)
    assert [bound["certified"] for bound in found["lipschitz"]] == [b.certified for b in audit]
    assert 0 < found["inverse_error"]["float64"] < 1e-10 < found["inverse_error"]["float32"] < 1e-4

    # The bias of a series of one term is known: tr J - log|det(I + J)|.
    x = points()[:32]
    exact = make(Exact())
    exact.set_weights(flow.get_weights())
    series = make(Truncated(terms=1, samples=500))
    series.set_weights(flow.get_weights())
    bias = float(np.mean(series.log_prob(x, seed=1) - exact.log_prob(x)))
    assert abs(bias) > 0.1
    # Traces of nearly linear blocks hardly vary, which leaves roundings of two sums in float32.
    allowed = 5 * found["log_det"]["bias_error"] + 2**-20 * abs(bias)
    assert found["log_det"]["bias"] == pytest.approx(bias, abs=allowed)

    text = rows(found)
    largest = max(bound.certified for bound in audit)
    assert text["Lipschitz constants"].startswith(f"2 blocks, each at most {largest:.4f} (")
    assert f"in float32 {found['inverse_error']['float32']:.1e}" in text["inverse"]
    assert f"mean {found['log_det']['bias']:.4f}" in text["error of the log-det"]


def test_exact_log_dets_need_no_comparison():
    flow = tfflows.IResNet((2,), num_blocks=1, hidden=(8,))
    assert set(diagnose(flow, points(dims=2))) == {"integral", "lipschitz", "inverse_error"}


def test_a_density_in_the_plane_is_integrated():
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
    randomize(flow)
    x = flow.sample(256, seed=0).numpy()
    found = diagnose(flow, x)
    assert found["integral"] == pytest.approx(1, abs=0.01)
    assert rows(found)["integral of the density"] == f"{found['integral']:.4f}, over a grid"
    # A quarter of the plane holds a quarter of a standard normal.
    normal = tfflows.Flow(tfflows.layers.Scale(), (2,))
    x = np.array([[2.0, 2.0], [4.0, 4.0]], "float32")  # integrated from 0 to 6
    assert diagnose(normal, x)["integral"] == pytest.approx(0.25, abs=0.01)


@pytest.mark.slow
def test_evaluations_of_a_solver_are_counted():
    flow = tfflows.FFJORD((3,), num_blocks=2, hidden=(8,), solver=RungeKutta4(5))
    solves = diagnose(flow, points())["solves"]
    assert solves["evaluations_of_log_prob"] == solves["evaluations_of_sample"] == 2 * 4 * 5
    assert rows({"solves": solves})["solver"] == (
        "rk4, 5 steps; exact trace; evaluations of the network for a batch of 40: 40 for "
        "log_prob, 40 for samples"
    )
    adaptive = tfflows.FFJORD((3,), hidden=(8,), solver=DormandPrince(1e-3))
    text = rows(diagnose(adaptive, points()))["solver"]
    assert text.startswith("dormand_prince, rtol 0.001, atol 1e-05; exact trace; ")
    # Too many dimensions for the exact one.
    large = tfflows.FFJORD((65,), hidden=(8,), solver=RungeKutta4(1))
    text = rows(diagnose(large, np.zeros([2, 65], "float32")))["solver"]
    assert "; trace by Hutchinson's estimate with Rademacher noise; " in text


def test_other_flows_have_none_of_this():
    assert diagnose(tfflows.RealNVP((3,), num_couplings=2, hidden=(8,)), points()) == {}
    assert rows({}) == {}
