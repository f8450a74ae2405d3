#!/usr/bin/env bash
# With NumPy 2.4, tfb.Pad, tfb.SoftmaxCentered and tfb.UnitVector of the newest TensorFlow Probability cannot be
# made, and with them the default event space bijector of a Dirichlet: their constructor ends in a TypeError
# ("reshape() got an unexpected keyword argument 'newshape'"). NumPy 2.4 has dropped that name of an argument.
# With NumPy 2.3 they can. TFP's requirements name no upper bound, so that a fresh installation has 2.4.
#
# Seen with TensorFlow Probability 0.25.0, TensorFlow 2.21.0, NumPy 2.4.6 and 2.3.5 (Linux, x86-64, Python 3.11).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tensorflow==2.21.0 tensorflow-probability==0.25.0 tf-keras==2.21.0 numpy==2.4.6
cat >"$folder/simplex.py" <<'PYTHON'
import sys

import numpy as np
import tensorflow_probability as tfp

tfb, tfd = tfp.bijectors, tfp.distributions
expected = sys.argv[1]
print("NumPy", np.__version__, "TensorFlow Probability", tfp.__version__)
dirichlet = tfd.Dirichlet([1.0, 2.0, 3.0])
default = dirichlet.experimental_default_event_space_bijector
for make in (tfb.Pad, tfb.SoftmaxCentered, tfb.UnitVector, default):
    try:
        found = f"made {make().name}"
    except TypeError as error:
        found = f"TypeError: {error}"
    print(f"{make.__name__}: {found}")
    assert expected in found
PYTHON
export TF_CPP_MIN_LOG_LEVEL=3
"$folder/venv/bin/python" "$folder/simplex.py" "unexpected keyword argument 'newshape'"
"$folder/venv/bin/pip" install -q numpy==2.3.5
"$folder/venv/bin/python" "$folder/simplex.py" "made "
