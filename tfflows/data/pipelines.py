"""What all input pipelines end with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The pipeline, and all that is made of it, without the thread that tunes it.

    That thread is woken to end before it can know that it should (TensorFlow 2.21). On a busy
    machine it then sleeps on, for up to a minute, and so does who deletes the iterator.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
