"""What all input pipelines end with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def prefetched(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches, made ahead of time by a pipeline that does not tune itself.

    The thread that tunes is woken to end before it can know that it should (TensorFlow 2.21). On a
    busy machine it then sleeps on, for up to a minute, and so does who deletes the iterator.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)
