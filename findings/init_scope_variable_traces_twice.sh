#!/usr/bin/env bash
# A variable that is made within tf.init_scope, when a tf.function is traced for the first time, counts as one
# that the function made: the whole function is traced a second time.
#
# Seen with TensorFlow 2.21.0 and Keras 3.15.1 (Linux, x86-64, Python 3.11). tf.init_scope lifts what is in it
# out of the graph, and Keras makes its variables there, so a layer that builds a part of itself at its first
# call works within a tf.function. But the function's creator of variables still sees them, and since a
# function that made variables must be traced once more without making any, the Python code runs twice,
# where a function without variables of its own runs once. Of a model whose trace takes seconds, the first call
# takes twice as long. Built before the call, the same layer is traced once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0 keras==3.15.1
cat >"$folder/twice.py" <<'PYTHON'
import keras
import tensorflow as tf


def traces(is_built):
    """How often Python runs through a function that calls a layer twice."""
    layer, count = keras.layers.Dense(2), []
    if is_built:
        layer.build((None, 3))

    @tf.function(autograph=False)
    def function(x):
        count.append(1)
        if not layer.built:
            with tf.init_scope():
                assert tf.executing_eagerly()
                layer.build((None, 3))
        return layer(x)

    x = tf.ones([1, 3])
    assert tuple(function(x).shape) == (1, 2)
    function(x)
    return len(count)


found = traces(is_built=False), traces(is_built=True)
print("TensorFlow", tf.__version__, "Keras", keras.__version__)
print("traces: built in tf.init_scope", found[0], "- built before", found[1])
assert found == (2, 1)
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/twice.py"
