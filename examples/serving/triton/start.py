"""Run Triton's server as the package nvidia-pytriton brings it, where there is no container.

python start.py MODELS [OPTION...]

MODELS is the model repository; the options are those of tritonserver. The server binds 127.0.0.1,
and runs its Python backend in the environment of the Python that runs this file, on Linux.
"""

import os
import shutil
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path


def main(models, *options):
    """Becomes the server; does not return."""
    packages = Path(find_spec("pytriton").origin).parents[1]
    server = packages / "pytriton" / "tritonserver"
    # The backend starts the stub that was built for this version of Python, from its own folder.
    backends = Path(tempfile.mkdtemp(prefix="triton_backends_"))
    shutil.copytree(server / "backends" / "python", backends / "python")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, backends / "python")
    libraries = [str(packages / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")]
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    program = str(server / "bin" / "tritonserver")
    arguments = [f"--model-repository={models}", f"--backend-directory={backends}"]
    arguments += ["--http-address=127.0.0.1", "--grpc-address=127.0.0.1", "--allow-metrics=false"]
    os.execv(program, [program, *arguments, *options])


if __name__ == "__main__":
    main(*sys.argv[1:])
