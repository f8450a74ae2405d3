"""Speed and memory of a Glow beside normflows and TFP, and their growth with its depth.

    python benchmarks/glow.py [--rounds N] [--threads N] [--output benchmarks/glow.md]

How it measures: `_harness.py`. What it measures: `_glow.py`.
"""

from pathlib import Path

import _glow
import _harness

TASKS = {"train": ("training step", 4), "log_prob": ("log_prob", 6), "sample": ("sampling", 6)}
TRAINING = {"train": TASKS["train"]}
# Where bfloat16 is emulated a call takes seconds; one is then enough in a turn.
SECONDS = 2.0

INTRODUCTION = """\
# Glow: speed and memory beside normflows and TFP

Written by `python benchmarks/glow.py --rounds {rounds}`.

Glow of {side}x{side}x{channels} images: L = {levels} levels of K = {steps} steps, each an
actnorm, a 1x1 convolution with LU weights and an affine coupling (scale sigmoid(h + 2)),
conditioned by 3x3, 1x1 and 3x3 convolutions of width {width}; batches of {batch}. A training step
is the mean negative log-likelihood, its gradient and an update by Adam: Keras's for tfflows, the
fused kernel for the others. PyTorch evaluates and samples without autograd. Kernels start random,
actnorms from the batch.

What differs: in tfflows (`prior="convolution"`) and TFP (`tfb.Glow`), a 3x3 convolution of the
part that goes on predicts the mean and scale of the part that is factored out; normflows
(`GlowBase`) learns them per channel, and does not have this convolution. The coarsest part's mean
and scale are learned per position by tfflows and per channel by normflows, and fixed by TFP.
normflows returns the samples' log_prob too. A matrix is stored as two by tfflows and normflows,
as one by TFP.

In the rows "bfloat16" tfflows computes the couplings' networks in bfloat16, and their last layers
and all else in float32; normflows is under `torch.autocast`, which computes the 1x1 convolutions in
bfloat16 too, and with them what they hand on and the log-dets. TFP is in float32 alone: building
its Glow takes minutes. {arithmetic}

Milliseconds a call: lower quartile (median) of up to {counts} calls, over {rounds} rounds in
which the contenders take turns; a turn ends after {seconds:.0f} s. The ratio is that of the lower
quartiles to the row "tfflows" of the same precision, which is a plain `tf.function`: above 1,
ours is faster. "tfflows, `fit`" is one step of Keras's own training function, with its data
iterator and its metric.

"Peak memory" is the largest resident memory (VmHWM) of the contender's process during its first
training steps, less the resident memory after the imports ({imports}): weights, Adam's slots,
graph, activations and the libraries' scratch. "First step" is the time from the end of the
imports to the end of the first training step: building, actnorms' start and tracing.

"Round trip" is the largest |x' - x| through inverse and forward, x in [-0.5, 0.5); "log-dets" the
largest |sum| of the two directions' log-dets, in nats; "density" is the difference, in nats,
between log_prob and the base density plus the log-det of the autodiff Jacobian (which in bfloat16
is not exact itself), of one {small_side}x{small_side}x{channels} image in a Glow of K =
{small_steps} and width {small_width}, where that log-det is {log_dets}.
"""

GROWTH = """\
## Growth with depth

Training steps of tfflows as above (float32, plain `tf.function`), by the number K of steps a
level; the ratio is to K = 4.
"""


def introduction(args, facts):
    """The text above the table."""
    imports = {name.split(",")[0]: fact["imports"] for name, fact in facts.items()}
    log_dets = [f"{fact['log_det']:.0f}" for fact in facts.values() if "log_det" in fact]
    return INTRODUCTION.format(
        rounds=args.rounds,
        channels=_glow.CHANNELS,
        levels=_glow.LEVELS,
        batch=_glow.BATCH,
        **_glow.SIZE,
        **{f"small_{key}": value for key, value in _glow.SMALL.items()},
        arithmetic=_harness.bfloat16_instructions("PyTorch emulates it, slowly, and "),
        counts=" / ".join(str(args.rounds * (count - 1)) for _, count in TASKS.values()),
        seconds=SECONDS,
        imports=", ".join(f"{name} {value:.0f} MB" for name, value in imports.items()),
        log_dets=", ".join(log_dets),
    )


def beginning(fact):
    """Memory and time of a contender's start."""
    return [f"{fact['peak']:.0f} MB", f"{fact['first_step']:.1f} s"]


def peers(facts, results):
    """The first table."""
    head = [cell for title, _ in TASKS.values() for cell in (title, "ratio")]
    errors = {"round_trip": "round trip", "log_det_sum": "log-dets", "density": "density"}
    rows = []
    for group in (_glow.FLOAT32, _glow.BFLOAT16):
        reference = next(iter(group))
        for name in group:
            row = [name, f"{facts[name]['parameters']:,}"]
            for task in TASKS:
                row += _harness.cells(results, name, task, reference)
            row += beginning(facts[name])
            exact = [f"{facts[name][key]:.0e}" if key in facts[name] else "" for key in errors]
            rows.append([*row, *exact])
    head = ["", "parameters", *head, "peak memory", "first step", *errors.values()]
    return _harness.table(head, rows)


def growth(facts, results):
    """The second table."""
    reference = next(iter(facts))
    rows = []
    for name, fact in facts.items():
        row = [name, f"{fact['parameters']:,}"]
        row += _harness.cells(results, name, "train", reference)
        rows.append([*row, *beginning(fact)])
    head = ["", "parameters", "training step", "ratio", "peak memory", "first step"]
    return _harness.table(head, rows)


def main():
    output = Path(__file__).with_suffix(".md")
    args = _harness.arguments(__doc__.splitlines()[0], output, rounds=6)
    names = [*_glow.FLOAT32, *_glow.BFLOAT16]
    facts, results = _harness.run("_glow", names, TASKS, args, SECONDS)
    depth_facts, depth_results = _harness.run("_glow", [*_glow.DEPTHS], TRAINING, args, SECONDS)
    parts = [
        introduction(args, facts),
        peers(facts, results),
        GROWTH,
        growth(depth_facts, depth_results),
        _harness.machine(facts, args.threads),
    ]
    args.output.write_text("\n\n".join(part.rstrip("\n") for part in parts) + "\n")
    print(args.output.read_text())


if __name__ == "__main__":
    main()
