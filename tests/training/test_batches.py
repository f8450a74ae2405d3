"""Orders, flips and parts of the batches of a run."""

import numpy as np
import tensorflow as tf

from tfflows.data import Split
from tfflows.training import training_batches
from tfflows.training.batches import distributed, in_parts


def numbers(n):
    return Split(np.arange(n), np.arange(n) % 3)


def arrays(dataset):
    return [[np.asarray(part) for part in element] for element in dataset]


def test_each_epoch_sees_each_example_once_in_an_order_of_its_own():
    batches = arrays(training_batches(numbers(12), batch_size=4, seed=5).take(9))
    assert len(batches) == 9
    epochs = [np.concatenate([x for x, _ in batches[i : i + 3]]) for i in (0, 3, 6)]
    for epoch in epochs:
        assert sorted(epoch) == [*range(12)]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    for x, y in batches:
        np.testing.assert_array_equal(y, x % 3)


def test_what_does_not_fill_a_batch_is_left_out_by_turns():
    batches = np.array([*training_batches(Split(np.arange(7)), batch_size=3).take(40)])
    left_out = [set(range(7)) - set(np.ravel(epoch)) for epoch in np.split(batches, 20)]
    assert {len(rest) for rest in left_out} == {1}
    assert len(set().union(*left_out)) > 3


def test_a_resumed_run_sees_what_the_whole_one_sees():
    images = np.random.default_rng(0).integers(256, size=(10, 2, 3, 1)).astype("uint8")
    whole = [*training_batches(Split(images), 5, seed=1, flip=True).take(8)]
    rest = [*training_batches(Split(images), 5, seed=1, first_pass=3, flip=True).take(2)]
    np.testing.assert_array_equal(whole[6:], rest)
    other = [*training_batches(Split(images), 5, seed=2, first_pass=3, flip=True).take(2)]
    assert not np.array_equal(rest, other)


def test_half_of_the_images_are_flipped():
    images = np.arange(200)[:, None, None, None] + np.array([0, 1000])[None, None, :, None]
    batch = next(iter(training_batches(Split(images), 200, flip=True)))
    differences = (batch[:, :, 1] - batch[:, :, 0]).numpy().ravel()
    assert set(differences) == {1000, -1000}
    assert 70 < np.sum(differences < 0) < 130
    np.testing.assert_array_equal(np.sort(np.min(batch, axis=(1, 2, 3))), np.arange(200))


def test_replicas_get_the_parts_of_the_global_batch(two_replicas):
    batches = training_batches(numbers(12), batch_size=6).take(4)
    parts = distributed(two_replicas, batches)
    for (x, y), (xs, ys) in zip(batches, parts, strict=True):
        for whole, part in ((x, xs), (y, ys)):
            found = two_replicas.experimental_local_results(part)
            assert [len(values) for values in found] == [3, 3]
            np.testing.assert_array_equal(np.concatenate(found), whole)
    assert distributed(tf.distribute.get_strategy(), batches) is batches


def test_batches_of_a_run_do_not_tune_themselves():
    batches = training_batches(numbers(12), batch_size=4)
    for pipeline in (batches, in_parts(batches, 2)):
        assert pipeline.options().autotune.enabled is False
