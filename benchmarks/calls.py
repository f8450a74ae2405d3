"""Time of calls from plain Python, beside a `tf.function` and beside eager PyTorch.

    python benchmarks/calls.py [--rounds N] [--threads N] [--output benchmarks/calls.md]

How it measures: `_harness.py`. What it measures: `_calls.py`.
"""

import sys
from pathlib import Path

import _calls
import _harness

TASKS = {"log_prob": ("log_prob", 11), "sample": ("sampling", 11)}
GRAPH = {f"{task}_graph": settings for task, settings in TASKS.items()}

INTRODUCTION = """\
# Calls from plain Python

Written by `python benchmarks/calls.py --rounds {rounds}`.

`flow.log_prob(x)` and `flow.sample(n)` of entries of the zoo, called from plain Python as a user
would, the same within a `tf.function`, and PyTorch flows of the same size called eagerly, without
autograd, in float32. Examples a call: {batches}.

- realnvp_digits: 8 affine couplings of 64 dimensions, MLPs with hidden layers of 128 and 128 ReLU.
  nflows has the same couplings, but not the logit in front.
- glow_mnist: Glow of 28x28x1 images, 2 levels of 8 steps. normflows has the same levels, steps and
  widths, but not the networks that predict the mean and scale of what is factored out.
- ffjord_pinwheel: zuko integrates the same network with the same weights, with the same tolerances
  (1e-6) and an exact trace, but not the standardization of the data.
- residual_flow_digits: 8 residual blocks of 64 dimensions, hidden layers of 128 and 128 LipSwish.
  normflows has the same kernels, and no biases. The entry computes log-dets exactly and inverts in
  float64 to 1e-9; normflows estimates them with 20 terms and a roulette, and ends fixed
  points in float32, at 1e-5 of the squared step, which is a step of 0.003. One row is the entry
  with that estimator and that tolerance; another is normflows in float64 with fixed points that end
  at 1e-9, as the entry's do (its log-dets stay estimates).

Milliseconds a call: lower quartile (median) of {counts} calls, over {rounds} rounds in which the
contenders take turns. The ratio is that of the lower quartiles to the `tf.function`'s.
"""

FIRST = """\
## First calls

Seconds of `zoo.load` and of the first two calls in a new process: `log_prob` of 16 examples (of
pixels, if it is an image flow), then `sample` of 16. One process an entry, one after the other.
"""


def warm(args):
    """The rows of the first table, and what is known about the contenders."""
    rows, known = [], {}
    for entry, peer in _calls.PEERS.items():
        ours = f"tfflows, {entry}"
        names = [ours, *(f"{name}, {entry}" for name in peer)]
        facts, results = _harness.run("_calls", names, {**TASKS, **GRAPH}, args)
        known |= facts
        for name in names:
            row = [name, f"{facts[name]['parameters']:,}"]
            for task, graph in zip(TASKS, GRAPH, strict=True):
                row += ratio_cells(results[name, task], results[ours, graph])
            rows.append(row)
        row = [f"{ours}, in a `tf.function`", ""]
        for graph in GRAPH:
            row += [ratio_cells(results[ours, graph], results[ours, graph])[0], ""]
        rows.append(row)
    return rows, known


def ratio_cells(seconds, reference):
    """As `_harness.cells`, of two lists of seconds."""
    return _harness.cells({("", ""): seconds, ("reference", ""): reference}, "", "", "reference")


def first(args):
    """The rows of the second table."""
    rows = []
    for name in _calls.FIRST:
        print(f"starting {name}", file=sys.stderr)
        worker = _harness.Worker("_calls", name, args.threads)
        seconds = [worker.ask("built"), *worker.ask("log_prob"), *worker.ask("sample")]
        worker.process.stdin.close()
        worker.process.wait()
        rows.append([name.removeprefix("tfflows, first "), *(f"{value:.2f}" for value in seconds)])
    return rows


def report(args, rows, known, first_rows):
    """The markdown file."""
    batches = ", ".join(f"{entry} {batch}" for entry, batch in _calls.BATCHES.items())
    text = INTRODUCTION.format(
        rounds=args.rounds,
        batches=batches,
        counts=" / ".join(str(args.rounds * (count - 1)) for _, count in TASKS.values()),
    )
    head = [cell for title, _ in TASKS.values() for cell in (title, "ratio")]
    calls = _harness.table(["", "parameters", *head], rows)
    firsts = _harness.table(["entry", "load", "log_prob", "sample"], first_rows)
    machine = _harness.machine(known, args.threads)
    return f"{text}\n{calls}\n\n{FIRST}\n{firsts}\n\n{machine}\n"


def main():
    output = Path(__file__).with_suffix(".md")
    args = _harness.arguments(__doc__.splitlines()[0], output, rounds=10)
    first_rows = first(args)
    rows, known = warm(args)
    args.output.write_text(report(args, rows, known, first_rows))
    print(args.output.read_text())


if __name__ == "__main__":
    main()
