#!/usr/bin/env bash
# A sum of one tensor with itself and a scalar, such as y + y + 1, is an empty tensor when it is computed
# within tf.cond or tf.while_loop in a tf.function.
#
# Seen with TensorFlow 2.21.0 (Linux, x86-64, Python 3.11): for y of shape [2] the branch returns a tensor of
# shape [0] and no error, and a loop or an `if` that autograph converts does so too; a sum over it is an empty
# tensor as well. Outside of control flow, with y a scalar, with 2 * y + 1, with y + y - 1, or with two
# different tensors the result is right. It is right with the arithmetic optimizer switched off, and with
# dependency optimization switched off, so that the rewriting of a sum of equal terms into a product, whose
# factor hangs on the branch by a control edge, is the likely cause.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0
cat >"$folder/sums.py" <<'PYTHON'
import tensorflow as tf

SUMS = {
    "y + y + 1": lambda y: y + y + 1.0,
    "y + (y + 1)": lambda y: y + (y + 1.0),
    "2 y + 1": lambda y: 2.0 * y + 1.0,
    "y + y - 1": lambda y: y + y - 1.0,
    "y + sin(y) + 1": lambda y: y + tf.sin(y) + 1.0,
}
EMPTY = ("y + y + 1", "y + (y + 1)")


def in_branch(compute):
    @tf.function(autograph=False)
    def function(x):
        y = 2.0 * x
        return tf.cond(tf.reduce_all(x > 0), lambda: compute(y), lambda: tf.zeros_like(y))

    return function


def in_loop(compute):
    @tf.function(autograph=False)
    def function(x):
        once = lambda i, y: (i + 1, compute(y))
        return tf.while_loop(lambda i, y: i < 1, once, (0, 2.0 * x))[1]

    return function


print("TensorFlow", tf.__version__)
x = tf.constant([1.5, 2.0])
for name, compute in SUMS.items():
    eager = compute(2.0 * x).numpy().tolist()
    found = [make(compute)(x).numpy().tolist() for make in (in_branch, in_loop)]
    print(f"{name:15} eager {eager}, in tf.cond {found[0]}, in tf.while_loop {found[1]}")
    for values in found:
        assert (values == []) if name in EMPTY else len(values) == 2, (name, values)
assert tf.function(lambda x: SUMS["y + y + 1"](2.0 * x))(x).shape == [2]

tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
values = in_branch(SUMS["y + y + 1"])(x).numpy().tolist()
print("without the arithmetic optimizer:", values)
assert values == [7.0, 9.0]
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/sums.py"
