"""Exports of entries, read by a C program."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from c_program import compile_predict, run_predict

# A score jumps where a processor's roundings decide the side of a ReLU. How far they may take it
# `zoo.verify` measures, and never allows more than this.
TOLERANCES = {"score.score": 9e-3}


@pytest.mark.parametrize("package", ["keras", "tf_keras", "tensorflow_probability", "tfflows"])
def test_this_environment_is_without(package):
    assert importlib.util.find_spec(package) is None


def test_the_zoo_is_there(exported):
    assert len(exported) >= 10


@pytest.fixture(scope="session")
def predict(tmp_path_factory):
    return compile_predict(tmp_path_factory.mktemp("c"))


def test_a_c_program_answers_as_published(entry, models, published, predict, tmp_path):
    """What plain TensorFlow in Python answers, the servers of some entries tell."""
    inputs, answers = published(entry)
    signatures = sorted({key.split(".")[0] for key in answers})
    metadata = models / entry / "1" / "assets.extra" / "metadata.json"
    described = json.loads(metadata.read_text(encoding="utf-8"))
    assert {*described["signatures"]} == {*signatures, "metadata"}
    result = run_predict(predict, models / entry / "1", tmp_path, signatures, inputs)
    assert result.returncode == 0, result.stderr
    for key, expected in answers.items():
        found = np.load(tmp_path / f"{key}.npy")
        assert found.shape == expected.shape and np.abs(expected).max() > 0
        deviation = np.abs(found - expected).max() / np.abs(expected).max()
        assert deviation <= TOLERANCES.get(key, 1e-5), (key, deviation)
