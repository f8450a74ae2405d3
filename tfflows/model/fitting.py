"""How Keras fits a flow: the step and its metrics."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.layers.chain import set_memory_mode
from tfflows.layers.continuous import ContinuousLayer
from tfflows.layers.parts import layers_of_kind
from tfflows.layers.untracked import Untracked
from tfflows.model.adapting import FlowAdapting
from tfflows.model.checked_steps import CheckedSteps
from tfflows.model.losses import Loss, NegativeLogLikelihood, as_loss
from tfflows.model.reverse_kl import Annealing, ReverseKL


class FlowFitting(FlowAdapting, CheckedSteps):
    """The part of `Flow` that Keras's `fit` and `evaluate` call.

    A step hands the model x, context and the seed of its noise, and gets what the `Loss` that it
    was compiled with makes of them: numbers per example, the `loss` and what metrics are named.
    """

    def _init_fitting(self, memory):
        self.memory = memory
        self._nll = keras.metrics.Mean("nll")
        self._bits_per_dim = None if self.num_bits is None else keras.metrics.Mean("bits_per_dim")
        # What `compile` without a loss means.
        self._default_loss = NegativeLogLikelihood()
        # Not a part of the model that is saved.
        self._measured = Untracked({})

    def compile(self, optimizer="rmsprop", loss: Loss | str | None = None, **kwargs):
        """Configure `fit`.

        Args:
            optimizer: as for `keras.Model.compile`.
            loss: a `tfflows.training.losses.Loss`, or as in 0.1.0 `"likelihood"` or
                `"flow_matching"`; `None` for the likelihood.
            kwargs: what `keras.Model.compile` takes besides.

        Raises:
            ValueError: for another loss, or one that the flow cannot be trained with, or for
                metrics and weights of losses, which have no predictions to compare.
        """
        self.require_no_predictions(kwargs, Loss)
        loss = self._default_loss if loss in (None, "likelihood") else as_loss(loss)
        loss.check(self)
        super().compile(optimizer, **kwargs)
        # Not handed to Keras, which would trace a solve at each fit to build a loss of its own.
        self._set_loss(loss)

    def _set_loss(self, loss):
        self.loss = loss
        # What was traced has another one.
        self.train_function = self.test_function = None
        with self.distribute_strategy.scope():
            self._measured.value = {name: keras.metrics.Mean(name) for name in loss.metrics(self)}

    @property
    def metrics(self):
        return [*super().metrics, *self._measured.value.values()]

    def fit_to(
        self,
        target_log_prob: Callable,
        *,
        epochs: int,
        steps_per_epoch: int = 100,
        batch_size: int = 256,
        annealing_epochs: int = 0,
        path_gradient: bool = False,
        **kwargs,
    ) -> keras.callbacks.History:
        """Train from a density that is known up to a factor, by reverse KL.

        For this call it takes the place of the loss that the flow was compiled with. Layers that
        start from data start from zeros, as the identity.

        Args:
            target_log_prob, path_gradient: see `tfflows.training.ReverseKL`.
            epochs, steps_per_epoch: of `batch_size` samples a step.
            annealing_epochs: number n of first epochs with a flatter target, whose log p is
                multiplied by (epoch + 1) / (n + 1), so that the flow finds modes far from each
                other before they are separate; `elbo` is that target's in these.
            kwargs: what `keras.Model.fit` takes besides.

        Returns:
            The history of `fit`, with `elbo` for each epoch.

        Raises:
            ValueError, tf.errors.InvalidArgumentError: as `tfflows.training.ReverseKL` does, and
                if the flow was not compiled.

        Example:
            >>> keras.utils.set_random_seed(0)
            >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
            >>> flow.compile(keras.optimizers.Adam(1e-3))
            >>> target = lambda x: -tf.reduce_sum((x - 3) ** 2, -1) / 2
            >>> history = flow.fit_to(target, epochs=2, steps_per_epoch=10, verbose=0).history
            >>> bool(history["elbo"][0] < history["elbo"][1] < np.log(2 * np.pi))
            True
        """
        if not self.compiled:
            raise ValueError(f"{self.name} has no optimizer yet: call compile before fit_to.")
        if annealing_epochs and annealing_epochs not in range(epochs):
            raise ValueError(
                f"annealing_epochs is {annealing_epochs}: expected an integer of at least 0 and "
                f"less than the {epochs} epochs, so that the last one has the target itself."
            )
        annealing, callbacks = Annealing(annealing_epochs), kwargs.pop("callbacks", None) or []
        own = self.loss
        loss = ReverseKL(annealing.of(target_log_prob), path_gradient)
        loss.check(self)
        zeros = tf.zeros(self.event_shape, self.compute_dtype)
        data = tf.data.Dataset.from_tensors(zeros).repeat().batch(batch_size, drop_remainder=True)
        self._set_loss(loss)
        try:
            return self.fit(
                data,
                epochs=epochs,
                steps_per_epoch=steps_per_epoch,
                callbacks=[annealing, *tf.nest.flatten(callbacks)],
                shuffle=False,
                **kwargs,
            )
        finally:
            self._set_loss(own)

    @property
    def memory(self) -> str:
        """How training comes by the activations of the transform's chains."""
        return self._memory

    @memory.setter
    def memory(self, value: str):
        set_memory_mode(self.transform, value)
        self._memory = value
        # What was traced has the old one.
        self.train_function = None
        self._compiled.clear()

    def train_step(self, data):
        logs = super().train_step(data)
        if "nfe" in logs:
            backward = self._measured.value["backward_nfe"].result()
            logs |= self.step_logs({"backward_nfe": backward})
        return logs

    def _with_seed(self, data, training):
        """Inputs x, context and the seed of a step's noise, and the weights of examples."""
        x, context, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x, context = x if isinstance(x, tuple) else (x, context)
        # Where there are weights, Keras wants something.
        context = context if self.is_conditional else None
        return (self.unpacked(x), context, self.step_seed(training)), None, sample_weight

    def step_values(
        self, x: ArrayLike, context: ArrayLike, seed: ArrayLike, training: bool
    ) -> dict[str, tf.Tensor]:
        """What the compiled loss makes of a step, see `tfflows.training.losses.Loss`."""
        self._check_pixels_dtype(x)
        return self.loss(self, x, context, seed, training)

    def count_adjoint(self, num_evaluations: tf.Tensor) -> None:
        """Record for `backward_nfe` what the gradient of one of the solves of a step cost."""
        if "backward_nfe" in self._measured.value:
            num_solves = len(layers_of_kind(self.transform, ContinuousLayer))
            self._measured.value["backward_nfe"].update_state(num_solves * num_evaluations)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if "nll" in y_pred:
            self._nll.update_state(y_pred["nll"], sample_weight)
            if self._bits_per_dim is not None:
                num_dims = math.prod(self.event_shape)
                bits_per_dim = y_pred["nll"] / (num_dims * math.log(2))
                self._bits_per_dim.update_state(bits_per_dim, sample_weight)
        for name, metric in self._measured.value.items():
            if name in y_pred:
                per_example = y_pred[name].shape.rank > 0
                metric.update_state(y_pred[name], sample_weight if per_example else None)
        # What the step did not measure would read 0.
        unmeasured = {"nll", *self._measured.value} - set(y_pred)
        if "nll" in unmeasured:
            unmeasured.add("bits_per_dim")
        results = self.get_metrics_result()
        return {name: value for name, value in results.items() if name not in unmeasured}
