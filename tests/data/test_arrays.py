"""Attributes of arrays, good and bad."""

import numpy as np
import pytest

from tfflows import data


def vectors(n):
    return np.arange(n)[:, None] * np.ones((n, 2))


def attributes(n, k=3):
    return (np.arange(n)[:, None] >> np.arange(k)) % 2 == 1


def load(tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return data.load(tmp_path / "a.npz")


def test_attributes_become_context_vectors(tmp_path):
    names = ["Smiling", "Young", "Bald"]
    x = {"train": vectors(9), "validation": vectors(4), "test": vectors(5)}
    y = {f"y_{split}": attributes(len(x)) for split, x in x.items()}
    d = load(tmp_path, **x, **y, attribute_names=names)
    assert (d.context_dim, d.num_classes, d.attribute_names) == (3, None, tuple(names))
    for split in x:
        found = getattr(d, split).y
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, y[f"y_{split}"])


def test_attributes_stay_with_drawn_splits(tmp_path):
    d = load(tmp_path, x=vectors(50), y=attributes(50, k=6))
    assert (d.context_dim, d.attribute_names) == (6, None)
    for split in (d.train, d.validation, d.test):
        np.testing.assert_array_equal(split.y @ 2 ** np.arange(6), split.x[:, 0])


def test_one_attribute_is_no_class(tmp_path):
    d = load(tmp_path, x=vectors(20), y=attributes(20, k=1))
    assert (d.context_dim, d.num_classes, d.train.y.shape) == (1, None, (16, 1))


def test_a_split_may_lack_attributes(tmp_path):
    d = load(tmp_path, train=vectors(20), test=vectors(9), y_train=attributes(20))
    assert d.context_dim == 3 and d.test.y is None


TRAIN = {"train": vectors(20), "y_train": attributes(20)}
BAD = {
    "rows": (
        {"x": vectors(20), "y": attributes(19)},
        r"bool and shape \(19, 3\): expected .* or booleans of shape \(20, k\)",
    ),
    "rank": ({"x": vectors(20), "y": np.ones(20, bool)}, r"shape \(20,\): expected .* \(20, k\)"),
    "none": ({"x": vectors(20), "y": np.ones((20, 0), bool)}, r"shape \(20, 0\): expected"),
    "floats": ({"x": vectors(20), "y": np.ones((20, 3))}, "dtype float64 .*: expected integers"),
    "length": (
        TRAIN | {"test": vectors(5), "y_test": attributes(5, k=4)},
        "'test' of data set 'a' has 4 attributes: expected 3 attributes, as in 'train'",
    ),
    "classes": (
        TRAIN | {"test": vectors(5), "y_test": np.arange(5)},
        "'test' of data set 'a' has labels of classes: expected 3 attributes, as in 'train'",
    ),
    "names": (
        TRAIN | {"attribute_names": ["a", "b"]},
        r"attribute_names .* dtype <U1 and shape \(2,\): expected strings of shape \(3,\)",
    ),
    "numbers as names": (TRAIN | {"attribute_names": [1, 2, 3]}, "dtype int64 and shape .*strings"),
    "names of classes": (
        {"x": vectors(20), "y": np.arange(20), "attribute_names": ["a"]},
        r"expected strings of shape \(0,\), one for each of 0 attributes",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_attributes(kind, tmp_path):
    arrays, message = BAD[kind]
    with pytest.raises(ValueError, match=message) as error:
        load(tmp_path, **arrays)
    assert "'a'" in str(error.value) and str(error.value).endswith(".")
