"""A contender in a process of its own: `python _worker.py MODULE NAME THREADS`.

The worker reads lines `task count seconds` from stdin and answers each with one line of JSON: the
seconds of `count` calls of `task`, or of fewer if `seconds` are over (none, if it has no such
task); or for

    built     the seconds that it took to build the contender, imports not counted
    memory    MB: resident memory after the imports, and by how much its peak exceeds that
    describe  what was built and how exact it is
"""

import importlib
import json
import math
import re
import sys
import time
from pathlib import Path

# By the first word of a contender's name; the first of these sets the number of threads.
LIBRARIES = {
    "tfflows": ("tensorflow", "keras", "tfflows.flow"),
    "TFP": ("tensorflow", "tf_keras", "tensorflow_probability"),
    "nflows": ("torch", "nflows.flows"),
    "zuko": ("torch", "zuko.flows"),
    "torchdiffeq": ("torch", "torch._dynamo", "torchdiffeq"),
    # PyTorch's first optimizer would import torch._dynamo.
    "normflows": ("torch", "torch._dynamo", "normflows"),
    # XLA takes as many threads as there are processors.
    "flowjax": ("jax", "flowjax.flows", "optax"),
}


def load(name, threads):
    """Import what the contender needs."""
    framework, *others = LIBRARIES[re.match(r"\w+", name)[0]]
    framework = importlib.import_module(framework)
    if framework.__name__ == "torch":
        framework.set_num_threads(threads)
        framework.manual_seed(0)
    elif framework.__name__ == "tensorflow":
        framework.config.threading.set_intra_op_parallelism_threads(threads)
        framework.config.threading.set_inter_op_parallelism_threads(threads)
        framework.random.set_seed(0)
    for other in others:
        importlib.import_module(other)


def resident(field):
    """Linux's count of this process's memory in MB: VmRSS is now, VmHWM the peak."""
    status = Path("/proc/self/status")
    if not status.exists():
        return math.nan
    return int(re.search(rf"{field}:\s+(\d+) kB", status.read_text())[1]) * 1024 / 1e6


def timed(task, count, limit):
    """Seconds of each call."""
    answer = []
    while len(answer) < count and sum(answer) < limit:
        start = time.perf_counter()
        task()
        answer.append(time.perf_counter() - start)
    return answer


def serve(module, name, threads):
    """Answer the lines of stdin until it ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    load(name, threads)
    contender = importlib.import_module(module).CONTENDERS[name]
    base = resident("VmRSS")
    start = time.perf_counter()
    tasks = contender()
    built = time.perf_counter() - start
    for line in sys.stdin:
        task, count, limit = line.split()
        if task == "built":
            answer = built
        elif task == "memory":
            answer = {"imports": base, "peak": resident("VmHWM") - base}
        elif task == "describe":
            facts = {key: tasks[key] for key in ("version", "parameters")}
            answer = {**facts, **tasks["describe"]()}
        else:
            answer = timed(tasks[task], int(count), float(limit)) if task in tasks else []
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
