"""Several worker processes on this machine."""

import os
import socket
import subprocess
from pathlib import Path

import tfflows


def free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def worker_environment() -> dict[str, str]:
    """In which this package and the modules beside this one are found."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    folders = [Path(tfflows.__file__).parents[1], Path(__file__).parent]
    return {**environment, "PYTHONPATH": os.pathsep.join(map(str, folders))}


def start_workers(command, n: int = 2) -> list[subprocess.Popen]:
    """Processes of `command(workers, index)`, workers as `tfflows train --workers` takes them."""
    workers = ",".join(f"127.0.0.1:{port}" for port in free_ports(n))
    return [
        subprocess.Popen(
            [str(word) for word in command(workers, index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=worker_environment(),
        )
        for index in range(n)
    ]


def run_workers(command, n: int = 2) -> list[str]:
    """What they print, once all have ended well."""
    processes = start_workers(command, n)
    try:
        results = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * n, results
    return [output for output, _ in results]
