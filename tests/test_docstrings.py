"""Every example in a docstring runs, and everything public has a docstring."""

import doctest
import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import cases_of

import tfflows
import zoo

GLOBALS = {
    "keras": keras,
    "np": np,
    "tf": tf,
    "tfb": tfp.bijectors,
    "tfd": tfp.distributions,
    "tfflows": tfflows,
    "tfp": tfp,
    "zoo": zoo,
}


def modules():
    for package in (tfflows, zoo):
        yield package
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.endswith("__main__"):
                yield importlib.import_module(info.name)


# Base classes, and a dictionary.
WITHOUT_EXAMPLE = {
    "InvertibleLayer",
    "DataDependentLayer",
    "FLOWS",
    "LogDetEstimator",
    "Trace",
    "Transformer",
    "TRANSFORMERS",
}

MODULES = list(modules())
TESTS = {
    test.name: test
    for module in MODULES
    for test in doctest.DocTestFinder().find(module, extraglobs=GLOBALS)
    if test.examples
}
SLOW = {  # several seconds each
    "tfflows.edit.inpainting.inpaint",
    "tfflows.export.formats.save",
    "tfflows.export.saved_model.save",
    "tfflows.flows.ffjord.FFJORD",
    "tfflows.flows.hybrid.HybridClassifier",
    "tfflows.model.losses.NegativeLogLikelihood",
    "tfflows.serving.model.ServedModel",
    "zoo.serving.export",
    "zoo.verification.verify",
}
PUBLIC = {
    f"{module.__name__}.{name}": thing
    for module in MODULES
    for name, thing in vars(module).items()
    if not name.startswith("_")
    and (inspect.isclass(thing) or inspect.isfunction(thing))
    and thing.__module__ == module.__name__
}


@pytest.mark.parametrize("name", cases_of(TESTS, SLOW))
def test_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # examples may write files
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report = []
    runner.run(TESTS[name], out=report.append)
    assert runner.tries > 0
    assert runner.failures == 0, "".join(report)


def test_examples_are_found():
    # So that a change of the finder cannot make the test above vacuous.
    found = {name.split(".")[1] for name in TESTS}
    assert {"layers", "networks", "flow", "flows", "bijectors", "distributions"} <= found
    assert len(TESTS) >= 20


@pytest.mark.parametrize("name", [*PUBLIC, *(module.__name__ for module in MODULES)])
def test_docstring_exists(name):
    thing = PUBLIC.get(name) or importlib.import_module(name)
    # Not getdoc, which would take the docstring of a parent class.
    assert (thing.__doc__ or "").strip(), f"{name} has no docstring."


def test_flows_and_layers_have_an_example():
    for package in (tfflows.layers, tfflows.flows, tfflows.networks, tfflows.transformers):
        for name in getattr(package, "__all__", tfflows.flows.FLOWS):
            thing = getattr(package, name)
            if name not in WITHOUT_EXAMPLE:
                assert f"{thing.__module__}.{name}" in TESTS, f"{name} has no example."


@pytest.mark.parametrize("name", tfflows.__all__)
def test_every_listed_name_can_be_imported(name):
    assert getattr(tfflows, name) is not None
