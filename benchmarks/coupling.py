"""Speed of an affine RealNVP beside TFP, nflows and zuko.

    python benchmarks/coupling.py [--rounds N] [--threads N] [--output benchmarks/coupling.md]

How it measures: `_harness.py`. What it measures: `_coupling.py`.
"""

from pathlib import Path

import _coupling
import _harness

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


def report(args, facts, results):
    """The markdown file."""
    log_dets = ", ".join(f"{fact['log_det']:.1f}" for fact in facts.values())
    text = INTRODUCTION.format(
        rounds=args.rounds,
        couplings=_coupling.COUPLINGS,
        dim=_coupling.DIM,
        hidden=" and ".join(map(str, _coupling.HIDDEN)),
        batch=_coupling.BATCH,
        counts=" / ".join(str(args.rounds * (count - 1)) for _, count in TASKS.values()),
        ours=OURS,
        log_dets=log_dets,
    )
    head = [cell for title, _ in TASKS.values() for cell in (title, "ratio")]
    rows = []
    for name, fact in facts.items():
        row = [name, f"{fact['parameters']:,}"]
        for task in TASKS:
            row += _harness.cells(results, name, task, OURS)
        rows.append([*row, f"{fact['round_trip']:.0e}", f"{fact['density']:.0e}"])
    table = _harness.table(["", "parameters", *head, "round trip", "density"], rows)
    return f"{text}\n{table}\n\n{_harness.machine(facts, args.threads)}\n"


def main():
    output = Path(__file__).with_suffix(".md")
    args = _harness.arguments(__doc__.splitlines()[0], output, rounds=20)
    facts, results = _harness.run("_coupling", list(_coupling.CONTENDERS), TASKS, args)
    args.output.write_text(report(args, facts, results))
    print(args.output.read_text())


if __name__ == "__main__":
    main()
