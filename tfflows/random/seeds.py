"""Seeds of the stateless generators that all noise is drawn from, and who draws which rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike


def hashed_seed(run: int, step, position) -> tf.Tensor:
    """The seed of a step, int32 `[2]`, without any pattern: sums of it are seeds as well.

    Args:
        run: what the runs of one step differ in.
        step, position: scalars from 0; the seeds of any two pairs differ.
    """
    number = tf.bitwise.left_shift(tf.cast(step, tf.int64), tf.constant(32, tf.int64))
    number += tf.cast(position, tf.int64)
    return _bits([2], tf.stack([tf.constant(run, tf.int64), number]))


def start_generators(generators: Sequence[keras.random.SeedGenerator], seed):
    """Let all that Keras's seed generators draw next follow from one seed, `[2]`.

    Each has a stream of its own, on each replica another one, whatever it has drawn before and
    whatever seed it was made with.
    """
    if generators:
        states = own_rows(lambda n: _bits([n, 2], seed), len(generators))
        for generator, state in zip(generators, tf.unstack(states, len(generators)), strict=True):
            generator.state.assign(tf.cast(state, generator.state.dtype))


def generator_state_of_step(state, index) -> tf.Tensor:
    """Where step `index` of several starts, instead of a generator's state; also within steps."""
    # A generator counts in the second number.
    seed = state + tf.cast(tf.stack([index, 0]), state.dtype)
    return tf.cast(_bits([2], seed), state.dtype)


def _bits(shape, seed):
    return tf.random.stateless_uniform(
        shape, seed, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )


def stateless_seed(seed: ArrayLike) -> tf.Tensor:
    """Two int32 numbers for TensorFlow's stateless generators.

    Args:
        seed: an integer, a pair of integers, or `None` for one from TensorFlow's global generator
            (which `keras.utils.set_random_seed` sets).

    Raises:
        ValueError: if `seed` is something else.
    """
    if seed is None:
        first, second = tf.compat.v1.random.get_seed(None)
        if first is not None and tf.executing_eagerly():
            # TensorFlow would compile an operation for these two numbers, and keep it for ever.
            state = np.random.SeedSequence((first, second)).generate_state(2)
            return tf.constant(state >> 1, tf.int32)
        # `tf.random.uniform` without its checks, which take as long as the rest of a small call.
        return tf.raw_ops.RandomUniformInt(
            shape=np.array([2], "int32"),
            minval=np.int32(0),
            maxval=np.iinfo(np.int32).max,
            seed=first or 0,
            seed2=second or 0,
        )
    if isinstance(seed, (int, np.integer)):
        return tf.constant([int(seed) % 2**31, int(seed) // 2**31 % 2**31], tf.int32)
    seed = tf.cast(tf.convert_to_tensor(seed), tf.int32)
    if seed.shape != (2,):
        raise ValueError(
            f"A seed is an integer or a pair of integers, but found shape {tuple(seed.shape)}."
        )
    return seed


def own_rows(draw: Callable[[tf.Tensor], tf.Tensor], batch, axis: int = 0) -> tf.Tensor:
    """What `draw` returns for the examples of all replicas, cut to those of this replica.

    So the noise of a global batch does not depend on the number of replicas that share it, and no
    two of its examples have the same.

    Args:
        draw: function of a number of examples.
        batch: examples of this replica; the others have as many.
        axis: that of the examples in what is drawn.
    """
    replica, num_replicas = replica_and_number()
    if num_replicas == 1:
        return draw(batch)
    return tf.gather(draw(num_replicas * batch), replica * batch + tf.range(batch), axis=axis)


def replica_and_number():
    """Number of the replica that this code runs on, and how many there are: 0, 1 outside of any."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync
