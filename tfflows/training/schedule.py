"""The learning rate over a run."""

from __future__ import annotations

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfflows")
class WarmupHoldDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, a constant stretch, and a cosine down to zero.

    Deep flows need the warm-up: the first steps of Adam, all of one size, add up over the layers.

    Args:
        learning_rate: the highest, which the constant stretch has.
        num_steps: steps in all.
        warmup_steps: steps from zero to the highest.
        decay_steps: steps of the cosine at the end; by default all after the warm-up.

    Raises:
        ValueError: if warm-up and decay do not fit into the steps.

    Example:
        >>> rate = tfflows.training.WarmupHoldDecay(1.0, 100, warmup_steps=10, decay_steps=20)
        >>> [round(float(rate(step)), 2) for step in (0, 5, 50, 90, 100)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        learning_rate: float,
        num_steps: int,
        warmup_steps: int = 0,
        decay_steps: int | None = None,
    ):
        if decay_steps is None and warmup_steps > num_steps:
            raise ValueError(
                f"The learning rate's warmup_steps is {warmup_steps}, more than the {num_steps} "
                "steps of the whole training; give fewer, or train for more epochs."
            )
        decay_steps = num_steps - warmup_steps if decay_steps is None else decay_steps
        if warmup_steps < 0 or decay_steps < 0 or warmup_steps + decay_steps > num_steps:
            raise ValueError(
                f"The learning rate's {warmup_steps} steps of warm-up and {decay_steps} of decay "
                f"do not fit into {num_steps} steps."
            )
        self.learning_rate = learning_rate
        self.num_steps = num_steps
        self.warmup_steps = warmup_steps
        self.decay_steps = decay_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        warmed = ops.minimum(step / max(self.warmup_steps, 1), 1.0) if self.warmup_steps else 1.0
        left = ops.clip((self.num_steps - step) / max(self.decay_steps, 1), 0.0, 1.0)
        return self.learning_rate * warmed * 0.5 * (1.0 - ops.cos(math.pi * left))

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "num_steps": self.num_steps,
            "warmup_steps": self.warmup_steps,
            "decay_steps": self.decay_steps,
        }
