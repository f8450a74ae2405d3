"""Steps of Keras's training whose noise follows from Keras's seed."""

from __future__ import annotations

from random import getrandbits

import tensorflow as tf

from tfflows.layers.parts import seed_generators
from tfflows.random.seeds import hashed_seed, replica_and_number, start_generators

# Instead of a run's seed: what is evaluated again meets the same noise.
_EVALUATION = -1


class SeededSteps:
    """The part of a `keras.Model` that gives each of its steps a seed.

    It follows from `keras.utils.set_random_seed` and the number of the step, and no number of
    replicas changes it. The model says by `_with_seed(data, training)` what its steps take.
    """

    _run_seed = 0

    def make_train_function(self, force=False):
        # Otherwise Keras makes the optimizer's slots within the first trace, and traces twice.
        if self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        if self.train_function is None or force:
            self._run_seed = getrandbits(31)  # `keras.utils.set_random_seed` decides it
        return super().make_train_function(force)

    def train_step(self, data):
        return self.step_logs(super().train_step(self._with_seed(data, training=True)))

    def test_step(self, data):
        return self.step_logs(super().test_step(self._with_seed(data, training=False)))

    def step_seed(self, training: bool) -> tf.Tensor:
        """The seed of the present step's noise, `[2]`.

        What Keras's seed generators draw in the step follows from it, too.
        """
        run, step = (self._run_seed, self.optimizer.iterations) if training else (_EVALUATION, 0)
        # Of this epoch; gradients that are accumulated belong to one step.
        _, num_replicas = replica_and_number()
        examples_seen = num_replicas * tf.cast(self._loss_tracker.count, tf.int64)
        seed = hashed_seed(run, step, examples_seen)
        start_generators(seed_generators(self), seed)
        return seed

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # There is nothing to build, and Keras would take a batch off the data under a strategy.
        return

    def step_logs(self, logs: dict) -> dict:
        """A step's figures, in the form that Keras takes of a replica."""
        # Of several workers' figures Keras takes the mean along an axis (keras-team/keras#20585).
        if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            return {name: value[tf.newaxis] for name, value in logs.items()}
        return logs
