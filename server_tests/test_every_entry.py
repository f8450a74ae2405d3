"""Every entry's export, read by plain TensorFlow, and the largest by the C program."""

import gc
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from c_program import compile_predict, run_predict


@pytest.mark.parametrize("package", ["keras", "tf_keras", "tensorflow_probability", "tfflows"])
def test_this_environment_is_without(package):
    assert importlib.util.find_spec(package) is None


@pytest.fixture(scope="module")
def names(models):
    names = sorted(path.stem for path in models.glob("*.npz"))
    assert len(names) >= 10
    return names


def assert_close(found, expected, allowed, message):
    assert found.shape == expected.shape and np.abs(expected).max() > 0
    deviation = np.abs(found - expected).max() / np.abs(expected).max()
    assert deviation <= allowed, (*message, deviation)


def card_of(version):
    return json.loads((version / "assets.extra" / "card.json").read_text())


def allowed_deviation(version, x):
    """What a solver or an inverse found by iteration owes where kernels round otherwise."""
    card = card_of(version)
    found = card.get("diagnostics", {})
    if "solves" in found:  # its steps are other ones then
        return 10 * found["solves"]["rtol"]
    if "lipschitz" in found:
        return max(1e-5, 10 * card["round_trip_error"] / np.abs(x).max())
    return 1e-5


def test_plain_tensorflow_answers_as_published(names, models, published):
    for name in names:
        inputs, answers = published(name)
        loaded = tf.saved_model.load(str(models / name / "1"))
        allowed = allowed_deviation(models / name / "1", inputs["x"])
        signatures = {key.split(".")[0] for key in answers}
        assert signatures == {*loaded.signatures} - {"serving_default", "metadata"}
        for signature in signatures:
            function = loaded.signatures[signature]
            specs = function.structured_input_signature[1]
            found = function(**{key: tf.constant(inputs[key]) for key in specs})
            for key, value in found.items():
                expected = answers.pop(f"{signature}.{key}")
                assert_close(value, expected, allowed, (name, signature, key))
        assert not answers
        del loaded, function
        gc.collect()


def test_a_c_program_answers_as_published(names, models, published, tmp_path):
    """Smaller entries than these are in tests/zoo/test_builtin_entries.py."""
    large = [name for name in names if card_of(models / name / "1")["parameters"] >= 900_000]
    assert large
    predict = compile_predict(tmp_path)
    for name in large:
        inputs, answers = published(name)
        signatures = sorted({key.split(".")[0] for key in answers})
        allowed = allowed_deviation(models / name / "1", inputs["x"])
        (tmp_path / name).mkdir()
        result = run_predict(predict, models / name / "1", tmp_path / name, signatures, inputs)
        assert result.returncode == 0, result.stderr
        for key, expected in answers.items():
            found = np.load(tmp_path / name / f"{key}.npy")
            assert_close(found, expected, allowed, (name, key))
