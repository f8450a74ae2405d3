#!/usr/bin/env bash
# Build what a release uploads, check it, and try it in fresh environments: tools/release.sh PYTHON...
#
# Of each interpreter one environment has the newest versions of what tfflows depends on, and of the first one
# another has the oldest that pyproject.toml declares. Each draws samples on the command line, trains, saves, and
# loads in a new process, away from the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pythons=("${@:-python3}")

"${pythons[0]}" -m venv "$folder/build"
"$folder/build/bin/pip" install -q build twine check-wheel-contents
"$folder/build/bin/python" -m build -o "$folder/dist" . >"$folder/build.log" || { cat "$folder/build.log"; exit 1; }
"$folder/build/bin/twine" check --strict "$folder"/dist/*
"$folder/build/bin/check-wheel-contents" "$folder"/dist/*.whl
for file in "$folder"/dist/*; do
  size=$(stat -c %s "$file")
  echo "$(basename "$file"): $size bytes"
  test "$size" -lt 100000000 # what package indexes take
done

# Dependencies at the versions that they are at least: "keras>=3.10" becomes "keras==3.10.*".
oldest=$("$folder/build/bin/python" - <<'PYTHON'
import re
text = open("pyproject.toml").read()
listed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1]
print(*(f"{name}=={version}.*" for name, version in re.findall(r'"([\w-]+)>=([\d.]+)"', listed)))
PYTHON
)

try() { # NAME PYTHON REQUIREMENTS...
  "$2" -m venv "$folder/$1"
  local bin="$folder/$1/bin"
  shift 2
  "$bin/pip" install -q "$folder"/dist/*.whl "$@"
  mkdir "$bin/../work"
  (
    cd "$bin/../work"
    export PATH="$bin:$PATH" TF_CPP_MIN_LOG_LEVEL=3
    tfflows sample nice_digits --seed 1 --output digits.png >/dev/null
    python - <<'PYTHON'
import keras, numpy as np, tfflows
flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
flow.compile(keras.optimizers.Adam(1e-2))
flow.fit(np.random.default_rng(0).normal(size=(256, 2)), epochs=2, verbose=0)
np.save("log_prob.npy", flow.log_prob(np.zeros([3, 2])))
flow.save("flow.keras")
PYTHON
    python - <<'PYTHON'
import sys
import keras, numpy as np, tensorflow as tf, tensorflow_probability as tfp, tfflows
flow = keras.models.load_model("flow.keras")
np.testing.assert_allclose(flow.log_prob(np.zeros([3, 2])), np.load("log_prob.npy"), rtol=1e-6)
versions = {"TensorFlow": tf, "Keras": keras, "TFP": tfp, "NumPy": np}
print(f"Python {sys.version.split()[0]}:", *(f"{name} {m.__version__}" for name, m in versions.items()))
PYTHON
  )
}

read -ra oldest <<<"$oldest"
try oldest "${pythons[0]}" "${oldest[@]}"
for i in "${!pythons[@]}"; do
  try "newest$i" "${pythons[$i]}"
done
