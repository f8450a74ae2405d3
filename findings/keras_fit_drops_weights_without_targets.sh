#!/usr/bin/env bash
# keras.Model.fit(x, sample_weight=w) of a model that needs no targets, such as a density with a train_step or
# a compute_loss of its own, trains without the weights, and says nothing: NaN and a wrong number of weights
# pass, too. With any y beside them the same weights arrive.
#
# Seen with Keras 3.15.1 and TensorFlow 2.21.0 (Linux, x86-64, Python 3.11), for arrays in fit, evaluate,
# train_on_batch and test_on_batch. Keras packs x, y and sample_weight into a tuple for its steps, and packs x
# alone where y is None, whatever else there is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0 keras==3.15.1
cat >"$folder/weights.py" <<'PYTHON'
import keras
import numpy as np
import tensorflow as tf


class Location(keras.Model):
    """Mean of a Gaussian, found by its likelihood."""

    def build(self, shape):
        self.mean = self.add_weight(shape=(shape[-1],), initializer="zeros", name="mean")

    def call(self, x):
        return tf.reduce_sum((x - self.mean) ** 2, -1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        weights = 1.0 if sample_weight is None else tf.cast(sample_weight, y_pred.dtype)
        return tf.reduce_mean(weights * y_pred)


def loss(**data):
    model = Location()
    model.compile("sgd")
    return model.evaluate(x, verbose=0, **data)


x = np.array([[1.0], [3.0]], "float32")
w = np.array([1.0, 0.0], "float32")
found = {
    "no weights": loss(),
    "weights": loss(sample_weight=w),
    "NaN": loss(sample_weight=w * np.nan),
    "weights and a y of zeros": loss(sample_weight=w, y=np.zeros(2)),
}
print("Keras", keras.__version__, "TensorFlow", tf.__version__, found)
assert [*found.values()] == [5.0, 5.0, 5.0, 0.5]
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow "$folder/venv/bin/python" "$folder/weights.py"
