"""Every public signature says its types, which `pyrefly check` compares with what is returned."""

import importlib.util
import inspect
from pathlib import Path

spec = importlib.util.spec_from_file_location(
    "conf", Path(__file__).parents[1] / "docs" / "conf.py"
)
conf = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conf)


def is_ours(thing):
    return thing.__module__.split(".")[0] in ("tfflows", "zoo")


def methods_of(cls):
    """Constructors and public methods, but for those that Keras's and TFP's classes have, too."""
    ours = [base for base in cls.__mro__ if is_ours(base)]
    others = [base for base in cls.__mro__ if not is_ours(base)]
    for base in ours:
        for name, value in vars(base).items():
            function = value.fget if isinstance(value, property) else value
            function = inspect.unwrap(getattr(function, "__func__", function))
            is_foreign = any(name in vars(other) for other in others)
            if name != "__init__" and (name.startswith("_") or is_foreign):
                continue
            if inspect.isfunction(function) and is_ours(function):
                yield function


def public_functions():
    """By their names, each once."""
    found = {}
    for package in conf.PACKAGES:
        for thing in conf.public(package).values():
            for function in methods_of(thing) if inspect.isclass(thing) else [thing]:
                found[f"{function.__module__}.{function.__qualname__}"] = function
    return found


FUNCTIONS = public_functions()


def without_type(function):
    signature = inspect.signature(function)
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    missing = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.annotation is inspect.Parameter.empty
        and parameter.kind not in kinds
        and name not in ("self", "cls")
    ]
    if signature.return_annotation is inspect.Signature.empty and function.__name__ != "__init__":
        missing.append("what it returns")
    return missing


def test_all_public_functions_are_known():
    assert len(FUNCTIONS) > 500
    assert {
        "tfflows.flow.Flow.log_prob",
        "zoo.loading.load",
        "tfflows.flows.glow.Glow.__init__",
    } <= {*FUNCTIONS}
    assert without_type(lambda x: x) == ["x", "what it returns"]


def test_all_parameters_and_results_have_types():
    found = {name: without_type(function) for name, function in FUNCTIONS.items()}
    assert {name: missing for name, missing in found.items() if missing} == {}
