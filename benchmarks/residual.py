"""Speed and memory of a residual flow beside normflows.

    python benchmarks/residual.py [--rounds N] [--threads N] [--output benchmarks/residual.md]

How it measures: `_harness.py`. What it measures: `_residual.py`.
"""

from pathlib import Path

import _harness
import _residual

OURS = "tfflows"
TASKS = {"train": ("training step", 6), "log_prob": ("log_prob", 6), "sample": ("sampling", 6)}

INTRODUCTION = """\
# Residual flows: speed and memory beside normflows

Written by `python benchmarks/residual.py --rounds {rounds}`.

{blocks} residual blocks of {dim} dimensions, each an MLP with hidden layers of {hidden} (swish,
scaled to slopes of at most 1), a Lipschitz constant of at most {coefficient} in the 2-norm, and an
actnorm; float32, batches of {batch}; both libraries have the same kernels, whose norms reach the
bound. Log-dets in training: the roulette of {terms} terms and a geometric tail of mean 1, with the
Neumann series as gradient; in evaluation: {evaluation_terms} terms and such a tail. normflows' MLP
has an activation before its first layer, and its probes are normal where ours are signs.

A training step is the mean negative log-likelihood, its gradient and an update by Adam, and power
iteration: ours until it changes the singular vector by 1e-3, normflows' five steps. "Sampling"
computes no log-dets. normflows stops its inverse when the squared step is below 1e-5 times its
scale, which is a step of {loose:g}: the row "tolerance {loose:g}" is ours with that tolerance, the
first row ours as it is by default, to rounding. One row is normflows in float64, whose inverse ends
at {fine:g}, as ours does by default.

Milliseconds a call: lower quartile (median) of {counts} calls, over {rounds} rounds in which the
contenders take turns. The ratio is that of the lower quartiles to the row "{ours}" (for sampling of
normflows in float32, to ours with tolerance {loose:g}): above 1, ours is faster. "Peak memory" is
the largest resident memory of the process during its first training steps, less that after the
imports.

"Evaluations" is how often a block evaluates its MLP to invert it, in the mean over blocks, and
"inverse error" the largest |x' - x| through both directions. "Log-det" is the error of log_prob, as
evaluated, against the exact log-det by autodiff: mean ± standard error, and standard deviation, in
nats, of {compared} examples with {draws} draws each.
"""


def report(args, facts, results):
    """The markdown file."""
    loose = f"{OURS}, tolerance {_residual.LOOSE:g}"
    text = INTRODUCTION.format(
        rounds=args.rounds,
        blocks=_residual.BLOCKS,
        dim=_residual.DIM,
        hidden=" and ".join(map(str, _residual.HIDDEN)),
        coefficient=_residual.COEFFICIENT,
        batch=_residual.BATCH,
        terms=_residual.TERMS,
        evaluation_terms=_residual.EVALUATION_TERMS,
        loose=_residual.LOOSE,
        fine=_residual.FINE,
        counts=" / ".join(str(args.rounds * (count - 1)) for _, count in TASKS.values()),
        ours=OURS,
        compared=_residual.COMPARED,
        draws=_residual.DRAWS,
    )
    head = [cell for title, _ in TASKS.values() for cell in (title, "ratio")]
    head = ["", "parameters", *head, "peak memory", "evaluations", "inverse error", "log-det"]
    rows = []
    for name, fact in facts.items():
        row = [name, f"{fact['parameters']:,}"]
        for task in TASKS:
            is_loose = name.startswith("normflows") and f"{_residual.FINE:g}" not in name
            reference = loose if task == "sample" and is_loose else OURS
            row += _harness.cells(results, name, task, reference)
        log_det = f"{fact['bias']:.3f} ± {fact['bias_error']:.3f}, {fact['stddev']:.2f}"
        row += [f"{fact['peak']:.0f} MB", f"{fact['evaluations']:.1f}", f"{fact['error']:.0e}"]
        rows.append([*row, log_det])
    return f"{text}\n{_harness.table(head, rows)}\n\n{_harness.machine(facts, args.threads)}\n"


def main():
    output = Path(__file__).with_suffix(".md")
    args = _harness.arguments(__doc__.splitlines()[0], output, rounds=6)
    facts, results = _harness.run("_residual", [*_residual.CONTENDERS], TASKS, args)
    args.output.write_text(report(args, facts, results))
    print(args.output.read_text())


if __name__ == "__main__":
    main()
