#!/usr/bin/env bash
# tf.random.stateless_uniform and stateless_normal with alg="philox" give other floats under jit_compile=True
# than without, if the seed is a tensor that the function is given. If the seed is a constant in the function
# they are the same, so that a test with a seed written into it does not see the difference.
#
# Seen with TensorFlow 2.21.0 (Linux, x86-64, Python 3.11, CPU). The 32 random bits are the same; TensorFlow's
# kernel makes a float of the lower 23 of them, XLA of the upper 23, and normal numbers come from these floats.
# Draws from a constant seed are folded into a constant by TensorFlow before XLA sees them. Without an
# algorithm named the bits differ as well. The lower bits of an integer draw, which agrees, can be made into
# the float that TensorFlow's kernel gives.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0
cat >"$folder/draws.py" <<'PYTHON'
import numpy as np
import tensorflow as tf


def bits(seed):
    return tf.random.stateless_uniform([6], seed, None, None, tf.uint32, alg="philox")


def uniform(seed):
    return tf.random.stateless_uniform([6], seed, alg="philox")


def normal(seed):
    return tf.random.stateless_normal([6], seed, alg="philox")


seed = tf.constant([1, 2])
print("TensorFlow", tf.__version__)
for draw, same_of_a_tensor in ((bits, True), (uniform, False), (normal, False)):
    plain = draw(seed).numpy()
    graph = tf.function(draw)(seed).numpy()
    of_a_tensor = tf.function(draw, jit_compile=True)(seed).numpy()
    of_a_constant = tf.function(lambda: draw([1, 2]), jit_compile=True)().numpy()
    print(draw.__name__, "eager", plain[:3], "XLA", of_a_tensor[:3], "XLA, constant seed", of_a_constant[:3])
    assert np.array_equal(plain, graph) and np.array_equal(plain, of_a_constant)
    assert np.array_equal(plain, of_a_tensor) == same_of_a_tensor

raw, mantissa = bits(seed).numpy(), np.float32(2**-23)
assert np.array_equal(uniform(seed), (raw & 0x7FFFFF) * mantissa)
assert np.array_equal(tf.function(uniform, jit_compile=True)(seed), (raw >> 9) * mantissa)
print("eager: the lower 23 bits; XLA: the upper 23")
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/draws.py"
