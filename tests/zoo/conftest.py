"""Two tiny entries, trained and published once, and a fresh registry for every test."""

import os

import numpy as np
import pytest

import zoo
from tfflows.training import Recipe, train
from zoo import catalog
from zoo.publishing import round_weights


def silent(line):
    """Takes the lines of progress."""


def train_as_published(recipe, folder):
    """The trained flow with the weights that its entry will have."""
    flow = train(recipe, folder, write=silent)
    round_weights(flow)
    return flow


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """Path of 2-D points in a file; the test split is what `tfflows.data.load` draws."""
    x = np.random.default_rng(0).normal(size=(400, 2)).astype("float32")
    x[:, 1] = 0.5 * x[:, 1] + x[:, 0] ** 2
    path = tmp_path_factory.mktemp("data") / "table.npz"
    np.savez(path, x=x)
    return path


@pytest.fixture(scope="session")
def run(table, tmp_path_factory):
    """Folder of a finished run, and the flow that it returned."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    config = {"num_couplings": 2, "hidden": [8]}
    recipe = Recipe("RealNVP", str(table), config, epochs=2, batch_size=64, learning_rate=0.01)
    return folder, train_as_published(recipe, folder)


@pytest.fixture(scope="session")
def published(run, tmp_path_factory):
    """Folder of the entry of that run; never changed by a test."""
    folder = tmp_path_factory.mktemp("entries") / "tiny"
    return zoo.publish(run[0], "tiny", "A tiny flow of made-up points.", folder=folder)


@pytest.fixture(scope="session")
def image_run(tmp_path_factory):
    """Folder of a finished run on labelled images, its flow and its file of images."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(1)
    y = rng.integers(3, size=200)
    x = rng.integers(0, 6, size=(200, 4, 4)) + 5 * y[:, None, None]
    np.savez(folder / "blocks.npz", x=x.astype("uint8"), y=y)
    recipe = Recipe(
        "NICE",
        str(folder / "blocks.npz"),
        {"num_couplings": 2, "hidden": [8]},
        conditional=True,
        epochs=1,
        batch_size=64,
    )
    return folder / "run", train_as_published(recipe, folder / "run")


@pytest.fixture(autouse=True)
def fresh_registry(monkeypatch):
    """What one test registers no other test finds; no weights come from the surroundings."""
    monkeypatch.setattr(catalog, "_registered", {})
    for name in ("TFFLOWS_ZOO", "TFFLOWS_ZOO_URL", "TFFLOWS_DATA"):
        if name in os.environ:
            monkeypatch.delenv(name)


@pytest.fixture
def tiny(published):
    """Name of the registered entry."""
    zoo.register("tiny", published)
    return "tiny"
