"""Configurations of 0.1.0: they load, and are what is spelled otherwise today."""

import json

import keras
import numpy as np
import pytest
from cases import draw_points, randomize

import tfflows
from tfflows.flows import flow_class
from tfflows.layers import (
    ContinuousLayer,
    Exact,
    ExactTrace,
    Hutchinson,
    ResidualBlock,
    Roulette,
    Truncated,
)
from tfflows.layers.old_spellings import as_estimator, with_solver, with_traces
from tfflows.model.losses import NegativeLogLikelihood
from tfflows.networks import LipschitzNetwork, TimeDependentMLP
from tfflows.ode import DormandPrince, RungeKutta4

SOLVERS = {
    "names": ({"solver": "dormand_prince"}, DormandPrince()),
    "rk4": ({"solver": "rk4", "num_steps": 3, "rtol": 1e-4, "max_evaluations": 12}, RungeKutta4(3)),
    "default_steps": ({"solver": "rk4"}, RungeKutta4(8)),
    "without_a_name": ({"rtol": 1e-6, "num_steps": 5}, DormandPrince(1e-6)),
    "all_as_a_layer_saved_them": (
        {
            "solver": "dormand_prince",
            "rtol": 1e-4,
            "atol": 1e-5,
            "adjoint_rtol": 1e-3,
            "adjoint_atol": 1e-4,
            "training_tolerance": None,
            "first_step": 0.05,
            "num_steps": 8,
            "max_evaluations": 1000,
        },
        DormandPrince(1e-4, 1e-5),
    ),
    "adjoint": (
        {"adjoint_rtol": 1e-6, "first_step": 0.1, "max_evaluations": 70},
        DormandPrince(
            adjoint=DormandPrince(1e-6, 1e-4, first_step=0.1, max_evaluations=70),
            first_step=0.1,
            max_evaluations=70,
        ),
    ),
    "training": (
        {"training_tolerance": 1e-3, "max_evaluations": 70},
        DormandPrince(training=DormandPrince(1e-3, 1e-3, max_evaluations=70), max_evaluations=70),
    ),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers(name):
    config, solver = SOLVERS[name]
    assert with_solver({**config, "seed": 1}) == {"solver": solver, "seed": 1}
    network = keras.saving.serialize_keras_object(TimeDependentMLP(2))
    layer = ContinuousLayer.from_config({**config, "network": network})
    assert layer.solver == solver
    assert tfflows.FFJORD.from_config({**config, "event_shape": [2]}).blocks[0].solver == solver


def test_todays_spelling_is_left_alone():
    value = RungeKutta4(3)
    for solver in (value, keras.saving.serialize_keras_object(value)):
        config = {"solver": solver, "trace": None}
        assert with_traces(with_solver(config)) == config
    assert with_solver({"seed": 1}) == {"seed": 1}


ESTIMATORS = {
    "exact": Exact(),
    "truncated": Truncated(terms=2),
    "roulette": Roulette(terms=2),
}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_estimators(kind):
    expected = ESTIMATORS[kind]
    assert as_estimator(kind) == as_estimator({"kind": kind}) == expected
    fields = {"kind": kind, "terms": 20, "samples": 3, "tail": 2.0}
    known = {name: fields[name] for name in expected.get_config()}
    assert as_estimator(fields) == type(expected)(**known)
    network = keras.saving.serialize_keras_object(LipschitzNetwork(hidden=(4,)))
    block = ResidualBlock.from_config({"network": network, "estimator": kind, "evaluation": fields})
    assert (block.estimator, block.evaluation) == (expected, type(expected)(**known))
    flow = tfflows.ResidualFlow.from_config(
        {"event_shape": [2], "num_blocks": 1, "estimator": kind}
    )
    assert flow.blocks[0].estimator == expected
    assert as_estimator(expected) is expected


# As `get_config` of 0.1.0 gave it, and the flow in today's spelling.
FLOWS = {
    "ffjord": (
        {
            "num_blocks": 2,
            "hidden": [4],
            "activation": "tanh",
            "squash": True,
            "levels": None,
            "solver": "rk4",
            "rtol": 1e-05,
            "atol": 1e-05,
            "adjoint_rtol": None,
            "adjoint_atol": None,
            "training_tolerance": None,
            "num_steps": 3,
            "max_evaluations": 1000,
            "trace": "gaussian",
            "training_trace": "exact",
            "precise": False,
            "kinetic_energy": 0.5,
            "jacobian_norm": 0.0,
            "logit_alpha": 0.05,
        },
        lambda: tfflows.FFJORD(
            (3,),
            num_blocks=2,
            hidden=(4,),
            solver=RungeKutta4(3),
            trace=Hutchinson("gaussian"),
            training_trace=ExactTrace(),
        ),
    ),
    "residual_flow": (
        {
            "num_blocks": 2,
            "hidden": [4],
            "activation": "lipswish",
            "coefficient": 0.97,
            "norm": 2,
            "estimator": {"kind": "roulette", "terms": 4, "samples": 1, "tail": 1.0},
            "evaluation": {"kind": "truncated", "terms": 5, "samples": 2, "tail": 1.0},
            "levels": None,
            "factor_out": False,
            "num_dense_blocks": 0,
            "dense_hidden": [128, 128],
            "logit_alpha": 0.05,
        },
        lambda: tfflows.ResidualFlow(
            (3,),
            num_blocks=2,
            hidden=(4,),
            estimator=Roulette(terms=4),
            evaluation=Truncated(terms=5, samples=2),
        ),
    ),
}
SHARED = {
    "event_shape": [3],
    "base": "normal",
    "num_bits": None,
    "context_dim": None,
    "num_classes": None,
    "dtype": "float32",
    "name": "flow",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_flows_compute_the_same(name):
    config, make = FLOWS[name]
    new = make()
    old = type(new).from_config({**config, **SHARED})
    randomize(new, 0.5)
    old.set_weights(new.get_weights())
    x = draw_points(new, 4)
    for training in (False, True):
        found, expected = (flow.log_prob(x, seed=1, training=training) for flow in (old, new))
        np.testing.assert_array_equal(found, expected)
    again = type(new).from_config(json.loads(json.dumps(old.get_config())))
    assert again.get_config() == old.get_config()
    assert [type(block) for block in old.blocks] == [type(block) for block in new.blocks]


@pytest.mark.slow
def test_penalties_of_a_flow_are_those_of_its_default_loss(tmp_path):
    flow = tfflows.FFJORD.from_config({**FLOWS["ffjord"][0], **SHARED})
    again = tfflows.FFJORD.from_config(flow.get_config())
    loss = NegativeLogLikelihood(kinetic_energy=0.5)
    for copy in (flow, again):
        for given in (None, "likelihood"):
            copy.compile("sgd", given)
            assert copy.loss == loss
    plain = NegativeLogLikelihood()
    flow.compile("sgd", plain)
    assert flow.loss == plain
    history = again.fit(draw_points(again, 4), verbose=0).history
    assert history["loss"][0] == pytest.approx(
        history["nll"][0] + 0.5 * history["kinetic_energy"][0]
    )


def load(flow, **config):
    return lambda: flow_class(flow).from_config({"event_shape": [2], **config})


ERRORS = {
    "solver": (load("FFJORD", solver="euler"), "'dormand_prince', 'rk4'.* but found 'euler'"),
    "two_solvers": (
        load("FFJORD", solver=RungeKutta4(3), rtol=1e-3),
        r"found RungeKutta4\(steps=3\), beside \['rtol'\]",
    ),
    "trace": (load("FFJORD", trace="sloppy"), "'exact', 'rademacher', 'gaussian'.* found 'sloppy'"),
    "training_trace": (load("FFJORD", training_trace="no"), "training_trace is .* found 'no'"),
    "rtol": (load("FFJORD", rtol=-1.0), "positive finite rtol, but found -1.0"),
    "num_steps": (load("FFJORD", solver="rk4", num_steps=0), "steps, but found 0"),
    "kinetic_energy": (load("FFJORD", kinetic_energy=-1), "kinetic_energy .* at least 0, .* -1"),
    "kind": (load("IResNet", estimator="series"), "kinds .* but found 'series'"),
    "field": (load("IResNet", evaluation={"term": 1}), "dictionary of .* but found {'term': 1}"),
    "number": (load("IResNet", estimator=3), "LogDetEstimator, .* but found 3"),
    "terms": (load("IResNet", estimator={"kind": "truncated", "terms": 0}), "terms, but found 0"),
    "class": (
        load("IResNet", estimator={"class_name": "Series", "config": {}}),
        "estimator is a .* Keras makes none of {'class_name': 'Series'",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_never_was_a_spelling_is_an_error_of_one_sentence(name):
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message) as error:
        action()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name, solver", [("rtol", "DormandPrince"), ("num_steps", "RungeKutta4")])
def test_a_constructor_says_where_settings_of_solvers_are(name, solver):
    with pytest.raises(TypeError, match=rf"found {name}=; give it solver=tfflows.ode.{solver}\("):
        ContinuousLayer(TimeDependentMLP(2), **{name: 4})
