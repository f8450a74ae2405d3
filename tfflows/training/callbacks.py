"""What happens beside the steps of `fit`: logs, checkpoints, pictures."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from tfflows import plots
from tfflows.training.files import save_whole


class SampleGrid(keras.callbacks.Callback):
    """Draw samples after some epochs: the newest picture in a file, all of them in TensorBoard.

    Args:
        path: PNG file.
        every: epochs between two pictures; the last epoch is always drawn.
        log_dir: TensorBoard's folder, or `None`.
    """

    def __init__(
        self, path: str | os.PathLike, every: int = 1, log_dir: str | os.PathLike | None = None
    ):
        super().__init__()
        self.path = Path(path)
        self.every = every
        self._writer = None if log_dir is None else tf.summary.create_file_writer(str(log_dir))

    def on_epoch_end(self, epoch, logs=None):
        is_last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if (epoch + 1) % self.every and not is_last:
            return
        # The same seed every time, so that pictures differ by training alone.
        plots.save_samples(self.model, self.path, seed=0)
        if self._writer is not None:
            picture = tf.io.decode_png(self.path.read_bytes(), channels=3)
            with self._writer.as_default():
                tf.summary.image("samples", picture[tf.newaxis], step=epoch)


class BestWeights(keras.callbacks.Callback):
    """Keep the weights of the epoch with the lowest validation nll.

    Args:
        path: the file, `*.weights.h5`, whole at any moment.
        best: lowest validation nll of an earlier part of this run.
    """

    def __init__(self, path: str | os.PathLike, best: float = math.inf):
        super().__init__()
        self.path = Path(path)
        self.best = best

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_nll"] < self.best:
            self.best = logs["val_nll"]
            save_whole(self.model, self.path)


class Backup(keras.callbacks.Callback):
    """Keep model and optimizer as of the last whole epoch, to resume from after a kill.

    Keras's own `BackupAndRestore` overwrites its one file in place, which a kill cuts in half.

    Args:
        folder: gets a file `epoch_N.weights.h5` after N epochs; the two newest stay, in case that
            one of them is damaged.
    """

    def __init__(self, folder: str | os.PathLike):
        super().__init__()
        self.folder = Path(folder)

    def on_epoch_end(self, epoch, logs=None):
        self.folder.mkdir(exist_ok=True)
        save_whole(self.model, self.folder / f"epoch_{epoch + 1}.weights.h5")
        for _, older in self._files()[2:]:
            older.unlink()

    def epochs_done(self) -> int:
        """Whole epochs in the newest backup, 0 without one."""
        return max((epochs for epochs, _ in self._files()), default=0)

    def restore(self, model: keras.Model, write: Callable[[str], None] = print) -> int:
        """Load the newest backup that can be read; returns its number of whole epochs.

        Args:
            model: compiled.
            write: takes a line about each file that is damaged; it is kept under another name.

        Raises:
            OSError: if there are backups, but all are damaged.
        """
        files = self._files()
        if files:
            model.optimizer.build(model.trainable_variables)
        for epochs, path in files:
            try:
                model.load_weights(path)
                return epochs
            except (OSError, ValueError, KeyError) as error:
                reason = str(error).splitlines()[0].rstrip(".")
                write(f"The backup {path} is damaged, and the one before is used: {reason}.")
                # Another worker may do the same.
                with contextlib.suppress(OSError):
                    path.rename(path.with_name(f"damaged.{path.name}"))
        if files:
            raise OSError(
                f"All backups in {self.folder} are damaged; delete this folder to train from the "
                "first epoch."
            )
        return 0

    def _files(self):
        """Number of epochs and path of each backup, newest first."""
        paths = self.folder.glob("epoch_*.weights.h5")
        return sorted(((int(path.name[6:].split(".")[0]), path) for path in paths), reverse=True)


class Progress(keras.callbacks.Callback):
    """One line per epoch; it adds the epoch's `seconds` and `examples_per_second` to the logs.

    The line has the likelihoods, and what was monitored beside them: the gradient's norm, a
    solver's evaluations, a Lipschitz bound, the error of inversion.

    Args:
        batch_size: examples of a step.
        write: takes the line.
    """

    _monitored = {
        "gradient_norm": "gradient norm",
        "nfe": "evaluations",
        "lipschitz": "Lipschitz bound",
        "drift": "inversion error",
    }

    def __init__(self, batch_size: int, write: Callable[[str], None] = print):
        super().__init__()
        self._batch_size = batch_size
        self._write = write

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.perf_counter() - self._start
        # Validation's time is a part of it.
        examples = self._batch_size * self.params["steps"]
        logs["examples_per_second"] = examples / logs["seconds"]
        name = "bits_per_dim" if "val_bits_per_dim" in logs else "nll"
        # Another loss than the likelihood is logged alone in training.
        trained = f"{name} {logs[name]:.4f}" if name in logs else f"loss {logs['loss']:.4f}"
        measured = f"validation {name} " if name not in logs else "validation "
        epochs = self.params["epochs"]
        done = (epoch + 1) * 20 // epochs
        left = logs["seconds"] * (epochs - epoch - 1)
        monitored = [
            f"{told} {logs[key]:.3g}, " for key, told in self._monitored.items() if key in logs
        ]
        self._write(
            f"[{'#' * done}{'.' * (20 - done)}] epoch {epoch + 1}/{epochs}  {trained}  "
            f"{measured}{logs['val_' + name]:.4f}  {''.join(monitored)}{logs['seconds']:.1f} s, "
            f"{logs['examples_per_second']:.0f} examples/s, about {left:.0f} s left"
        )


def tensorboard_is_installed() -> bool:
    """TensorFlow does not bring TensorBoard along."""
    return importlib.util.find_spec("tensorboard") is not None
