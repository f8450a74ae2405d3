"""Kills, lost workers, full disks, damaged files and exploding losses: nothing is lost."""

import dataclasses
import json
import math
import resource
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import build_flow
from training_runs import read_log, read_summary, silent, tiny_data, tiny_recipe
from workers import run_workers, start_workers, worker_environment

from tfflows import training
from tfflows.training import DivergedError, StopOnDivergence, train
from tfflows.training.files import _require_room, save_whole

RECIPE = tiny_recipe(epochs=4, ema_momentum=0.9)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Folder of a run of the recipe that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken")
    train(RECIPE, folder, tiny_data(), silent)
    return folder


def epochs_told(lines):
    """Of the lines of progress."""
    return [line.split("epoch ")[1][:3] for line in lines if line.startswith("[")]


def read_weights(folder) -> dict[str, np.ndarray]:
    arrays = {}
    with h5py.File(folder / "best.weights.h5") as file:
        file.visititems(
            lambda name, item: arrays.update({name: item[()]} if hasattr(item, "shape") else {})
        )
    return arrays


def assert_equal_runs(folder, expected, is_exact=False):
    """Losses of all epochs, and the weights, optimizer and average of the best one."""
    log, expected_log = read_log(folder), read_log(expected)
    assert len(log) == len(expected_log)
    for row, expected_row in zip(log, expected_log, strict=True):
        for name in ("epoch", "nll", "val_nll"):
            assert row[name] == pytest.approx(expected_row[name], rel=0 if is_exact else 1e-6)
    weights, expected_weights = read_weights(folder), read_weights(expected)
    assert [*weights] == [*expected_weights] and len(weights) > 10
    for name, value in weights.items():
        rtol, atol = (0, 0) if is_exact else (1e-5, 1e-6)
        np.testing.assert_allclose(value, expected_weights[name], rtol, atol)


@pytest.mark.slow
def test_ten_sigkills_at_random_moments(tmp_path):
    script = Path(__file__).with_name("killed_ten_times.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path],
        env=worker_environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    epochs = json.loads(done.stdout.splitlines()[-1])
    assert len(epochs) == 10 and epochs == sorted(epochs)
    # They hit in different epochs, and none when all was over.
    assert len({*epochs}) >= 4 and epochs[-1] < read_summary(tmp_path / "killed")["epochs"]
    assert_equal_runs(tmp_path / "killed", tmp_path / "unbroken", is_exact=True)
    assert not [*tmp_path.rglob("unfinished*")]


_WORKER = """
import os, signal, sys
from tfflows import training

recipe, folder, workers, index, last_step, what = sys.argv[1:]
training.set_workers(workers.split(","), int(index))
strategy = training.strategy()
steps = []

def on_train_batch_end(self, batch, logs=None):
    steps.append(batch)
    if len(steps) == int(last_step):
        if what == "diverges":
            raise training.DivergedError("its loss is not finite")
        os.kill(os.getpid(), signal.SIGKILL)

training.StopOnDivergence.on_train_batch_end = on_train_batch_end
flow = training.train(training.Recipe.from_file(recipe), folder, strategy=strategy)
print(strategy.num_replicas_in_sync, training.is_chief(strategy), flow.count_params())
"""


@pytest.fixture
def table(tmp_path):
    """A recipe in a file, whose data worker processes can read."""
    x = np.random.default_rng(0).normal(size=(500, 2)).astype("float32")
    x[:, 1] += x[:, 0] ** 2
    np.savez(tmp_path / "table.npz", x=x)
    recipe = tiny_recipe(data=str(tmp_path / "table.npz"))
    recipe.to_file(tmp_path / "recipe.json")
    return recipe


def worker_command(folder, last_steps=(0, 0), what="is killed"):
    """A worker trains into `folder / "run"`; at its last step, if not 0, this happens to it."""
    return lambda workers, index: [
        *(sys.executable, "-c", _WORKER, folder / "recipe.json", folder / "run"),
        *(workers, index, last_steps[index], what),
    ]


def last_lines_of_errors(processes):
    try:
        errors = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [error.splitlines()[-1] if error else "" for error in errors]


@pytest.mark.slow
def test_one_of_two_workers_is_killed_and_both_start_again(tmp_path, table):
    one = train(table, tmp_path / "one", write=silent)
    steps_per_epoch = int(one.optimizer.iterations) // table.epochs
    # In the middle of the second epoch.
    processes = start_workers(worker_command(tmp_path, (0, steps_per_epoch + 2)))
    last = last_lines_of_errors(processes)[0]
    assert processes[1].returncode == -signal.SIGKILL
    assert processes[0].returncode == 1
    assert last.startswith("ConnectionError: Training stopped in epoch 2, step")
    assert "another worker cannot be reached any more. Start all workers again" in last
    assert last.endswith("go on after epoch 1.")
    outputs = [output.splitlines() for output in run_workers(worker_command(tmp_path))]
    assert [lines[-1] for lines in outputs] == [
        f"2 True {one.count_params()}",
        f"2 False {one.count_params()}",
    ]
    # The chief reports, once, and the first epoch is not trained again.
    assert epochs_told(outputs[0]) == ["2/3", "3/3"]
    assert len(outputs[1]) == 1
    assert_equal_runs(tmp_path / "run", tmp_path / "one")


@pytest.mark.slow
def test_one_of_two_workers_diverges_and_both_start_again(tmp_path, table):
    for diverging, rate in ((1, table.learning_rate / 2), (0, table.learning_rate / 4)):
        last_steps = [3 * (index == diverging) for index in range(2)]
        processes = start_workers(worker_command(tmp_path, last_steps, "diverges"))
        last = last_lines_of_errors(processes)
        assert [process.returncode for process in processes] == [1, 1], last
        assert last[diverging].endswith(
            "DivergedError: Training diverged in epoch 1, step 3: its loss is not finite. Start "
            f"all workers again: Back to the end of epoch 0, with a learning rate of {rate:g}."
        )
    run_workers(worker_command(tmp_path))
    assert [rewind["after_epoch"] for rewind in read_summary(tmp_path / "run")["rewinds"]] == [0, 0]
    slow = dataclasses.replace(table, learning_rate=rate)
    train(slow, tmp_path / "slow", write=silent)
    assert_equal_runs(tmp_path / "run", tmp_path / "slow")


@pytest.mark.slow
def test_full_disk(tmp_path, unbroken):
    """The quota is one of the size of files; log and pictures are below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full_in_epoch_3(line):
        if "epoch 3/" in line:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))

    try:
        with pytest.raises(OSError, match="Training stopped in epoch 3, step 6: cannot") as caught:
            train(RECIPE, tmp_path, tiny_data(), full_in_epoch_3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    message = str(caught.value)
    assert "File too large. Called again, it goes on after epoch 2." in message
    assert "epoch_3.weights.h5: " in message and "\n" not in message
    assert not [*tmp_path.rglob("unfinished*")]
    train(RECIPE, tmp_path, tiny_data(), silent)
    assert_equal_runs(tmp_path, unbroken)


@pytest.mark.parametrize("name", ["glow", "nice"])
def test_as_much_room_is_asked_for_as_weights_take(name, tmp_path):
    for dtype in ("float32", "float64"):
        flow = build_flow(name, dtype)
        flow.compile(training.FusedAdamW(use_ema=True))
        flow.optimizer.build(flow.trainable_variables)
        save_whole(flow, tmp_path / "f.weights.h5")
        _require_room(flow, tmp_path / "room")
        taken = (tmp_path / "f.weights.h5").stat().st_size
        assert taken < (tmp_path / "room").stat().st_size < 4 * taken


class Killed(BaseException):
    """Nothing in the code under test catches it."""


def stopped_after_epoch_3(folder):
    """Backups of a run that was broken off."""

    def stop(line):
        if "epoch 4/" in line:
            raise Killed

    with pytest.raises(Killed):
        train(RECIPE, folder, tiny_data(), stop)
    backups = sorted((folder / "backup").iterdir())
    assert [path.name for path in backups] == ["epoch_2.weights.h5", "epoch_3.weights.h5"]
    return backups


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.slow
def test_truncated_backups(tmp_path, unbroken):
    second, third = stopped_after_epoch_3(tmp_path)
    truncate(third)
    lines = []
    train(RECIPE, tmp_path, tiny_data(), lines.append)
    assert f"The backup {third} is damaged, and the one before is used: " in lines[0]
    assert epochs_told(lines) == ["3/4", "4/4"]
    assert_equal_runs(tmp_path, unbroken)

    for path in stopped_after_epoch_3(tmp_path / "again"):
        truncate(path)
    with pytest.raises(OSError, match="All backups in .* are damaged; delete this folder"):
        train(RECIPE, tmp_path / "again", tiny_data(), silent)


@pytest.mark.slow
def test_an_exploding_loss_rewinds(tmp_path, monkeypatch):
    """A weight is set to a value, in the middle of the third epoch, that is finite but wild."""
    spoilt = []
    begin = training.Progress.on_epoch_begin

    def on_epoch_begin(self, epoch, logs=None):
        begin(self, epoch, logs)
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 2 and batch == 1 and not spoilt:
            spoilt.append(self.model.transform.layers[-1].mean)
            spoilt[0].assign(spoilt[0] + 30.0)

    monkeypatch.setattr(training.Progress, "on_epoch_begin", on_epoch_begin)
    monkeypatch.setattr(training.Progress, "on_train_batch_end", on_train_batch_end, raising=False)
    lines = []
    flow = train(tiny_recipe(epochs=4), tmp_path, tiny_data(), lines.append)
    (rewind,) = read_summary(tmp_path)["rewinds"]
    assert rewind["after_epoch"] == 2
    assert "diverged in epoch 3, step 5: its loss rose to " in rewind["reason"]
    assert "more than 10 nats a dimension" in rewind["reason"]
    assert any(
        "Back to the end of epoch 2, with a learning rate of 0.005" in line for line in lines
    )
    assert [row["epoch"] for row in read_log(tmp_path)] == [0, 1, 2, 3]
    assert float(flow.transform.layers[-1].mean[0]) < 5


@pytest.mark.slow
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_batch_that_is_not_finite_ends_the_run(tmp_path, monkeypatch, unbroken, value):
    """What the data hold is no reason to rewind; without that batch the run goes on."""
    module = sys.modules["tfflows.training.train"]
    batches = module.training_batches
    per_epoch = len(tiny_data().train) // RECIPE.batch_size

    def spoilt(*args):
        def spoil(i, x):
            return tf.where(i == 2 * per_epoch + 1, value * tf.ones_like(x), x)

        return batches(*args).enumerate().map(spoil)

    monkeypatch.setattr(module, "training_batches", spoilt)
    with pytest.raises(
        ValueError, match="stopped in epoch 3, step 2: real_nvp\\S* needs finite x"
    ) as caught:
        train(RECIPE, tmp_path, tiny_data(), silent)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "rewinds.json").exists()
    monkeypatch.undo()
    lines = []
    train(RECIPE, tmp_path, tiny_data(), lines.append)
    assert epochs_told(lines) == ["3/4", "4/4"]
    assert_equal_runs(tmp_path, unbroken)


def guard(lowest=math.inf, steps=300):
    callback = StopOnDivergence(num_dims=2, lowest=lowest)
    callback.set_params({"steps": steps})
    return callback


def feed(callback, losses):
    """One epoch: Keras hands on the means so far."""
    callback.on_epoch_begin(0)
    for i in range(len(losses)):
        mean = float(np.mean(losses[: i + 1]))
        callback.on_train_batch_end(i, {"loss": mean})


@pytest.mark.parametrize(
    ("lowest", "losses", "diverges"),
    [
        (math.inf, [5.0] * 100 + [24.9] * 100, False),  # 10 nats a dimension are 20
        (math.inf, [5.0] * 100 + [25.1] * 100, True),
        (math.inf, [5.0] + [25.3] * 99, True),  # higher than at the start
        (math.inf, [5.0] * 250 + [900.0], False),  # one batch alone
        (-30.0, [-9.9] * 100, True),  # than in an earlier part of the run
        (-30.0, [-10.1] * 100, False),
    ],
)
def test_when_a_loss_explodes(lowest, losses, diverges):
    if diverges:
        with pytest.raises(DivergedError, match="its loss rose to"):
            feed(guard(lowest), losses)
    else:
        feed(guard(lowest), losses)


def test_a_run_that_resumes_has_the_limit_of_the_unbroken_one():
    unbroken, logs = guard(), {}
    # The mean of the epoch is 4, that of its lowest steps 1.
    feed(unbroken, [7.0] * 150 + [1.0] * 150)
    unbroken.on_epoch_end(0, logs)
    assert logs == {"lowest_loss": pytest.approx(1.0)}
    for callback in (unbroken, guard(logs["lowest_loss"])):
        with pytest.raises(DivergedError, match="its loss rose to 22 nats from 1 at its lowest"):
            feed(callback, [22.0] * 100)


def test_short_epochs_explode_as_a_whole():
    callback = guard(steps=5)
    feed(callback, [1.0] * 5)
    with pytest.raises(DivergedError, match="from 1 at its lowest"):
        feed(callback, [1.0] * 4 + [111.0])
    with pytest.raises(DivergedError, match="not finite"):
        callback.on_train_batch_end(0, {"loss": math.nan})
    assert isinstance(callback, keras.callbacks.Callback)
