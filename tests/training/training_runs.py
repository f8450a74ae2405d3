"""Tiny recipes, data and the readers of a run's folder that these tests share."""

import csv
import json

import numpy as np

from tfflows.data import Dataset, Split
from tfflows.training import Recipe


def tiny_recipe(**changes) -> Recipe:
    """Trains in well under a second once it is traced: 5 steps an epoch."""
    values = {
        "flow": "RealNVP",
        "data": "given",
        "config": {"num_couplings": 2, "hidden": [8]},
        "epochs": 3,
        "batch_size": 64,
        "learning_rate": 0.01,
    }
    return Recipe(**{**values, **changes})


def bananas(n: int, seed: int, bend: float = 1.0, num_dims: int = 3) -> Split:
    """Points whose second coordinate bends with the first, labelled by the first one's sign."""
    x = np.random.default_rng(seed).normal(size=(n, num_dims)).astype("float32")
    y = (x[:, 0] > 0).astype("int64")
    x[:, 1] = 0.3 * x[:, 1] + bend * (x[:, 0] ** 2 - 1)
    return Split(x, y)


def tiny_data(validation_bend: float = 1.0, num_dims: int = 3) -> Dataset:
    """With `validation_bend=-1`, every step of training makes the validation loss worse."""
    return Dataset(
        "bananas",
        "Made up.",
        bananas(320, 0, num_dims=num_dims),
        bananas(200, 1, validation_bend, num_dims),
        bananas(100, 2, num_dims=num_dims),
        None,
    )


def tiny_images(n: int = 96) -> Dataset:
    """4-bit images of 4 x 4 pixels: class 0 is bright above, class 1 below."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=n)
    x = rng.integers(0, 5, size=(n, 4, 4, 1)).astype("uint8")
    for label, rows in ((0, slice(0, 2)), (1, slice(2, 4))):
        x[y == label, rows] += 10
    split = Split(x, y.astype("int64"))
    return Dataset("stripes", "Made up.", split, split, split, 4)


def read_log(folder) -> list[dict]:
    with open(folder / "log.csv", newline="", encoding="utf-8") as lines:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]


def read_summary(folder) -> dict:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def mean_nll(flow, split: Split) -> float:
    """Recomputed from the flow's own log_prob, in one go."""
    return -float(np.mean(flow.log_prob(split.x, split.y if flow.is_conditional else None)))


def silent(line):
    """Takes the lines of progress."""
