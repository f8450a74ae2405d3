"""bfloat16 at a recipe's length: `glow_mnist`'s recipe beside the zoo's entry, in float32.

    python benchmarks/precision.py RUN_FOLDER [--output benchmarks/precision.md]

Training takes half an hour of a core and resumes in its folder. A finished run is only measured.
"""

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

import _harness
import numpy as np

NAME = "glow_mnist"
NUM_DRAWS, ROUNDS, STEPS = 2, 6, 10

TEXT = """\
# bfloat16 at a recipe's length

Written by `python benchmarks/precision.py RUN_FOLDER`.

The recipe of `{name}` ({steps:,} steps of {batch} images), trained with `mixed_bfloat16`
({seconds:.0f} s, beside other work), and the zoo's entry, trained with the same recipe in float32.
Bits per dimension of the {examples:,} test images (8 bits, uniform dequantisation, {draws} draws,
the same noise for all); the difference is that to the first row, with the standard error of its
mean over the images. The entry's weights are rounded to 16 significant bits.

{likelihoods}

A training step of the recipe's batch, {threads} threads: lower quartile (median) in milliseconds of
{calls} steps, over {rounds} rounds in which the two take turns. {arithmetic}

{times}

{versions}
"""


def likelihoods(flows, x):
    """The first table."""
    from tfflows import evaluate

    bits = math.prod(x.shape[1:]) * math.log(2)
    found = {
        name: -evaluate.log_weights(flow, x, num_draws=NUM_DRAWS).mean(0) / bits
        for name, flow in flows.items()
    }
    first, rows = next(iter(found.values())), []
    for name, values in found.items():
        row = [name, f"{values.mean():.4f} ± {standard_error(values):.4f}"]
        difference = values - first
        is_other = np.any(difference)
        change = f"{difference.mean():+.4f} ± {standard_error(difference):.4f}"
        rows.append([*row, change if is_other else ""])
    return _harness.table(["", "bits/dim", "difference"], rows)


def standard_error(values):
    return values.std(ddof=1) / math.sqrt(len(values))


def step_times(recipe, data):
    """The second table, of new flows."""
    from tfflows.training import FusedAdamW

    x, steps = data.train.x[: recipe.batch_size], {}
    for precision in ("float32", "mixed_bfloat16"):
        flow = recipe.replace(precision=precision).build_flow(data)
        flow.compile(FusedAdamW(1e-5))
        flow.adapt(data.train.x[:256])
        flow.train_on_batch(x)
        steps[precision] = lambda flow=flow: flow.train_on_batch(x)
    times = {precision: [] for precision in steps}
    for _ in range(ROUNDS):
        for precision, step in steps.items():
            for _ in range(STEPS):
                start = time.perf_counter()
                step()
                times[precision].append(1e3 * (time.perf_counter() - start))
    rows, first = [], None
    for precision, values in times.items():
        low, middle = np.percentile(values, [25, 50])
        first = first or low
        rows.append([precision, f"{low:.1f} ({middle:.1f})", f"{first / low:.2f}"])
    return _harness.table(["networks", "step", "speed"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    import keras
    import tensorflow as tf

    import zoo
    from tfflows.training import train

    recipe = zoo.recipe(NAME).replace(precision="mixed_bfloat16")
    data = recipe.load_data()
    trained = train(recipe, args.folder, data)
    in_float32 = recipe.replace(precision="float32").build_flow(data)
    in_float32.set_weights(trained.get_weights())
    flows = {
        "float32": zoo.load(NAME),
        "trained and evaluated in bfloat16": trained,
        "trained in bfloat16, evaluated in float32": in_float32,
    }
    text = TEXT.format(
        name=NAME,
        steps=recipe.epochs * (len(data.train) // recipe.batch_size),
        batch=recipe.batch_size,
        seconds=json.loads((args.folder / "run.json").read_text())["seconds"],
        examples=len(data.test),
        draws=NUM_DRAWS,
        likelihoods=likelihoods(flows, data.test.x),
        threads=os.cpu_count(),
        calls=ROUNDS * STEPS,
        rounds=ROUNDS,
        arithmetic=_harness.bfloat16_instructions(),
        times=step_times(recipe, data),
        versions=f"TensorFlow {tf.__version__}, Keras {keras.__version__}, Python "
        f"{sys.version.split()[0]}. {_harness.cpu_info('model name')}, {os.cpu_count()} CPUs.",
    )
    args.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
