"""Starting and stopping real model servers, laid out as examples/serving/README.md says."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples" / "serving"


class Server:
    """A process that answers the V2 protocol on 127.0.0.1.

    Attributes:
        http, grpc: HOST:PORT.
        log: path of what the process prints.
    """

    def __init__(self, command, http_port, grpc_port, log, env=None):
        self.http, self.grpc = f"127.0.0.1:{http_port}", f"127.0.0.1:{grpc_port}"
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=file, env=env, preexec_fn=_die_with_parent
            )

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"The server has ended:\n{self.log.read_text()}")
        try:
            with urllib.request.urlopen(f"http://{self.http}/v2/health/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def wait(self, seconds=300):
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise RuntimeError(f"No server after {seconds} s:\n{self.log.read_text()}")
            time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def running(server):
    """The server, ready; it must still be at the end, and is stopped."""
    try:
        server.wait()
        yield server
        assert server.is_ready()
    finally:
        server.stop()


def triton(models, names, folder, config=None):
    """Triton's server of exported entries.

    Args:
        models: folder that export_entries.py made.
        names: of the entries.
        folder: an empty one, for the repository.
        config: text of config.pbtxt instead of the example's.
    """
    for name in names:
        version = shutil.copytree(models / name / "1", folder / name / "1")
        shutil.copy(EXAMPLES / "triton" / "model.py", version)
        shutil.copy(EXAMPLES / "served_model.py", version)
        config = config or (EXAMPLES / "triton" / "config.pbtxt").read_text()
        (folder / name / "config.pbtxt").write_text(config)
    http, grpc = _free_port(), _free_port()
    command = [sys.executable, str(EXAMPLES / "triton" / "start.py"), str(folder)]
    command += [f"--http-port={http}", f"--grpc-port={grpc}"]
    return Server(command, http, grpc, folder / "log.txt")


def mlserver(models, names, folder):
    """MLServer of exported entries; arguments as for `triton`."""
    for name in names:
        shutil.copytree(models / name / "1", folder / name / "1")
        settings = (EXAMPLES / "mlserver" / "model-settings.json").read_text()
        settings = settings.replace("realnvp_digits", name)
        (folder / name / "model-settings.json").write_text(settings)
    shutil.copy(EXAMPLES / "mlserver" / "settings.json", folder)
    http, grpc = _free_port(), _free_port()
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES), str(EXAMPLES / "mlserver")]),
        "MLSERVER_HTTP_PORT": str(http),
        "MLSERVER_GRPC_PORT": str(grpc),
        "MLSERVER_METRICS_PORT": str(_free_port()),
    }
    command = [str(Path(sys.executable).parent / "mlserver"), "start", str(folder)]
    return Server(command, http, grpc, folder / "log.txt", env)


def _die_with_parent():
    """A test run that is killed must not leave its servers behind (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
