"""Load test: Triton with and without dynamic batching beside the same SavedModel in a bare loop.

    python server_tests/export_entries.py MODELS    # with tfflows
    python benchmarks/serving.py MODELS             # in the environment of the servers

The second environment is that of server_tests/requirements.txt, see .ci/servers. The result is
written to serving.md. Every answer is compared with the entries' reference tensors.
"""

import argparse
import os
import platform
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

sys.path.append(str(Path(__file__).parents[1] / "server_tests"))
import servers
from clients import GrpcClient

ENTRIES = {"realnvp_moons": "points in 2-D", "glow_mnist": "images 28x28x1"}
INPUTS = {"log_prob": ["x"], "sample": ["seed", "temperature"]}
CLIENTS = 16
TOLERANCE = 1e-5
UNBATCHED = """backend: "python"
max_batch_size: 64
instance_group { kind: KIND_CPU count: 1 }
"""

TEXT = """# Serving: load test

Written by `python benchmarks/serving.py MODELS`, see there.

Each request is one row. Triton's server (nvidia-pytriton 0.7.0, Python backend, one instance,
`examples/serving/triton`) answers {clients} clients over gRPC, each of which waits for an answer
before its next request; clients and server share the machine. "Dynamic batching" is the example's
`config.pbtxt`, "no batching" the same without its line `dynamic_batching`. "Bare loop" calls the
same SavedModel's signature in one process without a server, one row after the other: the limit
without batches. "Bare loop, {clients} rows" calls it with as many rows as there are clients: the
limit with them; its latency is that of the whole batch.

{seconds:g} s each, after a second to warm up. Every answer was compared with `reference.npz`; an
error is a refusal or an answer that is off by more than 1e-5 of the largest value.

{cores} CPU cores; Python {python}, TensorFlow {tensorflow}.

"""


class Task:
    """Requests of one signature of an entry, with what is to come back."""

    def __init__(self, folder, name, signature):
        self.name, self.signature = name, signature
        with np.load(folder / f"{name}.npz") as file:
            self.inputs = {key: file[key] for key in INPUTS[signature]}
            start = f"{signature}."
            self.outputs = {k[len(start) :]: file[k] for k in file if k.startswith(start)}

    def rows(self, indices):
        """Inputs of the request for these rows of the reference."""
        columns = {key: value[indices] for key, value in self.inputs.items()}
        return {key: v[:, None] if v.ndim == 1 else v for key, v in columns.items()}

    def is_right(self, found, indices):
        for key, expected in self.outputs.items():
            wanted = expected[indices].reshape(found[key].shape)
            if not np.abs(found[key] - wanted).max() <= TOLERANCE * np.abs(expected).max():
                return False
        return True


def measure(ask, task, num_clients, num_rows, seconds):
    """Rows a second, latencies in ms and errors of clients that ask one after the other.

    Args:
        ask: function of a client's number that returns a function from inputs to outputs.
        num_rows: of each request.
    """
    latencies, errors = [], []
    start = time.perf_counter() + 1
    end = start + seconds

    def work(number):
        client = ask(number)
        rng = np.random.default_rng(number)
        num_known = len(task.inputs[INPUTS[task.signature][0]])
        while (begin := time.perf_counter()) < end:
            indices = rng.integers(num_known, size=num_rows)
            try:
                is_right = task.is_right(client(task.rows(indices)), indices)
            except Exception:
                is_right = False
            errors.append(not is_right)
            if begin >= start:
                latencies.append(time.perf_counter() - begin)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(num_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    throughput = num_rows * len(latencies) / seconds
    return throughput, np.percentile(latencies, [50, 99]) * 1000, sum(errors)


def bare(model, task):
    """A call of the signature in this process."""
    signature = model.signatures[task.signature]
    flat = {k for k, s in signature.structured_input_signature[1].items() if s.shape.rank == 1}

    def call(inputs):
        inputs = {k: tf.constant(v[:, 0] if k in flat else v) for k, v in inputs.items()}
        return {key: value.numpy() for key, value in signature(**inputs).items()}

    return lambda number: call


def through(server, task):
    """A gRPC client of its own for each."""

    def connect(number):
        client = GrpcClient(server.grpc)
        return lambda inputs: client(task.name, task.signature, inputs)

    return connect


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, help="folder that export_entries.py made")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    tasks = [Task(args.models, name, signature) for name in ENTRIES for signature in INPUTS]
    found = {}
    for task in tasks:
        model = tf.saved_model.load(str(args.models / task.name / "1"))
        for title, rows in (("bare loop", 1), (f"bare loop, {CLIENTS} rows", CLIENTS)):
            found[task, title] = measure(bare(model, task), task, 1, rows, args.seconds)
    for title, config in (("Triton, no batching", UNBATCHED), ("Triton, dynamic batching", None)):
        with tempfile.TemporaryDirectory() as folder:
            server = servers.triton(args.models, ENTRIES, Path(folder), config)
            with servers.running(server):
                for task in tasks:
                    ask = through(server, task)
                    found[task, title] = measure(ask, task, CLIENTS, 1, args.seconds)
    text = TEXT.format(
        clients=CLIENTS,
        seconds=args.seconds,
        cores=os.cpu_count(),
        python=platform.python_version(),
        tensorflow=tf.__version__,
    )
    lines = ["| | rows/s | p50, ms | p99, ms | errors |", "|---|---|---|---|---|"]
    for task in tasks:
        lines.append(f"| **{task.signature}, `{task.name}`, {ENTRIES[task.name]}** | | | | |")
        for (other, title), (throughput, (p50, p99), errors) in found.items():
            if other is task:
                lines.append(f"| {title} | {throughput:.0f} | {p50:.1f} | {p99:.1f} | {errors} |")
    args.output.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")
    print(args.output.read_text(encoding="utf-8"))
    return 1 if any(errors for _, _, errors in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
