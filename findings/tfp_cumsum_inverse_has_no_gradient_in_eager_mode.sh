#!/usr/bin/env bash
# The gradient of tfb.Cumsum().inverse misses all but the diagonal in eager mode: the Jacobian of
# z_i = x_i - x_(i-1) comes out as the identity. In a tf.function it is right. Values and log-dets are right in
# both, so that nothing but gradients through the inverse (a score, Hamiltonian Monte Carlo, training) shows it.
#
# Seen with TensorFlow Probability 0.25.0, TensorFlow 2.21.0 and NumPy 2.4.6 (Linux, x86-64, Python 3.11). The
# inverse shifts x by TFP's prefer_static.slice and pad, which in eager mode take a tensor's value as a NumPy
# array, and what comes of an array has no gradient.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0 tensorflow-probability==0.25.0 tf-keras==2.21.0 numpy==2.4.6
cat >"$folder/jacobian.py" <<'PYTHON'
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

inverse = tfp.bijectors.Cumsum().inverse


def jacobian(x):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        z = inverse(x)
    return tape.jacobian(z, x, experimental_use_pfor=False)


x = tf.constant([0.45, -0.1, 0.1], tf.float64)
step = 1e-6 * np.eye(3)
differences = np.stack([(inverse(x + h) - inverse(x - h)) / 2e-6 for h in step], -1)
eager, graph = jacobian(x).numpy(), tf.function(jacobian)(x).numpy()
print("TensorFlow Probability", tfp.__version__)
print("differences", np.round(differences, 6).tolist())
print("eager      ", eager.tolist())
print("graph      ", graph.tolist())
assert np.allclose(differences, [[1, 0, 0], [-1, 1, 0], [0, -1, 1]])
assert np.allclose(graph, differences)
assert np.array_equal(eager, np.eye(3))
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/jacobian.py"
