"""Every entry's export, read by plain TensorFlow, and the slowest to export by the C program."""

import gc
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from c_program import SLOW_TO_EXPORT, compile_predict, run_predict


@pytest.mark.parametrize("package", ["keras", "tf_keras", "tensorflow_probability", "tfflows"])
def test_this_environment_is_without(package):
    assert importlib.util.find_spec(package) is None


@pytest.fixture(scope="module")
def names(models):
    names = sorted(path.stem for path in models.glob("*.npz"))
    assert len(names) >= 10
    return names


def assert_close(found, expected, message):
    assert found.shape == expected.shape and np.abs(expected).max() > 0
    deviation = np.abs(found - expected).max() / np.abs(expected).max()
    assert deviation <= 1e-5, (*message, deviation)


def test_plain_tensorflow_answers_as_published(names, models, published):
    for name in names:
        inputs, answers = published(name)
        loaded = tf.saved_model.load(str(models / name / "1"))
        signatures = {key.split(".")[0] for key in answers}
        assert signatures == {*loaded.signatures} - {"serving_default", "metadata"}
        for signature in signatures:
            function = loaded.signatures[signature]
            specs = function.structured_input_signature[1]
            found = function(**{key: tf.constant(inputs[key]) for key in specs})
            for key, value in found.items():
                assert_close(value, answers.pop(f"{signature}.{key}"), (name, signature, key))
        assert not answers
        del loaded, function
        gc.collect()


def test_a_c_program_answers_as_published(names, models, published, tmp_path):
    """Those that are fast to export are in tests/zoo/test_builtin_entries.py."""
    assert set(names) >= SLOW_TO_EXPORT
    predict = compile_predict(tmp_path)
    for name in sorted(SLOW_TO_EXPORT):
        inputs, answers = published(name)
        signatures = sorted({key.split(".")[0] for key in answers})
        (tmp_path / name).mkdir()
        result = run_predict(predict, models / name / "1", tmp_path / name, signatures, inputs)
        assert result.returncode == 0, result.stderr
        for key, expected in answers.items():
            assert_close(np.load(tmp_path / name / f"{key}.npy"), expected, (name, key))
