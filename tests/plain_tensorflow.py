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
    expected = values.pop("log_prob")
    inputs = {name: tf.constant(value) for name, value in values.items()}
    found = loaded.signatures["serving_default"](**inputs)["log_prob"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
assert not REFUSED & set(sys.modules)
print("compared", len(sys.argv) - 1)
"""


def compare_in_plain_tensorflow(paths):
    """Each SavedModel must compute the `log_prob` in `PATH.npz` from the inputs beside it."""
    command = [sys.executable, "-c", _SCRIPT, *paths]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == f"compared {len(paths)}"
