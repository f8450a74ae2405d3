#!/usr/bin/env bash
# Two replicas sum their gradients by a collective operation that both know by a number. Each MirroredStrategy of a
# process counts these numbers from 100 again, for the same group of devices, and what the runtime knows about number
# 100 from the first strategy it holds against the second: a model with other shapes, trained under a second strategy
# after the first has ended, stops with a shape mismatch. Where the second model has the first one's shapes the weights
# are the same as before, and the first strategy trains models of any shapes. Running a cell of a notebook twice, with another width, is enough.
#
# Seen with TensorFlow 2.21.0 and Keras 3.15.1 (Linux, x86-64, Python 3.11), on two logical CPUs. TensorFlow's own
# tests of strategies move the start of these numbers by hand between strategies (strategy_combinations.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0 keras==3.15.1 numpy==2.4.6
cat >"$folder/train.py" <<'PYTHON'
import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")


def train(strategy, width):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([keras.layers.Dense(width), keras.layers.Dense(4)])
        model.compile("sgd", "mse")
    model.fit(x, x, batch_size=32, verbose=0)
    return model.get_weights()


def two_replicas():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


print("TensorFlow", tf.__version__, "Keras", keras.__version__)
first = two_replicas()
before = train(first, 8)
train(first, 16)
print("the first strategy trains two models of different widths")
after = train(two_replicas(), 8)
assert all(np.allclose(a, b) for a, b in zip(before, after, strict=True))
print("a second one trains a model of the first width to the same weights")
try:
    train(two_replicas(), 16)
except tf.errors.OpError as error:
    lines = [line for line in str(error).splitlines() if "Shape mismatch" in line]
    print("another width under a third:", *lines)
    assert lines, "The error is another one than it was."
else:
    raise SystemExit("A later strategy trains a model of another width: the behaviour has changed.")
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/train.py"
