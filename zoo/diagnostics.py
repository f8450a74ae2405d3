"""Figures that only some flows have: those in the plane, of residual blocks, of solved ODEs."""

from __future__ import annotations

import dataclasses

import numpy as np

_NUM_POINTS = 256
# The exact log-det, which an estimator is compared with, takes time.
_NUM_COMPARED = 32
_NUM_DRAWS = 50
# Of the grid that a density in the plane is integrated on, along each axis.
_NUM_CELLS = 500


def diagnose(flow, x, context=None) -> dict:
    """What flows of residual blocks, of continuous layers or in the plane owe; `{}` for others.

    Args:
        flow: the flow.
        x: test examples, continuous.
        context: of the examples, for a conditional flow.

    Returns:
        For residual blocks `"lipschitz"` (bounds of each block), `"inverse_error"` (by dtype) and,
        if log-dets are estimated, `"log_det"` (standard deviation, and up to 256 dimensions the
        bias against exact ones).
        For continuous layers `"solves"`: solver, trace and evaluations of the network. For
        points in the plane `"integral"` of the density, over three times the examples' range.
    """
    from tfflows.layers import ContinuousLayer, ResidualBlock
    from tfflows.layers.parts import all_parts

    x, context = x[:_NUM_POINTS], None if context is None else context[:_NUM_POINTS]
    kinds = {type(layer) for layer in all_parts(flow.transform)}
    found = {}
    if flow.event_shape == (2,) and not flow.is_conditional:
        found["integral"] = _integral(flow, x)
    if ResidualBlock in kinds:
        found |= _of_residual_blocks(flow, x, context)
    if ContinuousLayer in kinds:
        found["solves"] = _solves(flow, x, context)
    return found


def _integral(flow, x) -> float:
    """Riemann sum of the density."""
    from tfflows import evaluate

    low, high = x.min(0), x.max(0)
    cells = [
        np.linspace(a - (b - a), b + (b - a), _NUM_CELLS, endpoint=False)
        for a, b in zip(low, high, strict=True)
    ]
    area = np.prod([values[1] - values[0] for values in cells])
    grid = np.stack(np.meshgrid(*cells), -1).reshape(-1, 2).astype("float32")
    log_probs = evaluate.log_weights(flow, grid, batch_size=10_000)
    return float(np.exp(log_probs).sum() * area)


def _of_residual_blocks(flow, x, context) -> dict:
    from tfflows import evaluate
    from tfflows.layers import ResidualBlock
    from tfflows.layers.parts import layers_of_kind

    block = layers_of_kind(flow.transform, ResidualBlock)[0]
    found = {
        "lipschitz": [dataclasses.asdict(bounds) for bounds in evaluate.lipschitz(flow)],
        "inverse_error": {
            flow.compute_dtype: evaluate.round_trip_error(flow, x, context),
            "float64": evaluate.round_trip_error(_in_float64(flow), x, context),
        },
    }
    if flow.log_det_estimator is not None:
        few = slice(0, _NUM_COMPARED)
        *exact, figures = evaluate.estimator_report(
            flow,
            x[few],
            None if context is None else context[few],
            [block.evaluation],
            _NUM_DRAWS,
        )
        bias = {"bias": figures.bias, "bias_error": figures.bias_error} if exact else {}
        found["log_det"] = {
            **bias,
            "stddev": figures.stddev,
            "num_examples": len(x[few]),
            "num_draws": _NUM_DRAWS,
        }
    return found


def _in_float64(flow):
    twin = type(flow).from_config({**flow.get_config(), "dtype": "float64"})
    twin.set_weights(flow.get_weights())
    return twin


def _solves(flow, x, context) -> dict:
    from tfflows.layers import ContinuousLayer, Costs, Pass
    from tfflows.layers.parts import layers_of_kind
    from tfflows.random import stateless_seed

    block = layers_of_kind(flow.transform, ContinuousLayer)[0]
    x, _ = flow.continuous(x)
    context = flow.layer_context(context, x)
    density, sampling = Costs(), Costs()
    flow.log_prob_pass(x, Pass(context, costs=density))
    z = flow.draw_base(len(x), stateless_seed(0))
    flow.decode_pass(z, Pass(context, log_dets=False, costs=sampling))
    return {
        "solver": str(block.solver),
        "trace": str(block.trace),
        "batch": len(x),
        "evaluations_of_log_prob": int(np.sum([s.num_evaluations for s in density.solves])),
        "evaluations_of_sample": int(np.sum([s.num_evaluations for s in sampling.solves])),
    }


def rows(found: dict) -> dict[str, str]:
    """Rows of a card's table from what `diagnose` found."""
    text = {}
    if "integral" in found:
        text["integral of the density"] = f"{found['integral']:.4f}, over a grid"
    if "lipschitz" in found:
        bounds = found["lipschitz"]
        certified = max(bound["certified"] for bound in bounds)
        empirical = max(bound["empirical"] for bound in bounds)
        text["Lipschitz constants"] = (
            f"{len(bounds)} blocks, each at most {certified:.4f} (certified); the largest found by "
            f"ascent is {empirical:.4f}"
        )
        text["inverse"] = "; ".join(
            f"largest error of decode(encode(x)) in {dtype} {error:.1e}"
            for dtype, error in found["inverse_error"].items()
        )
    if "log_det" in found:
        figures = found["log_det"]
        against, mean = "", ""
        if "bias" in figures:
            against = "against the exact one, "
            mean = f"mean {figures['bias']:.4f} ± {figures['bias_error']:.4f}, "
        text["error of the log-det"] = (
            f"{against}{figures['num_examples']} test examples with {figures['num_draws']} draws "
            f"each: {mean}standard deviation {figures['stddev']:.3f} nats"
        )
    if "solves" in found:
        solves = found["solves"]
        text["solver"] = (
            f"{solves['solver']}; {solves['trace']}; evaluations of the network for a batch of "
            f"{solves['batch']}: {solves['evaluations_of_log_prob']} for log_prob, "
            f"{solves['evaluations_of_sample']} for samples"
        )
    return text
