"""The batches of a run: which examples, in which order, on which replica."""

from __future__ import annotations

import tensorflow as tf

from tfflows.data import Split
from tfflows.data.pipelines import untuned


def training_batches(
    split: Split,
    batch_size: int,
    seed: int = 0,
    first_pass: int = 0,
    flip: bool = False,
) -> tf.data.Dataset:
    """The batches of a run, pass after pass without an end.

    Order and flips of a pass follow from `seed` and its number, so that a run that resumes sees
    what it would have seen. Each pass leaves out other examples where the last batch is not full.

    Args:
        split: x `[n, ...]` and y, which is yielded too unless it is `None`.
        batch_size: over all replicas, at most n.
        seed: of orders and flips.
        first_pass: passes over the split that are done.
        flip: mirror each image left to right with probability 1/2.

    Example:
        >>> split = tfflows.data.Split(np.arange(6.0).reshape(6, 1))
        >>> whole = tfflows.training.training_batches(split, batch_size=3)
        >>> rest = tfflows.training.training_batches(split, batch_size=3, first_pass=1)
        >>> all(np.array_equal(a, b) for a, b in zip(whole.skip(2).take(9), rest))
        True
    """
    # Input pipelines run on the host: without this the arrays would land on the first GPU.
    with tf.device("CPU:0"):
        x = tf.constant(split.x)
        y = None if split.y is None else tf.constant(split.y)
    size = len(split.x) // batch_size * batch_size

    def one_pass(number):
        order = tf.range(len(split.x))
        order = tf.random.experimental.stateless_shuffle(order, tf.stack([seed, 2 * number]))
        coins = tf.random.stateless_uniform(
            [size], tf.stack([seed, 2 * number + 1]), maxval=2, dtype=tf.int32, alg="philox"
        )
        parts = (tf.reshape(values[:size], [-1, batch_size]) for values in (order, coins))
        return tf.data.Dataset.from_tensor_slices(tuple(parts))

    def batch(index, coin):
        images = tf.gather(x, index)
        if flip:
            sides = tf.stack([images, tf.reverse(images, axis=[2])], axis=1)
            images = tf.gather(sides, coin, batch_dims=1)
        return images if y is None else (images, tf.gather(y, index))

    passes = tf.data.Dataset.counter(first_pass).flat_map(one_pass)
    return untuned(passes.map(batch).prefetch(tf.data.AUTOTUNE))


def in_parts(batches: tf.data.Dataset, number: int) -> tf.data.Dataset:
    """Each batch as a number of equal parts, one after the other."""

    def parts(*element):
        def split(values):
            return tf.reshape(values, tf.concat([[number, -1], tf.shape(values)[1:]], 0))

        element = tf.nest.map_structure(split, element)
        return tf.data.Dataset.from_tensor_slices(element if len(element) > 1 else element[0])

    return batches.flat_map(parts)


def distributed(strategy: tf.distribute.Strategy, batches: tf.data.Dataset):
    """Global batches, of which replica i takes the i-th part, on whatever worker it is.

    All workers read all data and draw the same order, so that the batches are those of one device.

    Args:
        batches: of sizes that the number of replicas divides.
    """
    if strategy.num_replicas_in_sync == 1:
        return batches

    def parts(context):
        replicas = strategy.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * replicas

        def of_this_worker(*element):
            def part(values):
                shape = tf.concat([[strategy.num_replicas_in_sync, -1], tf.shape(values)[1:]], 0)
                return tf.reshape(values, shape)[first : first + replicas]

            element = tf.nest.map_structure(part, element)
            return element if len(element) > 1 else element[0]

        return untuned(batches.map(of_this_worker).unbatch().prefetch(tf.data.AUTOTUNE))

    return strategy.distribute_datasets_from_function(parts)
