"""Speed and accuracy of a continuous flow beside TFP, zuko and torchdiffeq.

    python benchmarks/ffjord.py [--rounds N] [--threads N] [--output benchmarks/ffjord.md]

How it measures: `_harness.py`. What it measures: `_ffjord.py`.
"""

from pathlib import Path

import _ffjord
import _harness

TASKS = {"train": ("training step", 4), "log_prob": ("log_prob", 6), "sample": ("sampling", 6)}
# The exact trace of 64 dimensions is measured in no task, but peers take seconds for others.
SECONDS = 6.0

INTRODUCTION = """\
# Continuous flows: speed and accuracy beside TFP, zuko and torchdiffeq

Written by `python benchmarks/ffjord.py --rounds {rounds}`.

dz/dt = f(z, t) over [0, 1], f a concat-squash MLP with hidden layers of {hidden} and tanh, of the
same random weights everywhere, started far from the identity; float32, batches of {batch},
Dormand-Prince with relative and absolute tolerance {tolerance:g}, the exact trace at D = 2 and
Hutchinson's with one draw at D = 64. A training step is the mean negative log-likelihood, its
gradient and an update by Adam: Keras's for tfflows and TFP, the fused kernel for the others.
tfflows solves the adjoint equation with ten times the tolerance, "adjoint as tight" with the same,
as TFP, zuko (adaptive checkpoints) and torchdiffeq do; "no adjoint" is autograd through the
solver's steps. "rk4" makes 8 fixed steps.

Milliseconds a call: lower quartile (median) of up to {counts} calls, over {rounds} rounds in which
the contenders take turns; a turn ends after {seconds:.0f} s. The ratio is that of the lower
quartiles to the row "tfflows" of the same D: above 1, ours is faster. NFE are the evaluations of f
in one training step / log_prob / sampling, counted as f is called. "First step" is the time from
the end of the imports to the end of the first training step: building and tracing.

Errors are the largest of {compared} examples, with the exact trace at both D, against SciPy's
DOP853 at 1e-9 in float64; that of the gradient is relative, against the library's own at 1e-9 in
float64 (TFP's: tfflows'), at D = 2.
"""


def table(facts, results, dim):
    """The contenders of one dimension."""
    reference = f"tfflows, D = {dim}"
    head = [cell for title, _ in TASKS.values() for cell in (title, "ratio")]
    head = [f"D = {dim}", *head, "NFE", "first step", "z error", "log-det error", "gradient error"]
    rows = []
    for library in _ffjord.LIBRARIES:
        name = f"{library}, D = {dim}"
        fact, row = facts[name], [library]
        for task in TASKS:
            row += _harness.cells(results, name, task, reference)
        row.append(" / ".join(str(fact[f"nfe_{task}"]) for task in TASKS))
        row += [f"{fact['first_step']:.1f} s", f"{fact['z_error']:.0e}"]
        row.append(f"{fact['log_det_error']:.0e}")
        rows.append([*row, f"{fact['gradient_error']:.0e}" if "gradient_error" in fact else ""])
    return _harness.table(head, rows)


def main():
    output = Path(__file__).with_suffix(".md")
    args = _harness.arguments(__doc__.splitlines()[0], output, rounds=4)
    facts, results = _harness.run("_ffjord", [*_ffjord.CONTENDERS], TASKS, args, SECONDS)
    introduction = INTRODUCTION.format(
        rounds=args.rounds,
        hidden=", ".join(map(str, _ffjord.HIDDEN)),
        batch=_ffjord.BATCH,
        tolerance=_ffjord.TOLERANCE,
        counts=" / ".join(str(args.rounds * (count - 1)) for _, count in TASKS.values()),
        seconds=SECONDS,
        compared=_ffjord.COMPARED,
    )
    tables = [table(facts, results, dim) for dim in _ffjord.DIMS]
    parts = [introduction.rstrip("\n"), *tables, _harness.machine(facts, args.threads)]
    args.output.write_text("\n\n".join(parts) + "\n")
    print(args.output.read_text())


if __name__ == "__main__":
    main()
