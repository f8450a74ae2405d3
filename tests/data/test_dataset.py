"""Splits and their `tf.data` pipelines."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfflows import data
from tfflows.data import Dataset, Split


def make(n=50, labels=True):
    def split(n, start):
        x = np.arange(start, start + n)
        return Split(np.stack([x, x], axis=1).astype("float32"), x if labels else None)

    return Dataset("counts", "Rows.", split(n, 0), split(10, n), split(10, n + 10), None)


def epoch(batches):
    return [batch.numpy()[:, 0].astype(int).tolist() for batch in batches]


def flat(epoch):
    return [i for batch in epoch for i in batch]


def test_a_split_has_a_length_and_unpacks():
    split = make().train
    x, y = split
    assert x is split.x and y is split.y and len(split) == 50
    with pytest.raises(dataclasses.FrozenInstanceError):
        split.x = x


def test_repr_is_short():
    assert repr(make()) == "Dataset(name='counts', description='Rows.', num_bits=None)"


def test_train_is_shuffled_anew_each_epoch_and_drops_the_rest():
    batches = make().dataset("train", batch_size=8)
    first, second = epoch(batches), epoch(batches)
    assert [len(batch) for batch in first] == [8] * 6
    assert batches.element_spec == tf.TensorSpec((8, 2), tf.float32)
    for order in (flat(first), flat(second)):
        assert len(set(order)) == 48 and set(order) <= set(range(50))
        assert order != sorted(order)
    assert first != second


def test_other_splits_come_in_order_and_whole():
    batches = make().dataset("validation", batch_size=8)
    assert epoch(batches) == [list(range(50, 58)), [58, 59]]
    assert flat(epoch(make().dataset("test", batch_size=8))) == list(range(60, 70))


def test_order_follows_from_the_seed():
    def epochs(seed):
        batches = make().dataset("train", batch_size=8, seed=seed)
        return [epoch(batches) for _ in range(3)]

    assert epochs(0) == epochs(0)
    assert epochs(0)[0] != epochs(1)[0]


def test_shuffle_and_drop_remainder_can_be_chosen():
    d = make()
    plain = d.dataset("train", batch_size=8, shuffle=False, drop_remainder=False)
    assert flat(epoch(plain)) == list(range(50))
    mixed = d.dataset("test", batch_size=4, shuffle=True, drop_remainder=True)
    assert [len(batch) for batch in epoch(mixed)] == [4, 4]
    assert flat(epoch(mixed)) != sorted(flat(epoch(mixed)))


def test_labels_stay_with_their_examples():
    for x, y in make().dataset("train", batch_size=8, labels=True):
        assert y.dtype == tf.int64
        np.testing.assert_array_equal(x[:, 0], y)


def test_images_stay_uint8():
    d = data.load("digits")
    batches = d.dataset("test", batch_size=300)
    assert batches.element_spec == tf.TensorSpec((None, 8, 8, 1), tf.uint8)
    np.testing.assert_array_equal(next(iter(batches)), d.test.x)


def test_batches_are_shared_out_by_a_strategy():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    batches = make().dataset("test", batch_size=8)
    shared = [
        batch.numpy()[:, 0].tolist() for batch in strategy.experimental_distribute_dataset(batches)
    ]
    assert shared == epoch(batches)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "val"}, "no split 'val': expected one of 'train', 'validation', 'test'"),
        ({"split": "train", "labels": True}, "'train' of data set 'counts' has no labels: expec"),
        ({"split": "train", "batch_size": 0}, "batch_size is 0: expected an integer of at least 1"),
        ({"split": "train", "batch_size": 2.5}, "batch_size is 2.5: expected an integer"),
        ({"split": "train", "batch_size": 51}, "50 examples, fewer than batch_size 51, .* at most"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make(labels=False).dataset(**options)


def test_a_small_last_batch_is_enough_without_drop_remainder():
    batches = make().dataset("train", batch_size=51, drop_remainder=False)
    assert [len(batch) for batch in epoch(batches)] == [50]


def photos(n=40, seed=0):
    """Images of which none is its own mirror image, with attributes that tell their row."""
    x = np.random.default_rng(seed).integers(256, size=(n, 4, 5, 3), dtype="uint8")
    y = (np.arange(n)[:, None] >> np.arange(6)) % 2
    split = Split(x, y.astype("float32"))
    return Dataset("photos", "Noise.", split, split, split, 8)


def flips(batches, x):
    """Which images of one pass are mirrored; each must be either the original or its mirror."""
    found = np.zeros(len(x), int)
    for batch, y in batches:
        rows = (y.numpy() @ 2 ** np.arange(6)).astype(int)
        plain = (batch.numpy() == x[rows]).all(axis=(1, 2, 3))
        mirrored = (batch.numpy() == np.flip(x[rows], axis=2)).all(axis=(1, 2, 3))
        assert (plain ^ mirrored).all()
        found[rows] = mirrored
    return found


def test_attributes_stay_with_their_examples():
    d = photos()
    assert (d.context_dim, d.num_classes, d.attribute_names) == (6, None, None)
    batches = d.dataset("train", batch_size=8, labels=True)
    assert batches.element_spec[1] == tf.TensorSpec((8, 6), tf.float32)
    assert flips(batches, d.train.x).sum() == 0
    assert (make().context_dim, make(labels=False).context_dim) == (None, None)


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [False, True])
def test_flips_are_new_in_each_pass_and_follow_from_the_seed(shuffle):
    d = photos()

    def passes(seed):
        batches = d.dataset("train", 8, labels=True, shuffle=shuffle, seed=seed, flip=True)
        assert batches.element_spec[0] == tf.TensorSpec((8, 4, 5, 3), tf.uint8)
        assert len(batches) == 5
        return np.stack([flips(batches, d.train.x) for _ in range(30)])

    found = passes(0)
    np.testing.assert_array_equal(found, passes(0))
    assert (found != passes(1)).any()
    assert len(np.unique(found, axis=0)) == 30  # no two passes are alike
    assert len(np.unique(found, axis=1).T) == 40  # nor two images
    # 1,200 fair coins: four standard errors.
    assert abs(found.mean() - 0.5) < 4 * 0.5 / np.sqrt(found.size)


def test_flips_without_labels_or_shuffle():
    d = photos()
    batches = d.dataset("test", batch_size=16, flip=True)
    x = np.concatenate(list(batches.as_numpy_iterator()))
    mirrored = (x != d.test.x).any(axis=(1, 2, 3))
    assert 0 < mirrored.sum() < 40
    np.testing.assert_array_equal(x[mirrored], np.flip(d.test.x, axis=2)[mirrored])


def test_flipped_batches_are_shared_out_by_a_strategy(two_replicas):
    batches = photos().dataset("train", batch_size=8, flip=True)
    shapes = [
        tuple(part.shape)
        for batch in two_replicas.experimental_distribute_dataset(batches)
        for part in two_replicas.experimental_local_results(batch)
    ]
    assert shapes == [(4, 4, 5, 3)] * 10


def test_vectors_cannot_be_flipped():
    with pytest.raises(ValueError, match=r"holds vectors of shape \(2,\).*: expected flip=False"):
        make().dataset("train", batch_size=8, flip=True)


def test_pipelines_do_not_tune_themselves():
    """Nor does what is made of one; to delete their iterators could take a minute."""
    batches = make().dataset("train", batch_size=8)
    for pipeline in (batches, batches.map(lambda x: x + 1).repeat()):
        assert pipeline.options().autotune.enabled is False
