"""`examples/serving/predict.c`, compiled, and what it answers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

SOURCE = Path(__file__).parents[1] / "examples" / "serving" / "predict.c"

# Entries whose exports are read with `.ci/servers ... --all` alone: a third of all, which takes
# longer than the others. Those have some of each kind: ffjord_mnist, ffjord_pinwheel,
# iresnet_moons, planar_moons, realnvp_mnist, residual_flow_digits and sylvester_moons.
UNSERVED = {
    "ffjord_checkerboard",
    "ffjord_digits",
    "ffjord_eight_gaussians",
    "ffjord_protein",
    "naf_rings",
    "nsf_autoregressive_checkerboard",
    "nsf_coupling_rings",
    "planar_eight_gaussians",
    "realnvp_celeba",
    "residual_flow_checkerboard",
    "residual_flow_mnist",
    "sylvester_pinwheel",
}


def compile_predict(folder) -> Path:
    """Compile as examples/serving/README.md says, with a C compiler that pip installs."""
    libraries = Path(tf.sysconfig.get_lib())
    command = [sys.executable, "-m", "ziglang", "cc", "-Wall", "-Wextra", "-Werror", "-O1"]
    command += [str(SOURCE), f"-I{tf.sysconfig.get_include()}", f"-Wl,-rpath,{libraries}"]
    for name in ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2"):
        command.append(str(libraries / name))
    result = subprocess.run(
        [*command, "-o", str(folder / "predict")], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return folder / "predict"


def run_predict(program, model, folder, signatures, inputs):
    """The finished process; the outputs are files in the folder."""
    for name, value in inputs.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(value))
    command = [str(program), str(model), str(folder), *signatures]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)
