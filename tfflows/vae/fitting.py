"""How Keras fits an autoencoder: the step and its metrics."""

from __future__ import annotations

import math
from random import getrandbits
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import require_finite
from tfflows.model.checked_steps import CheckedSteps
from tfflows.vae.metrics import ActiveUnits
from tfflows.vae.objectives import Objective, as_objective
from tfflows.vae.priors import VampPrior


class VAEFitting(CheckedSteps):
    """The part of `VAE` that Keras's `fit` and `evaluate` call."""

    def _init_fitting(self):
        names = ("elbo", "reconstruction", "kl", "importance_weighted_bound")
        self._means = [keras.metrics.Mean(name) for name in names]
        self._bits_per_dim = None if self.num_bits is None else keras.metrics.Mean("bits_per_dim")
        self._active_units = ActiveUnits(self.latent_dim)

    def compile(self, optimizer="rmsprop", loss: Objective | None = None, **kwargs):
        """Configure `fit`.

        Args:
            optimizer: as for `keras.Model.compile`.
            loss: a `tfflows.vae.Objective`; `None` for `tfflows.vae.ELBO()`.
            kwargs: what `keras.Model.compile` takes besides.

        Raises:
            ValueError: for another loss, or for metrics and weights of losses, which have no
                predictions to compare.
        """
        self.require_no_predictions(kwargs, Objective)
        loss = as_objective(loss)
        super().compile(optimizer, **kwargs)
        self.loss = loss
        self.train_function = self.test_function = None

    @property
    def needs_adapt(self) -> bool:
        """Whether there are pseudo-inputs of a `tfflows.vae.VampPrior` that no data set yet."""
        return isinstance(self.prior, VampPrior) and not bool(self.prior.adapted.numpy())

    def adapt(self, x: ArrayLike) -> None:
        """Set the pseudo-inputs of a `tfflows.vae.VampPrior` to random ones of x.

        `fit` and `train_on_batch` do it if it was not done before: with those of an array, or with
        those of the first batch of other data. Which ones `keras.utils.set_random_seed` decides.

        Raises:
            ValueError: if there are none, there are fewer x, and as `VAE.elbo` does.
        """
        if not isinstance(self.prior, VampPrior):
            raise ValueError(
                f"{self.name} has nothing that starts from data: its prior is {self.prior!r}."
            )
        x, number = np.asarray(x), self.prior.num_pseudo_inputs
        if len(x) < number:
            raise ValueError(
                f"{self.name} has {number} pseudo-inputs to start from data, but found only "
                f"{len(x)} examples; call adapt with more before fit, or give the VampPrior fewer."
            )
        rows = np.random.default_rng(getrandbits(31)).permutation(len(x))[:number]
        self.prior.start_from(self.observation.as_input(self.observed(x[rows]), self.compute_dtype))

    def start_from(self, x: Any, y: Any | None = None) -> Any:
        """Checked data, all of them, after what was to start from them did."""
        if not self.needs_adapt:
            return x
        if isinstance(x, np.ndarray):
            self.adapt(x)
            return x
        # What each worker sees of a data set is not the same.
        if isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            raise ValueError(
                f"{self.name} has pseudo-inputs that start from data; on several workers call "
                "adapt with the same data and the same keras.utils.set_random_seed before fit."
            )
        (first, _), x = self.first_batch(x)
        self.adapt(first)
        return x

    def _with_seed(self, data, training):
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        return (x, self.step_seed(training)), None, sample_weight

    def step_values(self, x: ArrayLike, seed: ArrayLike, training: bool) -> dict[str, tf.Tensor]:
        """What the compiled objective makes of a step, see `tfflows.vae.Objective`."""
        step = tf.convert_to_tensor(self.optimizer.iterations)
        values = self.loss(self, self.observed(x), seed, training, step)
        message = f"The ELBO of {self.name} should be finite (did training diverge?)"
        values["elbo"] = require_finite(values["elbo"], message)
        parameters = values.pop("parameters")
        return values if training else {**values, "centre": self.centre(parameters)}

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        unmeasured = {metric.name for metric in self._means} - set(y_pred)
        for metric in self._means:
            if metric.name in y_pred:
                metric.update_state(y_pred[metric.name], sample_weight)
        if self._bits_per_dim is not None:
            num_nats = math.prod(self.event_shape) * math.log(2)
            self._bits_per_dim.update_state(-y_pred["elbo"] / num_nats, sample_weight)
        if "centre" in y_pred:
            self._active_units.update_state(y_pred["centre"], sample_weight)
        else:
            unmeasured.add("active_units")
        # What the step did not measure would read 0.
        results = self.get_metrics_result()
        return {name: value for name, value in results.items() if name not in unmeasured}
