#!/usr/bin/env bash
# keras.Model.fit, evaluate and predict round float64 arrays to float32 before a model whose dtype is float64
# sees them; the same numbers in a tf.data.Dataset, or in a call of the model, arrive as they are.
#
# Seen with Keras 3.15.1 and TensorFlow 2.21.0 (Linux, x86-64, Python 3.11). The adapter of arrays casts all
# floating arrays to keras.config.floatx(), float32, and the model's policy casts the result back to float64,
# so that the dtype inside of the model looks right. Seconds since 1970 come in steps of 128: of 1,800
# neighbouring seconds 15 different numbers are left. A density that is trained on them sees a few spikes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0 keras==3.15.1
cat >"$folder/digits.py" <<'PYTHON'
import keras
import numpy as np
import tensorflow as tf


class Same(keras.Model):
    """Returns its input, and remembers in which dtype it came."""

    def call(self, x):
        self.seen = x.dtype
        return x


model = Same(dtype="float64")
x = 1.7e9 + np.arange(1800.0)[:, None]  # half an hour
found = {
    "a call": model(x).numpy(),
    "predict of an array": model.predict(x, verbose=0),
    "predict of a data set": model.predict(tf.data.Dataset.from_tensor_slices(x).batch(64), verbose=0),
}
print("Keras", keras.__version__, "TensorFlow", tf.__version__, "model", model.dtype, "sees", model.seen)
for name, values in found.items():
    print(f"{name}: {values.dtype}, {len(np.unique(values))} different numbers of {len(x)}")
assert all(values.dtype == np.float64 for values in found.values())
assert [len(np.unique(values)) for values in found.values()] == [1800, 15, 1800]
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow "$folder/venv/bin/python" "$folder/digits.py"
