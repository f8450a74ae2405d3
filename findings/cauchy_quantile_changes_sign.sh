#!/usr/bin/env bash
# In float32 TensorFlow Probability's Cauchy distribution has positive quantiles for probabilities of 1e-8 and
# less, which are as far on the other side of its centre as they go; a HalfCauchy, which is positive, has a
# negative one for the probability 1.
#
# Seen with TensorFlow Probability 0.25.0 and TensorFlow 2.21.0 (Linux, x86-64, Python 3.11). The quantile is
# tan(pi (p - 1/2)). In float32 p - 1/2 is -1/2 for p below 3e-8, and pi / 2 is rounded up, past the pole of
# the tangent: at p = 1e-8 the result is 2.3e7 where it should be -3.2e7. What draws from the
# distribution by its quantile, as tfp.experimental.bijectors.make_distribution_bijector does, sends
# a standard normal number of -6 to 2.3e7: the map is not monotone, and its inverse does not find -6. In
# float64 it happens at none of these. A map that searches for the root of the distribution function has no
# such pole; its own accuracy ends where the distribution function is rounded to 0, beyond -2e7.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0 tf_keras==2.21.0 tensorflow-probability==0.25.0 numpy==2.4.6
cat >"$folder/quantile.py" <<'PYTHON'
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def quantiles(dtype):
    one = tf.constant(1, dtype)
    return tfd.Cauchy(0 * one, one).quantile(tf.constant([1e-9, 1e-8, 1e-7, 1e-6], dtype)).numpy()


single, double = quantiles("float32"), quantiles("float64")
half = tfd.HalfCauchy(0.0, 1.0).quantile([1 - 2.0**-24, 1.0]).numpy()
bijector = tfp.experimental.bijectors.make_distribution_bijector(tfd.Cauchy(0.0, 1.0))
moved = bijector.forward(tf.constant([-6.0, -5.0])).numpy()
print("TensorFlow Probability", tfp.__version__)
print("quantiles of 1e-9 ... 1e-6: float32", single, "- float64", double)
print("HalfCauchy's of 1 - 2^-24 and 1:", half, "- the bijector's of -6 and -5:", moved)
assert np.all(np.sign(double) == -1) and np.all(np.diff(double) > 0)
assert np.array_equal(np.sign(single), [1, 1, -1, -1])
assert np.array_equal(np.sign(half), [1, -1])
assert moved[0] > 1e7 and moved[1] < -1e5
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/quantile.py"
