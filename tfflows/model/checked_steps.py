"""Training on checked data, without targets: what flows and autoencoders share of Keras's side."""

from __future__ import annotations

import keras

from tfflows.checks.settings import serialized
from tfflows.layers.base import InvertibleLayer
from tfflows.layers.parts import all_parts
from tfflows.model.losses import mean_over_batch
from tfflows.model.seeded_steps import SeededSteps

_OF_PREDICTIONS = ("metrics", "weighted_metrics", "loss_weights")


class CheckedSteps(SeededSteps):
    """The part of a model whose steps return numbers per example, of which one is the `loss`.

    The model knows how its data are checked (`check_data`), what of it starts from data
    (`start_from`) and how a batch gets the seed of its noise (`_with_seed`).
    """

    def require_no_predictions(self, settings: dict, kind: type) -> None:
        """Raise `ValueError` if `compile` is given what compares predictions with targets."""
        needless = [name for name in _OF_PREDICTIONS if settings.get(name) is not None]
        if needless:
            raise ValueError(
                f"{self.name} was to be compiled with {', '.join(needless)}, but makes no "
                f"predictions for it: what is minimised and measured is a tfflows {kind.__name__} "
                "of your own."
            )

    def get_compile_config(self):
        config = super().get_compile_config()
        return {**config, "loss": serialized(self.loss)} if config else config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x=None,
        y=None,
        *args,
        validation_data=None,
        class_weight=None,
        sample_weight=None,
        **kwargs,
    ):
        """Train with the compiled loss; arguments and result as for `keras.Model.fit`.

        The noise of a step follows from `keras.utils.set_random_seed` and the number of the step,
        and is the same on one device and on several that share a batch. What layers draw from a
        `keras.random.SeedGenerator`, as dropout does, follows from them as well, but on each
        replica it is another. Neither holds for what they draw without a generator of their own,
        as by `keras.random.normal(shape)` and `tf.random.normal(shape)`.

        With `keras.callbacks.BackupAndRestore` a run that is called again after a kill is the
        unbroken one if it starts from the same `keras.utils.set_random_seed` and its data come in
        the same order in each epoch. Keras shuffles arrays as in the first epoch again: give
        `shuffle=False`, or train from a recipe (`tfflows.training.train`).

        x is an array, a data frame, a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator,
        y the context of a conditional flow where x is an array; for the forms of batches, and when
        they are checked, see `check_data`. What else Keras takes is checked within the step, which
        XLA leaves out. With `sample_weight`, loss and gradient of a step are the weighted mean of
        its examples, over all replicas, and so are the metrics of an epoch.

        Raises:
            ValueError: for bad data, targets, weights of classes for a model without, or as the
                loss does.
        """
        self.require_class_weights(class_weight)
        x, y, sample_weight = self.check_data(x, y, sample_weight)
        if validation_data is not None:
            parts = keras.utils.unpack_x_y_sample_weight(validation_data)
            x_val, *others = self.check_data(*parts)
            validation_data = self.for_keras(x_val), *others
        x = self.start_from(x, y)
        history = super().fit(
            self.for_keras(x),
            y,
            *args,
            validation_data=validation_data,
            class_weight=class_weight,
            sample_weight=sample_weight,
            **kwargs,
        )
        for layer in all_parts(self):
            if isinstance(layer, InvertibleLayer):
                layer.check()
        return history

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, **kwargs):
        """One step; arguments and result as for `keras.Model.train_on_batch`, data as in `fit`."""
        self.require_class_weights(class_weight)
        x, y, sample_weight = self.check_data(x, y, sample_weight)
        x = self.for_keras(self.start_from(x, y))
        return super().train_on_batch(x, y, sample_weight, class_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Figures of one batch; arguments as for `keras.Model.test_on_batch`, data as in `fit`."""
        x, y, sample_weight = self.check_data(x, y, sample_weight)
        return super().test_on_batch(self.for_keras(x), y, sample_weight, **kwargs)

    def evaluate(self, x=None, y=None, *args, sample_weight=None, **kwargs):
        """Means of the metrics over x; arguments as for `fit`.

        The same x meets the same noise at each call, on any number of replicas.
        """
        if not kwargs.get("_use_cached_eval_dataset"):  # of `fit`, which checked it
            x, y, sample_weight = self.check_data(x, y, sample_weight)
            x = self.for_keras(x)
        return super().evaluate(x, y, *args, sample_weight=sample_weight, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = mean_over_batch(y_pred["loss"], sample_weight)
        return loss + sum(self._aggregate_additional_loss(extra) for extra in self.losses)
