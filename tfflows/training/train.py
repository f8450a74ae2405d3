"""Training from a recipe, into a folder that a killed run resumes from."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
from pathlib import Path

import keras

from tfflows import data as datasets
from tfflows import plots
from tfflows.data import Dataset
from tfflows.flow import Flow
from tfflows.training.callbacks import (
    Backup,
    BestWeights,
    Progress,
    SampleGrid,
    tensorboard_is_installed,
)
from tfflows.training.recipe import Recipe

BEST = "best.weights.h5"


def train(recipe: Recipe, folder, data: Dataset | None = None, write=print) -> Flow:
    """Train a flow and return it with the weights of its best epoch on the validation split.

    The folder gets `recipe.json`, `log.csv` (figures per epoch), `samples.png`,
    `best.weights.h5`, `run.json` (epochs, best epoch, wall time) at the end, and `tensorboard/`
    if TensorBoard is installed. Called again after a kill, it goes on from the last whole epoch;
    called again after the end, it only loads the result.

    Args:
        recipe: what to train and how.
        folder: of this run.
        data: instead of loading `recipe.data`.
        write: takes the lines of progress.

    Raises:
        ValueError: if the folder holds a run of another recipe, or as the data and flow do.
        OSError: if the folder cannot be written.
    """
    folder = _run_folder(folder, recipe)
    data = data or datasets.load(recipe.data)
    flow = recipe.build_flow(data)
    if not (folder / "run.json").is_file():
        _fit(recipe, folder, data, flow, write)
    flow.load_weights(folder / BEST)
    return flow


def _run_folder(folder, recipe: Recipe) -> Path:
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("permission denied")
    except OSError as error:
        raise OSError(
            f"Cannot write into the run folder {folder}: {error.strerror or error}."
        ) from error
    file = folder / "recipe.json"
    if file.is_file() and Recipe.from_file(file) != recipe:
        raise ValueError(
            f"The folder {folder} holds a run of another recipe; choose another folder, or delete "
            "this one to start anew."
        )
    recipe.to_file(file)
    return folder


def _fit(recipe, folder, data, flow, write):
    settings = {"batch_size": recipe.batch_size, "labels": recipe.conditional}
    batches = data.dataset("train", seed=recipe.seed, **settings)
    num_steps = recipe.epochs * (len(data.train) // recipe.batch_size)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(recipe.learning_rate, num_steps),
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.global_clipnorm,
    )
    # Biases and log-scales have no reason to be small.
    optimizer.exclude_from_weight_decay(
        var_list=[weight for weight in flow.trainable_weights if weight.name != "kernel"]
    )
    flow.compile(optimizer, jit_compile=recipe.jit_compile)
    if flow.transform.needs_adapt:
        # The whole training split knows the statistics better than its first batch.
        x, y = data.train
        flow.adapt(x, y if recipe.conditional else None, seed=recipe.seed)
    backup = Backup(folder / "backup")
    epochs_done = backup.restore(flow)
    log = folder / "log.csv"
    # A run killed between log and backup repeats that epoch.
    _write_log(log, [row for row in _read_log(log) if row["epoch"] < epochs_done])
    flow.fit(
        batches,
        validation_data=data.dataset("validation", **settings),
        initial_epoch=epochs_done,
        epochs=recipe.epochs,
        callbacks=[*_callbacks(recipe, folder, flow, write), backup],
        verbose=0,
        shuffle=False,
    )
    rows = _read_log(log)
    best_row = min(rows, key=lambda row: row["val_nll"])
    summary = {
        "epochs": len(rows),
        "best_epoch": int(best_row["epoch"]) + 1,
        "validation_nll": best_row["val_nll"],
        "seconds": round(sum(row["seconds"] for row in rows), 1),
    }
    (folder / "run.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(backup.folder)


def _callbacks(recipe, folder, flow, write):
    log_dir = folder / "tensorboard" if tensorboard_is_installed() else None
    log = folder / "log.csv"
    best = min((row["val_nll"] for row in _read_log(log)), default=math.inf)
    callbacks = [
        keras.callbacks.TerminateOnNaN(),
        Progress(write),
        BestWeights(folder / BEST, best),
        keras.callbacks.CSVLogger(log, append=True),
    ]
    if plots.can_draw(flow):
        every = max(1, recipe.epochs // 20)
        callbacks.append(SampleGrid(folder / "samples.png", every, log_dir))
    if log_dir is None:
        write("TensorBoard is not installed (pip install 'tfflows[tensorboard]'): no logs for it.")
    else:
        callbacks.append(keras.callbacks.TensorBoard(log_dir, write_graph=False))
    return callbacks


def _read_log(log: Path) -> list[dict[str, float]]:
    if not log.is_file():
        return []
    with open(log, newline="", encoding="utf-8") as lines:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]


def _write_log(log: Path, rows: list[dict[str, float]]):
    if not rows:
        log.unlink(missing_ok=True)
        return
    with open(log, "w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, rows[0])
        writer.writeheader()
        writer.writerows({**row, "epoch": int(row["epoch"])} for row in rows)
