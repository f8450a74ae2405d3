"""Conditional flows as posteriors of simulators whose posteriors are known: are they calibrated?

python benchmarks/calibration.py [NAME ...] [--output benchmarks/calibration.md]
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import _harness
import keras
import numpy as np
import tensorflow as tf

import tfflows
from tfflows.data.simulators import SIMULATORS

TEXT = """\
# Posteriors of simulators

Written by `python benchmarks/calibration.py`. A conditional flow learns the posterior of each of
`tfflows.data.simulators` from {number} simulations, and is measured on {tests:,} new ones (mean
negative log-density of the true parameters, in nats, with its standard error; the exact one of
`gaussian_linear` is a closed form, that of `two_moons` known up to the evidence of an observation,
which {draws:,} draws of its moon give).

{likelihoods}

Share of true parameters in the region of highest density of a level, of all dimensions together,
and the largest distance from the level of the central intervals of single parameters. By chance
alone a share is within {band:.3f} of its level, at all levels at once, in 95 of 100 cases.

{coverages}

{settings}

{machine}
"""
NUMBER, TESTS, BATCH, DRAWS = 100_000, 1000, 500, 2000
LEVELS = (0.25, 0.5, 0.75, 0.9, 0.95)
SETTINGS = """\
`gaussian_linear`: an affine MAF of 2 layers, one hidden layer of 64 units, 15 epochs. `two_moons`:
an NSF of 6 spline couplings of 16 bins, two hidden layers of 128 units, 30 epochs. Batches of 500,
Adam from 3e-3 down to 0 along half a cosine."""


def flow_of(name, size, context_dim):
    """The flow, and how many epochs it is trained."""
    if name == "gaussian_linear":
        return tfflows.MAF((size,), num_layers=2, hidden=(64,), context_dim=context_dim), 15
    settings = {"num_layers": 6, "hidden": (128, 128), "bins": 16}
    return tfflows.NSF((size,), context_dim=context_dim, **settings), 30


def exact_log_prob(name, parameters, observations):
    """The posterior's log-density, normalised."""
    simulator = SIMULATORS[name]
    log_prob = simulator.posterior_log_prob(parameters, observations)
    if name != "two_moons":
        return log_prob
    # Two parameters, mirrored at a diagonal, have the same moon, and the map keeps areas: the
    # evidence is the expected number of them within the prior, over moons that end here.
    rng = np.random.default_rng(2)
    moons = simulator.simulate(np.zeros([DRAWS, 2]), rng) - [0.25, 0.0]
    shift = observations[:, np.newaxis] - [0.25, 0.0] - moons
    total, difference = -shift[..., 0] * np.sqrt(2), shift[..., 1] * np.sqrt(2)
    inside = [
        (total >= 0)
        & (np.abs(sign * total - difference) <= 2)
        & (np.abs(sign * total + difference) <= 2)
        for sign in (1, -1)
    ]
    return log_prob - np.log(np.sum(inside, axis=(0, 2)) / DRAWS)


def measure(name):
    keras.utils.set_random_seed(0)
    simulator = SIMULATORS[name]
    parameters, observations = simulator.draw(NUMBER, seed=0)
    flow, epochs = flow_of(name, parameters.shape[1], observations.shape[1])
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * NUMBER // BATCH)
    flow.compile(keras.optimizers.Adam(rate))
    start = time.perf_counter()
    flow.fit(parameters, observations, batch_size=BATCH, epochs=epochs, verbose=0)
    seconds = time.perf_counter() - start
    parameters, observations = simulator.draw(TESTS, seed=1)
    found = -flow.log_prob(parameters, observations).numpy()
    exact = -exact_log_prob(name, parameters, observations)
    result = tfflows.evaluate.calibration(flow, parameters, observations)
    return found, exact, result, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", default=[*SIMULATORS])
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    likelihoods, coverages = [], []
    for name in args.names:
        found, exact, result, seconds = measure(name)
        cells = [f"{v.mean():.3f} ± {v.std(ddof=1) / TESTS**0.5:.3f}" for v in (found, exact)]
        likelihoods.append([name, *cells, f"{seconds:.0f}"])
        together = [f"{result.density_coverage(level):.3f}" for level in LEVELS]
        alone = [f"{np.max(np.abs(result.coverage(level) - level)):.3f}" for level in LEVELS]
        coverages += [[f"{name}, all", *together], [f"{name}, one", *alone]]
        print(likelihoods[-1], *coverages[-2:], sep="\n", flush=True)
    text = TEXT.format(
        number=f"{NUMBER:,}",
        tests=TESTS,
        draws=DRAWS,
        likelihoods=_harness.table(["", "flow", "exact", "seconds of training"], likelihoods),
        coverages=_harness.table(["", *map(str, LEVELS)], coverages),
        band=result.band(),
        settings=SETTINGS,
        machine=_harness.here(f"TensorFlow {tf.__version__}"),
    )
    if args.output:
        args.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
