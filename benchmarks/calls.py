"""What a call in plain Python costs: the second one beside `tf.function` and PyTorch, and the first.

    python benchmarks/calls.py [--rounds N] [--threads N] [--output benchmarks/calls.md]

How it measures: `_harness.py`. What it measures: `_calls.py`.
"""

import os
import sys
from pathlib import Path

import _calls
import _harness
import numpy as np

import zoo

# Calls in a turn.
COUNTS = {"realnvp_digits": 101, "glow_mnist": 11, "ffjord_pinwheel": 21}
COUNTS["residual_flow_digits"] = 11
TASKS = ("log_prob", "sample")
# Seconds within which the first call should end.
LIMIT, BIG = 2.0, {"glow_celeba": 4.0, "realnvp_celeba": 4.0}

INTRODUCTION = """\
# Calls in plain Python

Written by `python benchmarks/calls.py --rounds {rounds}`.

`flow.log_prob(x)` and `flow.sample(16)` as a user calls them, in plain Python: the library traces them
at the first call, behind the scenes.

## The second call

Entries of the zoo beside the same in a `tf.function` that the user made, and beside a flow of
PyTorch with layers of the same number and widths, called without autograd: nflows' affine couplings
for `realnvp_digits`, normflows' Glow for `glow_mnist` (whose latents of a level have a learned mean
and scale, where ours come from a network of width 32), zuko's continuous flow at the same tolerances
for `ffjord_pinwheel`, and normflows' residual flow for `residual_flow_digits` (whose log-det is a
series of a random number of terms, and its inverse's error some 1e-4, where ours computes the
log-det and inverts to 1e-7). The peers' weights are random. Batches of 16, to NumPy and back.

Milliseconds a call: lower quartile (median) of {counts} calls, over {rounds} rounds in which the
contenders take turns. The ratios are those of the lower quartiles, ours to the other's: below 1, ours
is faster.
"""
FIRST = """\
## The first call

Seconds, each in a process of its own that has imported the library and loaded the entry; in brackets
those of processor time. {n} examples as in the entry's reference tensors, 4 of images of faces.
The bound is {limit:g} s, and {big:g} s for faces.
"""


def second_calls(args):
    """Rows of the first table."""
    rows = []
    for entry, (library, _) in _calls.PEERS.items():
        print(f"starting {entry}", file=sys.stderr)
        names = [f"tfflows {entry}", f"{library} {entry}"]
        ours, theirs = (_harness.Worker("_calls", name, args.threads) for name in names)
        asked = [
            (ours, *TASKS),
            (ours, *(f"{task} in a function" for task in TASKS)),
            (theirs, *TASKS),
        ]
        facts = [worker.ask("describe") for worker in (ours, theirs)]
        seconds = {(i, task): [] for i in range(len(asked)) for task in TASKS}
        for k in range(args.rounds + 1):
            for i in np.roll(range(len(asked)), -k):
                worker, *tasks = asked[i]
                for task, name in zip(TASKS, tasks, strict=True):
                    calls = worker.ask(name, COUNTS[entry])
                    seconds[i, task] += calls[1:] if k else []  # the first round warms up
        for worker in (ours, theirs):
            worker.process.stdin.close()
            worker.process.wait()
        for task in TASKS:
            low = [1e3 * np.percentile(seconds[i, task], 25) for i in range(len(asked))]
            median = [1e3 * np.median(seconds[i, task]) for i in range(len(asked))]
            times = [f"{a:.2f} ({b:.2f})" for a, b in zip(low, median, strict=True)]
            rows.append(
                [
                    f"`{entry}`, {task}",
                    f"{facts[0]['parameters']:,}",
                    times[0],
                    times[1],
                    f"{low[0] / low[1]:.2f}",
                    f"{library}, {facts[1]['parameters']:,}",
                    times[2],
                    f"{low[0] / low[2]:.2f}",
                ]
            )
        yield facts, rows[-len(TASKS) :]


def first_calls(args):
    """Rows of the second table."""
    for entry in zoo.catalog.names("*", pretrained=True):
        print(f"first calls of {entry}", file=sys.stderr)
        row, limit = [f"`{entry}`"], BIG.get(entry, LIMIT)
        for task in TASKS:
            worker = _harness.Worker("_calls", f"tfflows {entry}", args.threads)
            worker.ask("built")
            before = _processor_time(worker.process.pid)
            (seconds,) = worker.ask(task)
            used = _processor_time(worker.process.pid) - before
            worker.process.stdin.close()
            worker.process.wait()
            row.append(f"{seconds:.2f} ({used:.2f}){'' if seconds <= limit else ' above'}")
        yield row


def _processor_time(pid):
    """Seconds that a process has used; Linux counts them."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return float("nan")
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def main():
    args = _harness.arguments(__doc__.splitlines()[0], Path(__file__).with_suffix(".md"), rounds=10)
    load = os.getloadavg()[0]
    facts, rows = {}, []
    for of_entry, of_tasks in second_calls(args):
        facts.update((fact["version"], fact) for fact in of_entry)
        rows += of_tasks
    head = ["", "parameters", "tfflows", "in a `tf.function`", "ratio", "peer, parameters"]
    counts = " / ".join(str(args.rounds * (COUNTS[entry] - 1)) for entry in _calls.PEERS)
    text = [
        INTRODUCTION.format(rounds=args.rounds, counts=counts),
        _harness.table([*head, "peer", "ratio"], rows),
        "",
        FIRST.format(n=_calls.EXAMPLES, limit=LIMIT, big=max(BIG.values())),
        _harness.table(["", *TASKS], list(first_calls(args))),
        "",
        f"Load of the machine before it started: {load:.1f}.",
        "",
        _harness.machine(facts, args.threads),
    ]
    args.output.write_text("\n".join(text) + "\n")
    print(args.output.read_text())


if __name__ == "__main__":
    main()
