"""What `tfflows doctor` finds."""

import importlib.metadata
import types

import pytest

from tfflows.cli import doctor, main


def test_facts_and_status(capsys):
    status = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tfflows 0.1.0, Python ")
    assert f"tensorflow {importlib.metadata.version('tensorflow')}" in lines[1]
    assert lines[4].startswith("devices: ") and "CPU" in lines[4]
    assert status == (0 if lines[-1] == "No known problem." else 1)


def of_versions(monkeypatch, versions):
    """An environment in which these distributions are installed."""

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    found = [types.SimpleNamespace(metadata={"Name": n}, version=v) for n, v in versions.items()]
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: found)


@pytest.fixture
def sound(monkeypatch):
    versions = {"tensorflow": "2.21.0", "tensorflow-probability": "0.25.0", "numpy": "2.3.1"}
    of_versions(monkeypatch, versions)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)
    return versions


def test_nothing_is_found_where_all_is_well(sound):
    assert doctor.problems() == []


def test_two_wheels_of_one_package(sound, monkeypatch):
    of_versions(monkeypatch, {**sound, "tensorflow-cpu": "2.20.0", "tensorflow-text": "2.20.0"})
    (problem,) = doctor.problems()
    assert problem.startswith("tensorflow 2.21.0 and tensorflow-cpu 2.20.0 install the same files")


def test_bijectors_that_cannot_be_made(sound, monkeypatch):
    of_versions(monkeypatch, {**sound, "numpy": "2.4.6"})
    (problem,) = doctor.problems()
    assert "Dirichlet) with NumPy 2.4.6" in problem


def test_another_project_of_that_name(sound, monkeypatch, tmp_path):
    spec = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: spec)
    (problem,) = doctor.problems()
    assert f"that of another project, at {tmp_path}" in problem


def test_the_environment(sound, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("TFFLOWS_DATA", str(tmp_path / "missing"))
    first, second = doctor.problems()
    assert first.startswith("KERAS_BACKEND is 'jax'")
    assert "missing', which is no folder" in second
