"""Speed of an affine RealNVP beside TFP, nflows and zuko.

    python benchmarks/coupling.py [--rounds N] [--threads N] [--output benchmarks/coupling.md]

Every contender lives in a process of its own and only one works at a time. Each round asks all of
them, in an order that rotates, for a few calls of each task; the first call of each is not counted.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import _contenders
import numpy as np

OURS = "tfflows"
TASKS = {"train": ("training step", 6), "log_prob": ("log_prob", 11), "sample": ("sampling", 11)}

INTRODUCTION = """\
# Affine couplings: speed beside TFP, nflows and zuko

Written by `python benchmarks/coupling.py --rounds {rounds}`.

{couplings} affine couplings (scale and shift) of {dim} dimensions, half masks whose roles
alternate, each conditioned by an MLP with hidden layers of {hidden} ReLU; standard normal
base, float32, batches of {batch}. A training step is the mean negative log-likelihood, its
gradient and an update by Adam: Keras's for tfflows, the fused kernel for the others. PyTorch
evaluates and samples without autograd. Kernels start random.

Milliseconds a call: lower quartile (median) of {counts} calls, over {rounds} rounds in
which the contenders take turns. The ratio is that of the lower quartiles to the row "{ours}",
which is a plain `tf.function`: above 1, ours is faster. "tfflows, `fit`" is one step of Keras's
own training function, with its data iterator and its metric.

"Round trip" is the largest |x' - x| through inverse and forward; "density" is the difference, in
nats, between log_prob and the base density plus the log-det of the autodiff Jacobian, at one x
where that log-det is {log_dets}.
"""


class Worker:
    """A contender in its own process."""

    def __init__(self, name, threads):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("_worker.py"), name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )

    def ask(self, task, count=1):
        """The worker's answer to one line."""
        self.process.stdin.write(f"{task} {count}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"The worker of {self.name} ended while it was asked for {task!r}; run _worker.py "
                "by hand to see its errors."
            )
        return json.loads(answer)


def measure(workers, rounds):
    """Seconds of each call, by contender and task."""
    seconds = {(name, task): [] for name in workers for task in TASKS}
    names = list(workers)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            for task, (_, count) in TASKS.items():
                seconds[name, task] += workers[name].ask(task, count)[1:]
        print(f"round {i + 1} of {rounds}", file=sys.stderr)
    return seconds


def cpu():
    """The processor's model, as far as the platform tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line for line in lines if "model name" in line]
    return models[0].split(":")[1].strip() if models else platform.processor()


def report(args, facts, seconds):
    """The markdown file."""
    log_dets = ", ".join(f"{fact['log_det']:.1f}" for fact in facts.values())
    text = INTRODUCTION.format(
        rounds=args.rounds,
        couplings=_contenders.COUPLINGS,
        dim=_contenders.DIM,
        hidden=" and ".join(map(str, _contenders.HIDDEN)),
        batch=_contenders.BATCH,
        counts=" / ".join(str(args.rounds * (count - 1)) for _, count in TASKS.values()),
        ours=OURS,
        log_dets=log_dets,
    )
    heads = [cell for title, _ in TASKS.values() for cell in (title, "ratio")]
    rows = [["", "parameters", *heads, "round trip", "density"]]
    rows.append(["---", *["---:"] * (len(rows[0]) - 1)])
    for name, fact in facts.items():
        row = [name, f"{fact['parameters']:,}"]
        for task in TASKS:
            if not seconds[name, task]:
                row += ["", ""]
                continue
            low, median = 1e3 * np.percentile(seconds[name, task], [25, 50])
            ratio = low / (1e3 * np.percentile(seconds[OURS, task], 25))
            row += [f"{low:.1f} ({median:.1f})", "" if name == OURS else f"{ratio:.2f}"]
        rows.append([*row, f"{fact['round_trip']:.0e}", f"{fact['density']:.0e}"])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    versions = "; ".join(dict.fromkeys(fact["version"] for fact in facts.values()))
    machine = f"{versions}; Python {platform.python_version()}. {cpu()}, {os.cpu_count()} CPUs, "
    return f"{text}\n{table}\n\n{machine}{args.threads} threads each.\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()

    workers, facts = {}, {}
    for name in _contenders.CONTENDERS:
        print(f"starting {name}", file=sys.stderr)
        workers[name] = Worker(name, args.threads)
        for task, (_, count) in TASKS.items():  # compiles, and warms up
            workers[name].ask(task, count)
        facts[name] = workers[name].ask("describe")
    seconds = measure(workers, args.rounds)
    for worker in workers.values():
        worker.process.stdin.close()
        worker.process.wait()
    args.output.write_text(report(args, facts, seconds))
    print(args.output.read_text())


if __name__ == "__main__":
    main()
