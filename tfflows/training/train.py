"""Training from a recipe, into a folder that a killed run resumes from."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import math
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from tfflows import plots
from tfflows.data import Dataset, Split
from tfflows.flow import Flow
from tfflows.layers import ResidualBlock
from tfflows.layers.parts import layers_of_kind
from tfflows.training.batches import distributed, in_parts, training_batches
from tfflows.training.callbacks import (
    Backup,
    BestWeights,
    Progress,
    SampleGrid,
    tensorboard_is_installed,
)
from tfflows.training.distribution import is_chief, wait_for_workers
from tfflows.training.files import held, write_whole
from tfflows.training.monitors import (
    DivergedError,
    DriftMonitor,
    GradientNorm,
    LatentHistogram,
    LipschitzBound,
    Patience,
    StepCounter,
    StopOnDivergence,
)
from tfflows.training.optimizer import FusedAdamW
from tfflows.training.recipe import Recipe
from tfflows.training.run_report import report_of_run
from tfflows.training.schedule import WarmupHoldDecay

BEST = "best.weights.h5"
_BACKUP = "backup"
_REWINDS = "rewinds.json"
_MOST_REWINDS = 3


def train(
    recipe: Recipe,
    folder: str | os.PathLike,
    data: Dataset | None = None,
    write: Callable[[str], None] = print,
    strategy: tf.distribute.Strategy | None = None,
) -> Flow:
    """Train a flow and return it with the weights of its best epoch on the validation split.

    The folder gets `recipe.json`, `log.csv` (figures per epoch), `samples.png`,
    `best.weights.h5`, at the end `run.json` (epochs, best epoch, wall time) and `report.md` (with
    `curves.png`), and `tensorboard/` if TensorBoard is installed. Called again after a kill, it
    goes on from the last whole epoch, and deletes what was left half-written; called again after
    the end, which may be that of the recipe's patience, it only loads the result.

    Where a loss is not finite or explodes (see `tfflows.training.StopOnDivergence`), training goes
    back to the last whole epoch and on with half the learning rate, up to three times;
    `rewinds.json` says so, and `run.json` has it at the end. Several workers end there, and do the
    same when they are started again.
    A recipe's pretraining is a run of its own in the folder `pretraining/`, whose time counts.

    Args:
        recipe: what to train and how.
        folder: of this run.
        data: instead of loading `recipe.data`.
        write: takes the lines of progress.
        strategy: where to train, see `tfflows.training.strategy`; the default is the one whose
            scope this is called in. Several workers share the folder: the chief writes it, all
            read the backup that they resume from.

    Raises:
        ValueError: if the replicas cannot share a batch equally, the folder holds a run of another
            recipe, training diverges once more after three rewinds, or as the data and flow do.
        DivergedError: if it diverges with several workers.
        OSError: if the folder cannot be written, another process trains into it, or the disk is
            full in the middle of the run.
        ConnectionError: if another worker cannot be reached any more.

    After an error nothing but the epoch that it happened in is lost: called again, all workers go
    on with it. A run that goes on is the unbroken one: the order of the data, flips, noise and what
    layers draw from a `keras.random.SeedGenerator` (dropout, say) follow from the recipe's seed and
    the number of the step, see `tfflows.Flow.fit`. On one device the parameters are the same bit by
    bit, where TensorFlow's kernels are deterministic.
    """
    strategy = strategy or tf.distribute.get_strategy()
    num_replicas = strategy.num_replicas_in_sync
    data = data or recipe.load_data()
    _require_fit(recipe, data, num_replicas)
    with strategy.scope():
        flow = recipe.build_flow(data)
    folder = _run_folder(folder, recipe, is_chief(strategy))
    with held(folder) if is_chief(strategy) else contextlib.nullcontext(True) as alone:
        if not alone and not (folder / "run.json").is_file():
            raise OSError(
                f"Another process trains into the folder {folder}: wait for its end, or choose "
                "another folder."
            )
        return _trained(recipe, folder, data, flow, write, strategy)


def _require_fit(recipe, data, num_replicas):
    """Say what of a recipe does not fit the data or the devices, before a folder is made."""
    if recipe.batch_size % num_replicas:
        raise ValueError(
            f"The recipe's batch_size is {recipe.batch_size}, which {num_replicas} replicas cannot "
            "share equally."
        )
    if len(data.train) < recipe.batch_size:
        raise ValueError(
            f"The recipe's batch_size is {recipe.batch_size}, but the training split of "
            f"{data.name!r} has only {len(data.train)} examples."
        )
    if recipe.gradient_accumulation > 1 and num_replicas > 1:
        raise ValueError(
            f"The recipe's gradient_accumulation is {recipe.gradient_accumulation}, but gradients "
            f"are accumulated on one device alone, and found {num_replicas} replicas."
        )
    _schedule(recipe, data)
    if recipe.pretraining is not None:
        _require_fit(recipe.first_recipe(), data, num_replicas)


def _steps_per_epoch(recipe, data) -> int:
    return recipe.passes_per_epoch * (len(data.train) // recipe.batch_size)


def _schedule(recipe, data, num_rewinds=0) -> WarmupHoldDecay:
    steps = _steps_per_epoch(recipe, data)
    return WarmupHoldDecay(
        recipe.learning_rate * 0.5**num_rewinds,
        recipe.epochs * steps,
        recipe.warmup_steps,
        None if recipe.decay_epochs is None else recipe.decay_epochs * steps,
    )


def _trained(recipe, folder, data, flow, write, strategy) -> Flow:
    start = None
    if recipe.pretraining is not None:
        start = folder / "pretraining"
        train(recipe.first_recipe(), start, data, write, strategy)
    with strategy.scope():
        if start is not None:
            flow.load_weights(start / BEST)
        while not (folder / "run.json").is_file():
            rewinds = _read_rewinds(folder)
            try:
                _fit(recipe, folder, data, flow, len(rewinds), write)
            except DivergedError as error:
                ahead = _rewind(recipe, folder, error, rewinds)
                if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
                    # The others may be waiting for this one's gradients.
                    raise DivergedError(f"{error} Start all workers again: {ahead}") from error
                write(f"{error} {ahead}")
                flow = _start(recipe, data, start)
    if strategy.num_replicas_in_sync > 1:
        # Its weights can be read without the other workers.
        flow = recipe.build_flow(data)
    flow.load_weights(folder / BEST)
    if is_chief(strategy):
        shutil.rmtree(folder / _BACKUP, ignore_errors=True)
    report = folder / "report.md"
    if is_chief(strategy) and not report.is_file():
        summary = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        rows = _read_log(folder / "log.csv")
        write_whole(report, report_of_run(folder, recipe, data, flow, rows, summary))
    return flow


def _start(recipe, data, pretraining: Path | None) -> Flow:
    """A new flow, with the weights of its pretraining if it had one."""
    flow = recipe.build_flow(data)
    if pretraining is not None:
        flow.load_weights(pretraining / BEST)
    return flow


def _run_folder(folder, recipe: Recipe, writes: bool) -> Path:
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
    if file.is_file() and (differences := recipe.differences(Recipe.from_file(file))):
        told = ", ".join(f"{key} {other!r}, not {own!r}" for key, own, other in differences)
        raise ValueError(
            f"The folder {folder} holds a run of another recipe, which has {told}: choose another "
            "folder, or delete this one to start anew."
        )
    if writes and not file.is_file():
        write_whole(file, recipe.to_json())
    return folder


def _rewind(recipe, folder, error, rewinds) -> str:
    """Note that training starts over from its backup with half the learning rate, or give up.

    Workers that diverge together all write the same, since `rewinds` are those of their start.
    """
    if len(rewinds) == _MOST_REWINDS:
        rate = recipe.learning_rate * 0.5 ** len(rewinds)
        raise ValueError(
            f"{error} This was at a learning rate of {rate:g}, after {len(rewinds)} rewinds that "
            "halved it each: lower the recipe's learning_rate, or set its global_clipnorm."
        ) from error
    epoch = Backup(folder / _BACKUP).epochs_done()
    rewinds = [*rewinds, {"after_epoch": epoch, "reason": str(error)}]
    write_whole(folder / _REWINDS, json.dumps(rewinds, indent=2) + "\n")
    rate = recipe.learning_rate * 0.5 ** len(rewinds)
    return f"Back to the end of epoch {epoch}, with a learning rate of {rate:g}."


def _read_rewinds(folder) -> list[dict]:
    file = folder / _REWINDS
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []


def _fit(recipe, folder, data, flow, num_rewinds, write):
    strategy = flow.distribute_strategy
    settings = {"batch_size": recipe.batch_size, "labels": recipe.conditional}
    parts = recipe.gradient_accumulation
    optimizer = FusedAdamW(
        _schedule(recipe, data, num_rewinds),
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.global_clipnorm,
        use_ema=recipe.ema_momentum is not None,
        ema_momentum=recipe.ema_momentum or 0.99,
        gradient_accumulation_steps=parts if parts > 1 else None,
    )
    # Biases and log-scales have no reason to be small.
    optimizer.exclude_from_weight_decay(
        var_list=[weight for weight in flow.trainable_weights if weight.name != "kernel"]
    )
    if recipe.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    flow.compile(optimizer, recipe.loss, jit_compile=recipe.jit_compile)
    if flow.needs_adapt:
        # Random examples know the statistics better than the first batch.
        x, y = flow.examples_to_adapt_to(data.train.x, data.train.y if recipe.conditional else None)
        flow.adapt(x, y, seed=recipe.seed)
    backup = Backup(folder / _BACKUP)
    epochs_done = backup.restore(flow, write)
    # The noise of a step follows from this and the step's number.
    keras.utils.set_random_seed(recipe.seed)
    batches = training_batches(
        data.train if recipe.conditional else Split(data.train.x),
        recipe.batch_size,
        recipe.seed,
        epochs_done * recipe.passes_per_epoch,
        recipe.flip,
    )
    if parts > 1:
        batches = in_parts(batches, parts)
    shared = _divisible(data, strategy.num_replicas_in_sync)
    # Without an end, as the training batches: Keras cannot tell how many a replica's parts are.
    validation = shared.dataset("validation", **settings).repeat()
    log = folder / "log.csv"
    if is_chief(strategy):
        # A run killed between log and backup repeats that epoch.
        _write_log(log, [row for row in _read_log(log) if row["epoch"] < epochs_done])
    wait_for_workers(strategy)
    # To read the weights takes all workers, to keep them one.
    scratch = None if is_chief(strategy) else tempfile.TemporaryDirectory()
    own = folder if scratch is None else Path(scratch.name)
    counter = StepCounter()
    rows = _read_log(log)
    lowest = rows[-1].get("lowest_loss", math.inf) if rows else math.inf  # none in 0.1.0
    guard = StopOnDivergence(math.prod(flow.event_shape), lowest)
    patience = Patience(recipe.patience, [row["val_nll"] for row in rows])
    monitors = [guard, counter, patience, GradientNorm()]
    if layers_of_kind(flow.transform, ResidualBlock):
        monitors.append(LipschitzBound())
    if flow.memory == "invert":
        x, y = (None if part is None else part[:32] for part in data.train)
        drifts = [row["drift"] for row in rows]
        monitors.append(DriftMonitor(x, y if recipe.conditional else None, write, drifts))
    try:
        flow.fit(
            distributed(strategy, flow.check_data(batches)[0]),
            validation_data=distributed(strategy, flow.check_data(validation)[0]),
            initial_epoch=epochs_done,
            # A run that was killed after the epoch in which its patience ended has none left.
            epochs=epochs_done if patience.is_over else recipe.epochs,
            # To Keras, each part of a batch is a step.
            steps_per_epoch=parts * _steps_per_epoch(recipe, data),
            validation_steps=math.ceil(len(shared.validation) / recipe.batch_size),
            callbacks=[*monitors, *_callbacks(recipe, folder, own, data, flow, write)],
            verbose=0,
            shuffle=False,
        )
    except DivergedError as error:
        raise DivergedError(f"Training diverged {counter.where(flow)}: {error}.") from error
    except OSError as error:
        raise OSError(
            f"Training stopped {counter.where(flow)}: {error}. Called again, it goes on after "
            f"epoch {backup.epochs_done()}."
        ) from error
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        raise ConnectionError(
            f"Training stopped {counter.where(flow)}: another worker cannot be reached any more. "
            f"Start all workers again, and they go on after epoch {backup.epochs_done()}."
        ) from error
    except tf.errors.InvalidArgumentError as error:
        message = _said(error)
        # What the flow computed should be finite; data that must be are no reason to rewind.
        kind = DivergedError if "should be finite" in message else ValueError
        raise kind(f"Training stopped {counter.where(flow)}: {message}.") from error
    finally:
        if scratch is not None:
            scratch.cleanup()
    wait_for_workers(strategy)
    if is_chief(strategy):
        rows = _read_log(log)
        if len(rows) < recipe.epochs:
            write(
                f"Training ended after epoch {len(rows)} of {recipe.epochs}: the last "
                f"{recipe.patience}, the recipe's patience, did not lower the validation nll."
            )
        _finish(folder, rows)
    wait_for_workers(strategy)


def _said(error) -> str:
    """The sentence of a check in a graph, without the traceback that TensorFlow puts before it."""
    around = ("Graph execution error", "Detected at", "File ", "[[")
    lines = [line.strip() for line in error.message.splitlines()]
    sentences = [line for line in lines if line and not line.startswith(around)] or lines
    found = [line for line in sentences if "finite" in line] or sentences
    return re.sub(r"^Error in user-defined function .* Iterator::\S+: ", "", found[-1]).rstrip(".")


def _divisible(data: Dataset, num_replicas: int) -> Dataset:
    """The data set without the last few validation examples, if replicas cannot share them."""
    size = len(data.validation) // num_replicas * num_replicas
    x, y = data.validation
    rest = Split(x[:size], None if y is None else y[:size])
    return data if size == len(x) else dataclasses.replace(data, validation=rest)


def _finish(folder, rows):
    best_row = min(rows, key=lambda row: row["val_nll"])
    pretraining = folder / "pretraining" / "run.json"
    first = json.loads(pretraining.read_text()) if pretraining.is_file() else {}
    seconds = first.get("seconds", 0) + sum(row["seconds"] for row in rows)
    summary = {
        "epochs": len(rows),
        "best_epoch": int(best_row["epoch"]) + 1,
        "validation_nll": best_row["val_nll"],
        "seconds": round(seconds, 1),
        "hardware": _hardware(),
        "rewinds": _read_rewinds(folder),
        **({"pretraining": first} if first else {}),
    }
    write_whole(folder / "run.json", json.dumps(summary, indent=2) + "\n")


def _callbacks(recipe, folder, own, data, flow, write):
    """Those of one worker, whose weights go to the folder `own`: the run's, if it is the chief."""
    average = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    # What comes after this one, the backup, is to see the weights that are trained.
    swap_back = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: average.on_epoch_begin(epoch)
    )
    # The averaged kernels have singular vectors of their own, from which others shall not be far.
    settle = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: _settle(flow))
    uses_average = recipe.ema_momentum is not None
    best = min((row["val_nll"] for row in _read_log(folder / "log.csv")), default=math.inf)
    return [
        *([average, settle] if uses_average else []),
        BestWeights(own / BEST, best),
        *(_reports(recipe, folder, data, flow, write) if own == folder else []),
        *([swap_back] if uses_average else []),
        Backup(own / _BACKUP),
    ]


def _settle(flow):
    """Move the power iterations of residual blocks on, as a step of training does."""
    for block in layers_of_kind(flow.transform, ResidualBlock):
        block.network.parameters(training=True)


def _reports(recipe, folder, data, flow, write):
    """What tells the user about a run, once for all workers."""
    log_dir = folder / "tensorboard" if tensorboard_is_installed() else None
    callbacks = [
        Progress(recipe.batch_size // recipe.gradient_accumulation, write),
        keras.callbacks.CSVLogger(folder / "log.csv", append=True),
    ]
    if plots.can_draw(flow):
        every = max(1, recipe.epochs // 20)
        callbacks.append(SampleGrid(folder / "samples.png", every, log_dir))
    if log_dir is None:
        write("TensorBoard is not installed (pip install 'tfflows[tensorboard]'): no logs for it.")
    else:
        callbacks.append(keras.callbacks.TensorBoard(log_dir, write_graph=False))
        x, y = (None if part is None else part[:64] for part in data.validation)
        callbacks.append(LatentHistogram(x, y if recipe.conditional else None, log_dir))
    return callbacks


def _hardware() -> str:
    gpus = len(tf.config.list_physical_devices("GPU"))
    return f"{os.cpu_count()} CPU cores ({platform.machine()}), {gpus or 'no'} GPU"


def _read_log(log: Path) -> list[dict[str, float]]:
    if not log.is_file():
        return []
    with open(log, newline="", encoding="utf-8") as lines:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]


def _write_log(log: Path, rows: list[dict[str, float]]):
    if not rows:
        log.unlink(missing_ok=True)
        return
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows({**row, "epoch": int(row["epoch"])} for row in rows)
    write_whole(log, text.getvalue())
