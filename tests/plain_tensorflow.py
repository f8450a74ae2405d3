"""SavedModels read where neither Keras, TFP nor tfflows can be imported."""

import subprocess
import sys

_SCRIPT = """
import sys

REFUSED = {"keras", "tf_keras", "tensorflow_probability", "tfflows"}

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in REFUSED:
            return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
for name in REFUSED:
    try:
        __import__(name)
    except ImportError:
        continue
    raise AssertionError(f"{name} could be imported")

import numpy as np
import tensorflow as tf

for path in sys.argv[1:]:
    loaded = tf.saved_model.load(path)
    values = dict(np.load(path + ".npz"))
    expected = {tuple(key.split(".")): values.pop(key) for key in [*values] if "." in key}
    answers = {}
    for name in {name for name, _ in expected}:
        signature = loaded.signatures[name]
        inputs = {key: tf.constant(values[key]) for key in signature.structured_input_signature[1]}
        answers |= {(name, key): found for key, found in signature(**inputs).items()}
    assert set(answers) == set(expected), (set(answers), set(expected))
    for key, found in answers.items():
        scale = np.abs(expected[key]).max()
        np.testing.assert_allclose(found / scale, expected[key] / scale, 0, 1e-5, err_msg=str(key))
assert not REFUSED & set(sys.modules)
print("compared", len(sys.argv) - 1)
"""


def compare_in_plain_tensorflow(paths):
    """Each SavedModel must answer its signatures as `PATH.npz` says.

    It holds inputs by the tensor's name and outputs as `SIGNATURE.OUTPUT`.
    """
    command = [sys.executable, "-c", _SCRIPT, *map(str, paths)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == f"compared {len(paths)}"
