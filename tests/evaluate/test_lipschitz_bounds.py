"""The audit of residual flows: bounds from both sides, estimators beside the exact log-det."""

import numpy as np
import pytest
from cases import build_flow, draw_context, draw_points

import tfflows
from tfflows.evaluate import estimator_report, lipschitz
from tfflows.layers import Chain, Exact, ResidualBlock, Roulette, Truncated
from tfflows.networks import LipschitzNetwork


def flow_of(network, shape):
    return tfflows.Flow(Chain([ResidualBlock(network)]), shape)


@pytest.mark.parametrize("norm", [1, 2, "inf"])
@pytest.mark.parametrize("kernel_sizes", [None, [3]])
def test_bounds_of_a_linear_block_meet(kernel_sizes, norm):
    shape = (3,) if kernel_sizes is None else (4, 4, 2)
    network = LipschitzNetwork([], kernel_sizes, coefficient=0.9, norm=norm, tolerance=1e-5)
    flow = flow_of(network, shape)
    (found,) = lipschitz(flow, steps=60, num_points=8)
    assert found.certified == pytest.approx(0.9, rel=1e-3)
    assert found.empirical <= found.certified
    # For the other norms the direction found need not be the best.
    assert found.empirical > (0.999 if norm == 2 else 0.3) * found.certified


def test_ascent_finds_where_slopes_are_steep():
    network = LipschitzNetwork([1], None, "tanh", 0.9, tolerance=1e-5)
    flow = flow_of(network, (2,))
    network.layers[0].kernel.assign([[3.0], [0.0]])
    network.layers[1].kernel.assign([[0.0, 3.0]])
    # The slope is 1 on a line that lies outside of where the points start.
    network.layers[0].bias.assign([3.0])
    lower = lipschitz(flow, steps=1)[0].empirical
    (found,) = lipschitz(flow, steps=100)
    assert lower < 0.85
    assert 0.89 < found.empirical <= found.certified < 0.901


@pytest.mark.slow
def test_audit_of_flows_in_the_registry():
    for name in ("residual_flow", "iresnet_image"):
        flow = build_flow(name)
        bounds = lipschitz(flow, steps=3, num_points=4)
        assert len(bounds) == len(flow.blocks)
        for block, found in zip(flow.blocks, bounds, strict=True):
            assert 0 < found.empirical <= found.certified
            assert found.certified < block.network.coefficient * 1.01
            assert block.name in str(found)


@pytest.mark.slow
def test_estimators_are_compared_with_the_exact_log_det():
    # The roulette has no variance with much larger coefficients.
    flow = tfflows.ResidualFlow((2,), num_blocks=2, hidden=(8,), coefficient=0.65)
    # Blocks of large log-dets: linear ones near -c.
    for block in flow.blocks:
        first, last = block.network.layers
        first.kernel.assign(5 * np.eye(2, 8, dtype="float32"))
        first.bias.assign(np.full(8, 4.0, "float32"))
        last.kernel.assign(-5 * np.eye(8, 2, dtype="float32"))
    x = draw_points(flow, 4)
    estimators = [Truncated(2), Roulette(8, 2)]
    exact, truncated, roulette = estimator_report(flow, x, estimators=estimators, draws=50)
    assert (exact.bias, exact.stddev, exact.products) == (0, 0, 2)
    assert truncated.bias > 0.1 + 5 * truncated.bias_error
    assert truncated.products == 2
    assert abs(roulette.bias) < 5 * roulette.bias_error + 1e-3
    assert roulette.products == 2 * 9
    assert roulette.seconds > 0


@pytest.mark.slow
def test_report_of_a_conditional_image_flow():
    flow = build_flow("iresnet_image")
    x, context = draw_points(flow, 2), draw_context(flow, 2)
    found = estimator_report(flow, x, context, [Truncated(2)], draws=3)
    assert [figures.estimator for figures in found] == [Exact(), Truncated(2)]
    assert np.isfinite(found[1].bias)


def test_other_flows_are_refused():
    flow = tfflows.RealNVP((2,), num_couplings=1, hidden=(4,))
    for audit in (lambda: lipschitz(flow), lambda: estimator_report(flow, np.ones([1, 2]))):
        with pytest.raises(ValueError, match="has no ResidualBlock"):
            audit()
