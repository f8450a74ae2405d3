#!/usr/bin/env bash
# The gradient of tfb.GeneralizedPareto's inverse log-det is NaN above a point in the middle of its support
# (from about one scale behind loc on), where the log-det itself is right. A density over a positive heavy-tailed
# column has no score there, and training or Hamiltonian Monte Carlo through it ends in NaN.
#
# Seen with TensorFlow Probability 0.25.0, TensorFlow 2.21.0 (Linux, x86-64, Python 3.11), in float32 and float64,
# for positive concentrations; negative ones, whose support ends, are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0 tensorflow-probability==0.25.0 tf-keras==2.21.0 numpy==2.4.6
cat >"$folder/pareto.py" <<'PYTHON'
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

print("TensorFlow Probability", tfp.__version__)
for dtype in (tf.float32, tf.float64):
    for concentration in (0.7, 0.3):
        loc, scale, concentration = (tf.constant(v, dtype) for v in (0.3, 1.5, concentration))
        bijector = tfp.bijectors.GeneralizedPareto(loc, scale, concentration)
        x = tf.constant([0.4, 0.9, 1.6, 2.5, 5.0], dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_det = bijector.inverse_log_det_jacobian(x, 0)
        gradient = tape.gradient(log_det, x).numpy()
        step = np.asarray(1e-2, dtype.as_numpy_dtype)
        above, below = (bijector.inverse_log_det_jacobian(x + h, 0) for h in (step, -step))
        differences = ((above - below) / (2 * step)).numpy()
        print(dtype.name, "concentration", concentration.numpy(), "at x =", x.numpy())
        print("  gradient   ", gradient)
        print("  differences", differences.round(4))
        assert np.isfinite(differences).all()
        assert np.isfinite(gradient[:2]).all() and np.isnan(gradient[-1:]).all()
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/pareto.py"
