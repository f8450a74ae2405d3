"""Training at scale: memory against depth, replicas and workers, precision.

    python benchmarks/scale.py [--depths 8,64] [--output benchmarks/scale.md]

What it measures: `_scale.py`, each time in fresh processes.
"""

import argparse
import collections
import functools
import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import _harness

MODES = ("store", "checkpoint", "invert")
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
# Large, so that what a batch takes stands out from what an allocator rounds.
MEMORY_BATCH = 64
BATCH = 32
SCALING_STEPS = 8
ROUNDS = 2
ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TOP_PAD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
}

INTRODUCTION = """\
# Training at scale: memory, replicas, precision

Written by `python benchmarks/scale.py --depths {depths}`.

Glow of 32x32x3 images with one level of K steps of width 64, Adam, in Keras's training step. Each
figure is of fresh processes; times are lower quartiles.

## Memory against depth

The batch's share of memory: the peak of resident memory in training steps with a batch of {batch},
less that with a batch of 1. What tracing took and gave back is left out, and large blocks are
mapped one by one (`MALLOC_MMAP_THRESHOLD_`), so that what is freed counts as free. Steps of the
same batch are timed without that, on one thread, the three modes taking turns. "Gradients": largest
distance of any weight's gradient from that of stored activations, relative to its norm, at K =
{gradient_steps} in float32.
"""

REPLICAS = """\
## Replicas and workers

K = {steps}, one level. Equal total compute: 2 threads for one device and for two logical devices
of one process, 1 thread for each of two workers. "Strong": a global batch of {batch}; "weak":
{batch} examples for each replica. The lowest of {rounds} rounds in which they take turns. The speed
is that of the strategy relative to one device with the same global batch; both processors are busy
with one device already, so that 1 is the best there is.

What is freed stays with all of these processes, by
`{allocator}`:
which blocks glibc gives back is chance otherwise, and to get them again can take as long as the
step.
"""

PRECISION = """\
## Precision

K = {steps}, batch {batch}, 2 threads, the three taking turns.
{arithmetic}
"Deviation": log_prob of 64 images with the same weights and noise, less that of float32 networks,
in bits per dimension.
"""


def measured(kind, environment=(), **settings):
    """The result of one process of `_scale.py`."""
    return finished(started(kind, environment, **settings))


def started(kind, environment=(), **settings):
    script = Path(__file__).with_name("_scale.py")
    threads = str(settings["threads"])
    return subprocess.Popen(
        [sys.executable, script, kind, json.dumps(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": threads, **dict(environment)},
    )


def finished(process):
    output = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"{process.args[2:]} failed; run it by hand to see its errors.")
    print(process.args[2:], output.splitlines()[-1], file=sys.stderr, flush=True)
    return json.loads(output.splitlines()[-1])


def memory_table(depths, gradient_steps):
    mapped = {"MALLOC_MMAP_THRESHOLD_": "65536"}
    distance = measured("gradients", steps=gradient_steps, batch=4, threads=1)
    rows = []
    for depth in depths:
        times = measured("step", steps=depth, batch=MEMORY_BATCH, modes=MODES, threads=1)
        for mode in MODES:
            settings = {"steps": depth, "mode": mode, "threads": 1}
            # Two at a time: what they measure does not depend on it.
            pair = [
                started("memory", mapped, batch=batch, **settings) for batch in (MEMORY_BATCH, 1)
            ]
            many, one = (finished(process)["peak"] for process in pair)
            wall, first = times["wall"][mode], times["first"][mode]
            row = [str(depth), mode, f"{many - one:.0f} MB", f"{1e3 * wall:.0f} ms"]
            row += [f"{wall / times['wall']['store']:.2f}", f"{first:.0f} s"]
            rows.append([*row, f"{distance[mode]:.0e}" if mode in distance else ""])
    head = ["K", "memory", "batch's share", "step", "ratio", "first step", "gradients"]
    return _harness.table(head, rows)


def workers_measured(**settings):
    """Two worker processes with a thread each."""
    sockets = [socket.socket() for _ in range(2)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    workers = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    processes = [
        started(
            "scaling", ALLOCATOR, strategy="", workers=workers, index=index, threads=1, **settings
        )
        for index in range(2)
    ]
    return max(finished(process)["wall"] for process in processes)


def one_process_measured(strategy, **settings):
    """A process with two threads."""
    return measured("scaling", ALLOCATOR, strategy=strategy, threads=2, **settings)["wall"]


def replicas_table():
    rows = []
    contenders = {
        "one device": functools.partial(one_process_measured, "one_device"),
        "two logical devices": functools.partial(one_process_measured, "mirrored"),
        "two workers": workers_measured,
    }
    for kind, batch in (("strong", BATCH), ("weak", 2 * BATCH)):
        walls = collections.defaultdict(lambda: math.inf)
        for _ in range(ROUNDS):
            for name, measure in contenders.items():
                walls[name] = min(walls[name], measure(batch=batch, steps=SCALING_STEPS))
        for name, wall in walls.items():
            speed = f"{walls['one device'] / wall:.2f}"
            row = [name, kind, str(batch), f"{1e3 * wall:.0f} ms", f"{batch / wall:.0f}", speed]
            rows.append(row)
    head = ["", "scaling", "global batch", "step", "examples/s", "speed"]
    return _harness.table(head, rows)


def precision_table():
    found = measured("precision", policies=POLICIES, batch=BATCH, steps=SCALING_STEPS, threads=2)
    rows = []
    for policy in POLICIES:
        wall, speed = found["wall"][policy], found["wall"]["float32"] / found["wall"][policy]
        row = [policy, f"{1e3 * wall:.0f} ms", f"{speed:.2f}"]
        rows.append([*row, f"{found['mean'][policy]:+.1e}", f"{found['largest'][policy]:.1e}"])
    head = ["networks", "step", "speed", "mean deviation", "largest"]
    return _harness.table(head, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", default="8,64", help="K, with commas")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    depths = [int(depth) for depth in args.depths.split(",")]
    import keras
    import tensorflow as tf

    gradient_steps = 16
    parts = [
        INTRODUCTION.format(depths=args.depths, batch=MEMORY_BATCH, gradient_steps=gradient_steps),
        memory_table(depths, gradient_steps),
        REPLICAS.format(
            steps=SCALING_STEPS,
            batch=BATCH,
            rounds=ROUNDS,
            allocator=" ".join(f"{name}={value}" for name, value in ALLOCATOR.items()),
        ),
        replicas_table(),
        PRECISION.format(
            steps=SCALING_STEPS, batch=BATCH, arithmetic=_harness.bfloat16_instructions()
        ),
        precision_table(),
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, Python {sys.version.split()[0]}. "
        f"{_harness.cpu_info('model name')}, {os.cpu_count()} CPUs.",
    ]
    args.output.write_text("\n\n".join(part.rstrip("\n") for part in parts) + "\n")
    print(args.output.read_text())


if __name__ == "__main__":
    main()
