"""What happens beside the steps of `fit`: logs, checkpoints, pictures."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import time
import uuid
from pathlib import Path

import keras
import tensorflow as tf

from tfflows import plots


class SampleGrid(keras.callbacks.Callback):
    """Draw samples after some epochs: the newest picture in a file, all of them in TensorBoard.

    Args:
        path: PNG file.
        every: epochs between two pictures; the last epoch is always drawn.
        log_dir: TensorBoard's folder, or `None`.
    """

    def __init__(self, path, every: int = 1, log_dir=None):
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

    def __init__(self, path, best: float = math.inf):
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

    def __init__(self, folder):
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

    def restore(self, model, write=print) -> int:
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


def save_whole(model, path: Path):
    """Save weights (of the optimizer too) so that the file is never seen half-written.

    Raises:
        OSError: if there is no room; what was at this place before still is.
    """
    unfinished = path.with_name(f"unfinished.{path.name}")
    try:
        # Where it finds none, HDF5 brings the process down.
        _require_room(model, unfinished)
        model.save_weights(unfinished)
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        reason = error.strerror or error
        raise OSError(f"cannot write the weights {path}: {reason}") from error


def _require_room(model, path: Path):
    """Fill a file with as many bytes as the weights will take, at most."""
    variables = model.variables + (model.optimizer.variables if model.optimizer else [])
    size = sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables)
    # Groups and headers take a kilobyte for each.
    size += 2**11 * (len(variables) + 8)
    with open(path, "wb") as file:
        for start in range(0, size, 2**20):
            file.write(bytes(min(2**20, size - start)))


def write_whole(path: Path, text: str):
    """Write a text file so that it is never seen half-written, even if several processes do."""
    unfinished = path.with_name(f"unfinished.{uuid.uuid4().hex}.{path.name}")
    unfinished.write_text(text, encoding="utf-8", newline="")
    unfinished.replace(path)


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

    def __init__(self, batch_size: int, write=print):
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
