"""Configurations as tfflows 0.1.0 saved them, in the values of today.

Loading alone needs this: `from_config` of layers and flows, and recipes. Each function leaves what
is spelled as today as it is, and raises `ValueError` with one sentence for what never was a
spelling.
"""

from __future__ import annotations

from tfflows.layers.log_det import Exact, LogDetEstimator, Roulette, Truncated
from tfflows.layers.traces import ExactTrace, Hutchinson, Trace
from tfflows.ode import DormandPrince, RungeKutta4, Solver

_SOLVERS = ("dormand_prince", "rk4")
_SETTINGS = {
    "rtol": 1e-5,
    "atol": 1e-5,
    "adjoint_rtol": None,
    "adjoint_atol": None,
    "training_tolerance": None,
    "first_step": 0.05,
    "num_steps": 8,
    "max_evaluations": 1000,
}
_TRACES = {
    "exact": ExactTrace(),
    "rademacher": Hutchinson("rademacher"),
    "gaussian": Hutchinson("gaussian"),
}
_KINDS = {
    "exact": (Exact, ()),
    "truncated": (Truncated, ("terms", "samples")),
    "roulette": (Roulette, ("terms", "samples", "tail")),
}
_ESTIMATOR = {"kind": "exact", "terms": 2, "samples": 1, "tail": 1.0}


def refuse_solver_settings(owner: str, settings: dict):
    """Raise `TypeError` if a constructor is given what 0.1.0's took beside the solver's name."""
    for name in settings:
        if name in _SETTINGS:
            solver = "RungeKutta4(steps=8)" if name == "num_steps" else "DormandPrince(rtol, atol)"
            raise TypeError(
                f"{owner} has its solver's settings in its solver, but found {name}=; give it "
                f"solver=tfflows.ode.{solver}."
            )


def with_solver(config: dict) -> dict:
    """A configuration whose solver is a value, also if it was a name with settings beside it.

    Example:
        >>> from tfflows.layers.old_spellings import with_solver
        >>> with_solver({"solver": "rk4", "num_steps": 3, "rtol": 1e-5, "seed": 0})
        {'solver': RungeKutta4(steps=3), 'seed': 0}
    """
    given = {name: config[name] for name in _SETTINGS if name in config}
    solver = config.get("solver", "dormand_prince" if given else None)
    if solver is None or (not given and isinstance(solver, (Solver, dict))):
        return config
    if solver not in _SOLVERS:
        beside = f", beside {sorted(given)}" if given else ""
        raise ValueError(
            f"A configuration's solver is a tfflows.ode.Solver, or one of {_SOLVERS} as 0.1.0 "
            f"saved it, but found {solver!r}{beside}."
        )
    rest = {name: value for name, value in config.items() if name not in given}
    settings = {**_SETTINGS, **given}
    value = RungeKutta4(settings["num_steps"]) if solver == "rk4" else _dormand_prince(settings)
    return {**rest, "solver": value}


def _dormand_prince(settings):
    rtol, atol, rough = (settings[name] for name in ("rtol", "atol", "training_tolerance"))
    shared = {name: settings[name] for name in ("first_step", "max_evaluations")}
    adjoint = [
        10 * tolerance if given is None else given
        for tolerance, given in ((rtol, settings["adjoint_rtol"]), (atol, settings["adjoint_atol"]))
    ]
    # The default is left to the solver.
    is_default = adjoint == [10 * rtol, 10 * atol]
    return DormandPrince(
        rtol,
        atol,
        adjoint=None if is_default else DormandPrince(*adjoint, **shared),
        training=None if rough is None else DormandPrince(rough, rough, **shared),
        **shared,
    )


def with_traces(config: dict) -> dict:
    """A configuration whose traces are values, also if they were names.

    Example:
        >>> from tfflows.layers.old_spellings import with_traces
        >>> with_traces({"trace": "gaussian", "training_trace": None})
        {'trace': Hutchinson(noise='gaussian'), 'training_trace': None}
    """
    names = [name for name in ("trace", "training_trace") if name in config]
    return {**config, **{name: _as_trace(name, config[name]) for name in names}}


def _as_trace(name, value):
    if value is None or isinstance(value, (Trace, dict)):
        return value
    if value not in _TRACES:
        raise ValueError(
            f"A configuration's {name} is a tfflows.layers.Trace, or one of {tuple(_TRACES)} as "
            f"0.1.0 saved it, but found {value!r}."
        )
    return _TRACES[value]


def with_estimators(config: dict) -> dict:
    """A configuration whose estimators are values, also if they were kinds, with or without fields.

    `None`, which stood for a default, is left out.

    Example:
        >>> from tfflows.layers.old_spellings import with_estimators
        >>> with_estimators({"estimator": {"kind": "roulette", "terms": 4}, "evaluation": "exact"})
        {'estimator': Roulette(terms=4, samples=1, tail=1.0), 'evaluation': Exact()}
    """
    names = [name for name in ("estimator", "evaluation") if name in config]
    rest = {name: value for name, value in config.items() if name not in names}
    given = {name: config[name] for name in names if config[name] is not None}
    return {**rest, **{name: as_estimator(value) for name, value in given.items()}}


def as_estimator(value):
    """The estimator of a kind's name, or of a kind and its fields; others as they are.

    Example:
        >>> print(tfflows.layers.old_spellings.as_estimator("truncated"))
        truncated at 2 terms, 1 sample
    """
    is_serialized = isinstance(value, dict) and "class_name" in value
    if is_serialized or isinstance(value, LogDetEstimator):
        return value
    fields = {"kind": value} if isinstance(value, str) else value
    if not isinstance(fields, dict) or set(fields) - set(_ESTIMATOR):
        raise ValueError(
            "A configuration's estimator is a tfflows.layers.LogDetEstimator, or as 0.1.0 saved it "
            f"a kind or a dictionary of {sorted(_ESTIMATOR)}, but found {value!r}."
        )
    fields = {**_ESTIMATOR, **fields}
    if fields["kind"] not in _KINDS:
        raise ValueError(
            f"An estimator of 0.1.0 has one of the kinds {tuple(_KINDS)}, but found "
            f"{fields['kind']!r}."
        )
    kind, names = _KINDS[fields["kind"]]
    return kind(**{name: fields[name] for name in names})
