"""Speed of autoregressive and spline flows beside nflows, normflows, zuko and flowjax.

    python benchmarks/families.py [--rounds N] [--threads N] [--output benchmarks/families.md]

How it measures: `_harness.py`. What it measures: `_families.py`.
"""

from pathlib import Path

import _families
import _harness

SECONDS = 20
TASKS = {"train": ("training step", 4), "log_prob": ("log_prob", 6), "sample": ("sampling", 3)}

INTRODUCTION = """\
# Autoregressive and spline flows: speed beside nflows, normflows, zuko and flowjax

Written by `python benchmarks/families.py --rounds {rounds}`.

{layers} layers, each with two hidden layers of {hidden} units, and a reversal of the dimensions
after each (zuko: of the order; flowjax: a permutation at random); standard normal base, float32,
batches of {batch}. MAF: masked networks, scale and shift. NSF-AR: masked networks,
rational-quadratic splines of {bins} bins within {bound:g} (zuko: within 5). NSF-C: the same
splines in couplings of alternating dimensions (flowjax: of halves). NAF: masked networks,
mixtures of {components} logistics, and zuko's a monotonic network of {components} hidden units
that all dimensions share, with as many outputs of the masked networks. nflows and normflows have
no activation behind the first of their masked layers; normflows' splines have residual networks
of other sizes, and are left out. A training step is the mean negative log-likelihood, its
gradient and an update by Adam, fused for tfflows (`tfflows.training.FusedAdamW`) and PyTorch,
optax's for flowjax. PyTorch evaluates and samples without autograd; flowjax runs compiled, by
`jax.jit`. Kernels start random.

Milliseconds a call: lower quartile (median) of up to {counts} calls, over {rounds} rounds in
which the contenders of a family take turns of at most {seconds} seconds a task. The ratio is that
of the lower quartiles to tfflows' row: above 1, ours is faster. tfflows runs as a plain
`tf.function`.

"Round trip" is the largest |x' - x| through inverse and forward; "density" is the difference, in
nats, between log_prob and the base density plus the log-det of the autodiff Jacobian, at one x.
"""


def rows_of(family, dim, args):
    """The rows of a family, and facts of its contenders."""
    names = _families.names(family, dim)
    facts, results = _harness.run("_families", names, TASKS, args, SECONDS)
    rows = []
    for name, fact in facts.items():
        row = [name, f"{fact['parameters']:,}"]
        for task in TASKS:
            row += _harness.cells(results, name, task, names[0])
        rows.append([*row, f"{fact['round_trip']:.0e}", f"{fact['density']:.0e}"])
    return rows, facts


def main():
    output = Path(__file__).with_suffix(".md")
    args = _harness.arguments(__doc__.splitlines()[0], output, rounds=5)
    rows, facts = [], {}
    for dim in _families.DIMS:
        for family in _families.FAMILIES:
            found, more = rows_of(family, dim, args)
            rows += found
            facts |= more
    text = INTRODUCTION.format(
        rounds=args.rounds,
        layers=_families.LAYERS,
        hidden=_families.HIDDEN,
        batch=_families.BATCH,
        bins=_families.BINS,
        bound=_families.BOUND,
        components=_families.COMPONENTS,
        seconds=SECONDS,
        counts=" / ".join(str(args.rounds * (count - 1)) for _, count in TASKS.values()),
    )
    head = [cell for title, _ in TASKS.values() for cell in (title, "ratio")]
    table = _harness.table(["", "parameters", *head, "round trip", "density"], rows)
    args.output.write_text(f"{text}\n{table}\n\n{_harness.machine(facts, args.threads)}\n")
    print(args.output.read_text())


if __name__ == "__main__":
    main()
