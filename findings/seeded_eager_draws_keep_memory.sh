#!/usr/bin/env bash
# After tf.random.set_seed (or keras.utils.set_random_seed) each random operation in eager mode takes several
# times as long, and the process grows with every one of them, for as long as it runs.
#
# Seen with TensorFlow 2.21.0 (Linux, x86-64, Python 3.11); asked about for 2.0 and 2.1 in
# github.com/tensorflow/tensorflow/issues/37252, which was closed without a change. With a global seed each
# eager call gets an operation seed of its own, and that seed is an attribute: the runtime makes a new kernel
# for it and keeps it by its attributes, though no later call has the same. Without a global seed both
# attributes are 0, and one kernel serves all calls. Drawing two numbers took 0.62 ms instead of 0.10 ms and
# left 36 KB behind. Setting the seed anew lets go of the kernels; tf.random.stateless_uniform, which takes
# its seed as a tensor, makes one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0
cat >"$folder/grow.py" <<'PYTHON'
import re

import tensorflow as tf

CALLS = 1000


def kilobytes():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1])


def growth(draw):
    """Kilobytes a call by which the process grows, after a first hundred calls."""
    for _ in range(100):
        draw(0)
    before = kilobytes()
    for i in range(CALLS):
        draw(i)
    return (kilobytes() - before) / CALLS


plain = growth(lambda i: tf.random.uniform([2]))
tf.random.set_seed(0)
seeded = growth(lambda i: tf.random.uniform([2]))
stateless = growth(lambda i: tf.random.stateless_uniform([2], [0, i]))
print("TensorFlow", tf.__version__)
print(f"KB a call: {plain:.1f} without a seed, {seeded:.1f} with one, {stateless:.1f} stateless")
assert plain < 2 and stateless < 2 and seeded > 10
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/grow.py"
