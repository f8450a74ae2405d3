"""What watches over training: steps, losses, gradients, inversion, latents."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.evaluate import round_trip_error
from tfflows.layers import ResidualBlock
from tfflows.layers.parts import layers_of_kind


class DivergedError(ValueError):
    """Training met a loss that is not finite, or far above what it was."""


class StopOnDivergence(keras.callbacks.Callback):
    """Raise `DivergedError` where the loss is not finite, or explodes.

    A loss explodes if its mean over 100 successive steps (or an epoch, if it has fewer) lies more
    than 10 nats a dimension above the lowest such mean, or above the loss at the start. The lowest
    is logged as `lowest_loss`, so that a run that resumes has the limit of the unbroken one.

    Args:
        num_dims: of an event.
        lowest: the last `lowest_loss` of an earlier part of this run.
    """

    window = 100
    rise = 10.0  # nats a dimension

    def __init__(self, num_dims: int, lowest: float = math.inf):
        super().__init__()
        self._limit = self.rise * num_dims
        self._lowest = lowest

    def on_epoch_begin(self, epoch, logs=None):
        self._before = 0.0

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise DivergedError("its loss is not finite")
        # It is the mean since the start of the epoch.
        steps, total = batch + 1, (batch + 1) * logs["loss"]
        if steps == 1 and self._lowest == math.inf:
            self._lowest = logs["loss"]
        size = min(self.window, self.params["steps"])
        if steps % size == 0:
            mean = (total - self._before) / size
            if mean > self._lowest + self._limit:
                raise DivergedError(
                    f"its loss rose to {mean:.6g} nats from {self._lowest:.6g} at its lowest, more "
                    f"than {self.rise:g} nats a dimension"
                )
            self._lowest, self._before = min(self._lowest, mean), total

    def on_epoch_end(self, epoch, logs=None):
        logs["lowest_loss"] = self._lowest


class Patience(keras.callbacks.Callback):
    """End training after some epochs without a lower validation nll.

    Args:
        epochs: how many; `None` for no end.
        earlier: validation nll of each epoch of an earlier part of this run.
    """

    def __init__(self, epochs: int | None, earlier: Sequence[float] = ()):
        super().__init__()
        self._epochs = epochs
        self._values = [*earlier]

    @property
    def is_over(self) -> bool:
        """Whether there were as many epochs since the best one."""
        if self._epochs is None or not self._values:
            return False
        best = self._values.index(min(self._values))
        return len(self._values) - 1 - best >= self._epochs

    def on_epoch_end(self, epoch, logs=None):
        self._values.append(logs["val_nll"])
        self.model.stop_training = self.is_over


class DriftMonitor(keras.callbacks.Callback):
    """See that inversion finds the activations again, for flows with `memory="invert"`.

    At the start of each epoch, the largest |decode(encode(x)) - x| over the largest |x| is
    measured, and logged as `drift` at its end. Once it is above 1e-3, gradients cannot be trusted,
    and the flow goes on with `memory="checkpoint"`.

    Args:
        x, context: some examples.
        write: takes a line if that happens.
        drifts: those of earlier epochs of this run.
    """

    tolerance = 1e-3

    def __init__(
        self,
        x: ArrayLike,
        context: ArrayLike | None = None,
        write: Callable[[str], None] = print,
        drifts: Sequence[float] = (),
    ):
        super().__init__()
        self._examples = x, context
        self._write = write
        self._drifts = [*drifts]

    def on_epoch_begin(self, epoch, logs=None):
        x, context = self._examples
        drift = round_trip_error(self.model, x, context) / max(1.0, float(np.max(np.abs(x))))
        self._drifts.append(drift)
        worst = np.max(self._drifts)
        # Not `>`, which is false for NaN.
        if self.model.memory == "invert" and not worst <= self.tolerance:
            self._write(
                f"Inversion misses the activations by {worst:.1e}, more than "
                f"{self.tolerance:g}: from epoch {epoch + 1} on with memory='checkpoint'."
            )
            self.model.memory = "checkpoint"
            self.model.make_train_function(force=True)

    def on_epoch_end(self, epoch, logs=None):
        logs["drift"] = self._drifts[-1]


class StepCounter(keras.callbacks.Callback):
    """Counts steps, to tell where training broke off."""

    def __init__(self):
        super().__init__()
        self._epoch, self._step = 1, 1

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._step = epoch + 1, 1

    def on_train_batch_end(self, batch, logs=None):
        self._step = batch + 2

    def where(self, model) -> str:
        """Epoch and step that did not end, and weights that are not finite, if there are."""
        weights = model.weights
        bad = [weight.path for weight in weights if not _is_finite(weight)]
        which = (
            f" (not finite: {len(bad)} of {len(weights)} weights, first {bad[0]})" if bad else ""
        )
        return f"in epoch {self._epoch}, step {self._step}{which}"


def _is_finite(weight) -> bool:
    values = weight.numpy()
    return values.dtype.kind != "f" or bool(np.all(np.isfinite(values)))


class GradientNorm(keras.callbacks.Callback):
    """Log `gradient_norm`, the mean over an epoch's steps of the norm of the whole gradient.

    It is that before clipping, of an optimizer `tfflows.training.FusedAdamW` or of one inside
    Keras's `LossScaleOptimizer`.
    """

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.model.optimizer
        self._optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        # An optimizer that never stepped has none yet.
        self._optimizer.build(self.model.trainable_variables)
        self._first = _number(self._optimizer.iterations)
        self._optimizer.gradient_norms.assign(0.0)

    def on_epoch_end(self, epoch, logs=None):
        steps = _number(self._optimizer.iterations) - self._first
        logs["gradient_norm"] = _number(self._optimizer.gradient_norms) / max(steps, 1)


def _number(variable):
    """Its value, also of a variable that replicas share."""
    return keras.ops.convert_to_numpy(variable).item()


class LipschitzBound(keras.callbacks.Callback):
    """Log `lipschitz`, the largest certified bound of a flow's residual blocks."""

    def on_epoch_end(self, epoch, logs=None):
        blocks = layers_of_kind(self.model.transform, ResidualBlock)
        logs["lipschitz"] = max(block.network.lipschitz_bound() for block in blocks)


class LatentHistogram(keras.callbacks.Callback):
    """Write a histogram of latents to TensorBoard after each epoch, for z ~ N(0, 1) say.

    Args:
        x, context: some examples that are not trained on.
        log_dir: TensorBoard's folder.
    """

    def __init__(self, x: ArrayLike, context: ArrayLike, log_dir: str | os.PathLike):
        super().__init__()
        self._examples = x, context
        self._writer = tf.summary.create_file_writer(str(log_dir))

    def on_epoch_end(self, epoch, logs=None):
        x, context = self._examples
        x = x if self.model.num_bits is None else x.astype("float32") + np.float32(0.5)
        with self._writer.as_default():
            tf.summary.histogram("z", self.model.encode(x, context), step=epoch)
