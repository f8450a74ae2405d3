"""What the benchmarks share: contenders in processes of their own, turns, tables.

Only one contender works at a time. Each round asks all of them, in an order that rotates, for a few
calls of each task; the first call of each is not counted.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

# Tasks, as the functions here take them, are {name: (title, calls in a turn)}.


class Worker:
    """A contender of a module, in its own process."""

    def __init__(self, module, name, threads):
        self.name = name
        script = Path(__file__).with_name("_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, script, module, name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )

    def ask(self, task, count=1, seconds=math.inf):
        """The worker's answer to one line."""
        self.process.stdin.write(f"{task} {count} {seconds}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"The worker of {self.name} ended while it was asked for {task!r}; run _worker.py "
                "by hand to see its errors."
            )
        return json.loads(answer)


def arguments(description, output, rounds):
    """The command line that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=output)
    return parser.parse_args()


def run(module, names, tasks, args, seconds=math.inf):
    """Start the contenders, let them take turns, and end them.

    A contender answers after `seconds` at the latest, with fewer calls, if these are over between
    two calls of a turn.

    Returns:
        Facts of each contender, and the seconds of each call by contender and task.
    """
    workers, facts = {}, {}
    for name in names:
        print(f"starting {name}", file=sys.stderr)
        workers[name] = Worker(module, name, args.threads)
        facts[name] = prepare(workers[name], tasks, seconds)
    results = {(name, task): [] for name in names for task in tasks}
    for i in range(args.rounds):
        shift = i % len(names)
        for name in names[shift:] + names[:shift]:
            for task, (_, count) in tasks.items():
                calls = workers[name].ask(task, count, seconds)
                # The only call within the time is so long that a cold start does not matter.
                results[name, task] += calls[1:] or calls
        print(f"round {i + 1} of {args.rounds}", file=sys.stderr)
    for worker in workers.values():
        worker.process.stdin.close()
        worker.process.wait()
    return facts, results


def prepare(worker, tasks, seconds):
    """Compile and warm up; what there is to say about the contender."""
    built = worker.ask("built")
    first_step, memory = worker.ask("train", 1), {}
    for task, (_, count) in tasks.items():
        worker.ask(task, count, seconds)
        if task == "train":
            memory = worker.ask("memory")
    return {**worker.ask("describe"), **memory, "first_step": built + sum(first_step)}


def cells(results, name, task, reference):
    """Milliseconds a call, lower quartile and median, and how many times the reference's."""
    if not results[name, task]:
        return ["", ""]
    low, median = 1e3 * np.percentile(results[name, task], [25, 50])
    ratio = low / (1e3 * np.percentile(results[reference, task], 25))
    return [f"{low:.1f} ({median:.1f})", "" if name == reference else f"{ratio:.2f}"]


def table(head, rows):
    """A markdown table whose first column is text."""
    rows = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cpu_info(key):
    """What Linux says about the first processor, or an empty string."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    values = [line.split(":", 1)[1].strip() for line in lines if line.startswith(key)]
    return values[0] if values else ""


def bfloat16_instructions(comparison=""):
    """What the processor has for bfloat16, in a sentence; without, what the libraries do."""
    flags = cpu_info("flags").split()
    found = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags]
    if found:
        return f"This processor has instructions for bfloat16 ({', '.join(found)})."
    return (
        f"This processor has no instructions for bfloat16: {comparison}tfflows sums its "
        "convolutions in float32."
    )


def machine(facts, threads):
    """Versions and machine, in one line."""
    versions = "; ".join(dict.fromkeys(fact["version"] for fact in facts.values()))
    return (
        f"{versions}; Python {platform.python_version()}. "
        f"{cpu_info('model name') or platform.processor()}, {os.cpu_count()} CPUs, "
        f"{threads} threads each."
    )


def here(*versions):
    """Versions of what ran in this process, and the machine, in one line."""
    return (
        f"{', '.join(versions)}, Python {platform.python_version()}. "
        f"{cpu_info('model name') or platform.processor()}, {os.cpu_count()} CPUs."
    )
