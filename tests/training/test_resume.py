"""Runs that are killed go on from the last whole epoch, wherever the kill hits."""

import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from training_runs import mean_nll, read_log, read_summary, silent, tiny_data, tiny_recipe

import tfflows
from tfflows.layers import AdditiveCoupling, Chain, Reverse, Stack
from tfflows.training import train

ROOT = Path(tfflows.__file__).parents[1]
RECIPE = tiny_recipe(epochs=4)
# Five steps an epoch: the kill hits in the middle of the third.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from training_runs import silent, tiny_data
from tfflows import training

steps = []

def on_train_batch_end(self, batch, logs=None):
    steps.append(batch)
    if len(steps) == 13:
        os.kill(os.getpid(), signal.SIGKILL)

training.Progress.on_train_batch_end = on_train_batch_end
folder = Path(sys.argv[2])
training.train(training.Recipe.from_file(folder / "recipe.json"), folder, tiny_data(), silent)
"""


class Killed(BaseException):
    """Nothing in the code under test catches it, as nothing catches a SIGKILL."""


def check(folder, flow, data):
    """All that must hold of a run that was killed and then came to its end."""
    log, summary = read_log(folder), read_summary(folder)
    assert [row["epoch"] for row in log] == list(range(RECIPE.epochs))
    losses = [row["val_nll"] for row in log]
    assert summary["epochs"] == RECIPE.epochs
    assert summary["best_epoch"] == 1 + losses.index(min(losses))
    # The weights are those of the epoch that the log says is the best.
    assert mean_nll(flow, data.validation) == pytest.approx(min(losses), abs=1e-4)


@pytest.mark.slow
def test_sigkill_in_the_middle_of_an_epoch(tmp_path):
    RECIPE.to_file(tmp_path / "recipe.json")
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [row["epoch"] for row in read_log(tmp_path)] == [0, 1]
    assert not (tmp_path / "run.json").exists()
    whole = (tmp_path / "log.csv").read_text()

    lines, data = [], tiny_data()
    flow = train(RECIPE, tmp_path, data, lines.append)
    assert [line.split("epoch ")[1][:3] for line in lines if "epoch " in line] == ["3/4", "4/4"]
    assert (tmp_path / "log.csv").read_text().startswith(whole)
    check(tmp_path, flow, data)
    # Weights, optimizer, learning rate and order of the data go on from where they were.
    train(RECIPE, tmp_path / "unbroken", data, silent)
    for row, expected in zip(read_log(tmp_path), read_log(tmp_path / "unbroken"), strict=True):
        for name in ("nll", "val_nll"):
            assert row[name] == pytest.approx(expected[name], rel=1e-5)
    assert read_summary(tmp_path)["best_epoch"] == 4
    assert int(flow.optimizer.iterations) == 4 * 5


@pytest.mark.slow
def test_best_is_not_overwritten_by_a_worse_epoch_after_resuming(tmp_path):
    data = tiny_data(validation_bend=-1)

    def stop(line):
        if "epoch 3/" in line:
            raise Killed

    with pytest.raises(Killed):
        train(RECIPE, tmp_path, data, stop)
    best = (tmp_path / "best.weights.h5").read_bytes()
    flow = train(RECIPE, tmp_path, data, silent)
    assert (tmp_path / "best.weights.h5").read_bytes() == best
    assert read_summary(tmp_path)["best_epoch"] == 1
    check(tmp_path, flow, data)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [None, "in epoch 2", "at the end"])
def test_patience_ends_a_run_that_was_killed_as_one_that_was_not(tmp_path, monkeypatch, killed):
    recipe, lines = tiny_recipe(epochs=8, patience=2), []
    data = tiny_data(validation_bend=-1)  # the first epoch is the best one

    def write(line):
        lines.append(line)
        if killed == "in epoch 2" and "epoch 2/8" in line:
            raise Killed
        if killed == "at the end" and line.startswith("Training ended"):
            raise Killed

    if killed:
        with pytest.raises(Killed):
            train(recipe, tmp_path, data, write)
    train(recipe, tmp_path, data, lines.append)
    assert [row["epoch"] for row in read_log(tmp_path)] == [0, 1, 2]
    summary = read_summary(tmp_path)
    assert (summary["epochs"], summary["best_epoch"]) == (3, 1)
    assert lines[-1] == (
        "Training ended after epoch 3 of 8: the last 2, the recipe's patience, did not lower the "
        "validation nll."
    )
    assert (tmp_path / "report.md").is_file()


# Each epoch of this data is better than all before it, so it writes weights twice: the best ones,
# and those to resume from.
@pytest.mark.slow
@pytest.mark.parametrize("call", [3, 4])
def test_killed_while_weights_are_written(tmp_path, monkeypatch, call):
    data, calls = tiny_data(), []
    save_weights = keras.Model.save_weights

    def half(self, filepath, *args, **kwargs):
        save_weights(self, filepath, *args, **kwargs)
        calls.append(filepath)
        if len(calls) == call:
            content = Path(filepath).read_bytes()
            Path(filepath).write_bytes(content[: len(content) // 2])
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save_weights", half)
        with pytest.raises(Killed):
            train(RECIPE, tmp_path, data, silent)
    check(tmp_path, train(RECIPE, tmp_path, data, silent), data)


class Noisy(keras.layers.Layer):
    """A conditioner of a user's own, with two generators that it draws twice from each time."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generators = [keras.random.SeedGenerator(1), keras.random.SeedGenerator()]
        self.dense = keras.layers.Dense(2)

    def build(self, x_shape, context_shape=None):
        self.dense.build(x_shape)

    def compute_output_shape(self, x_shape, context_shape=None):
        return (*x_shape[:-1], 2)

    def call(self, x, context=None, training=False):
        if training:
            for generator in 2 * self.generators:
                x = x + keras.random.normal(keras.ops.shape(x), seed=generator)
        return self.dense(x)


def noisy_flow():
    keras.utils.set_random_seed(1)
    step = Chain([AdditiveCoupling(Noisy(), "half"), Reverse()])
    flow = tfflows.Flow(Chain([Stack(step, 2), AdditiveCoupling(Noisy(), "half")]), (4,))
    flow.compile(keras.optimizers.Adam(0.1), steps_per_execution=2)
    return flow


@pytest.mark.slow
def test_fit_with_the_backup_of_keras(tmp_path):
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    settings = {"batch_size": 8, "epochs": 4, "shuffle": False, "verbose": 0}
    unbroken = noisy_flow()
    nll = unbroken.fit(x, **settings).history["nll"]
    assert noisy_flow().fit(x, **settings).history["nll"] == nll

    def stop(epoch, logs=None):
        if epoch == 2:
            raise Killed

    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(Killed):
        killed = keras.callbacks.LambdaCallback(on_epoch_begin=stop)
        noisy_flow().fit(x, callbacks=[backup, killed], **settings)
    flow = noisy_flow()
    assert flow.fit(x, callbacks=[backup], **settings).history["nll"] == nll[2:]
    for weight, expected in zip(flow.weights, unbroken.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), expected.numpy())


def broken_off(epoch, recipe, folder, data, strategy=None):
    """A run that is broken off before the backup of an epoch, and started again."""

    def stop(line):
        if f"epoch {epoch}/" in line:
            raise Killed

    with pytest.raises(Killed):
        train(recipe, folder, data, stop, strategy)
    return train(recipe, folder, data, silent, strategy)


@pytest.mark.slow
def test_dropout_on_two_replicas_goes_on(tmp_path, two_replicas):
    recipe = RECIPE.replace(config={"num_couplings": 1, "hidden": [8], "dropout": 0.2})
    train(recipe, tmp_path / "unbroken", tiny_data(), silent, two_replicas)
    broken_off(3, recipe, tmp_path / "run", tiny_data(), two_replicas)
    for row, expected in zip(
        read_log(tmp_path / "run"), read_log(tmp_path / "unbroken"), strict=True
    ):
        assert row["nll"] == pytest.approx(expected["nll"], rel=1e-6)


@pytest.mark.slow
def test_inversion_that_missed_once_is_not_tried_again(tmp_path, monkeypatch):
    """Nor where it would not miss any more: the unbroken run did not go back to it either."""
    drifts = iter([0.0, 1.0, 0.0, 0.0, 0.0])
    module = sys.modules["tfflows.training.monitors"]
    monkeypatch.setattr(module, "round_trip_error", lambda *_: next(drifts))
    flow = broken_off(4, RECIPE.replace(memory="invert"), tmp_path, tiny_data())
    assert flow.memory == "checkpoint"
    assert [row["drift"] > 0 for row in read_log(tmp_path)] == [False, True, False, False]
