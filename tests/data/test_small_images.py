"""Digits, MNIST and CIFAR-10."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tfflows import data

SHAPES = {"mnist": (28, 28), "cifar10": (32, 32, 3)}
TRAIN = {"mnist": (60000, 50000), "cifar10": (50000, 45000)}  # official, and without validation


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)


def test_digits_are_scikit_learns():
    d = data.load("digits")
    assert (d.event_shape, d.num_bits, d.num_classes) == ((8, 8, 1), 4, 10)
    assert (len(d.train), len(d.validation), len(d.test)) == (1197, 300, 300)
    reference = load_digits()
    x = np.concatenate([d.train.x, d.validation.x, d.test.x])
    y = np.concatenate([d.train.y, d.validation.y, d.test.y])
    order = np.random.default_rng(0).permutation(1797)
    expected = reference.images[order]
    assert x.dtype == np.uint8 and x.max() == 15
    assert np.array_equal(x[..., 0][expected < 16], expected[expected < 16])
    assert (x[..., 0][expected == 16] == 15).all()
    np.testing.assert_array_equal(y, reference.target[order])
    assert "CC BY 4.0" in d.description and "merged" in d.description


def test_digits_with_fewer_bits():
    d = data.load("digits", num_bits=2)
    assert d.num_bits == 2
    np.testing.assert_array_equal(d.train.x, data.load("digits").train.x // 4)


def keras_arrays(name):
    """Arrays of a data set's shapes, whose first two pixels tell their row."""

    def numbered(n, first):
        x = np.zeros((n, *SHAPES[name]), "uint8")
        row = np.arange(first, first + n)
        x[:, 0, 0], x[:, 0, 1] = (
            part.reshape(-1, *[1] * (x.ndim - 3)) for part in np.divmod(row, 256)
        )
        y = (np.arange(n) % 10).astype("uint8")
        return x, y if name == "mnist" else y[:, None]

    (x_train, y_train), (x_test, y_test) = numbered(TRAIN[name][0], 0), numbered(10000, 3)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def check(d, name):
    shape = (28, 28, 1) if name == "mnist" else (32, 32, 3)
    assert (d.name, d.event_shape, d.num_bits, d.num_classes) == (name, shape, 8, 10)
    official, train = TRAIN[name]
    for split, n, start in (
        (d.train, train, 0),
        (d.validation, official - train, train),
        (d.test, 10000, 3),
    ):
        row = split.x[:, 0, 0, -1].astype(int) * 256 + split.x[:, 0, 1, -1]
        np.testing.assert_array_equal(row, np.arange(start, start + n))
        assert split.y.shape == (n,) and split.y[3] == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_it_comes_from_the_data_folder_and_else_from_keras(name, tmp_path, monkeypatch):
    arrays = keras_arrays(name)
    downloads = []

    def load_data():
        downloads.append(1)
        a = dict(arrays)
        return (a["x_train"], a["y_train"]), (a["x_test"], a["y_test"])

    monkeypatch.setattr(getattr(keras.datasets, name), "load_data", load_data)
    check(data.load(name), name)
    check(data.load(name, root=tmp_path), name)
    assert len(downloads) == 2
    np.savez(tmp_path / f"{name}.npz", **arrays)
    check(data.load(name, root=tmp_path), name)
    monkeypatch.setenv("TFFLOWS_DATA", str(tmp_path))
    check(data.load(name), name)
    assert len(downloads) == 2
    coarse = data.load(name, num_bits=1)
    assert coarse.num_bits == 1
    expected = arrays["x_test"].reshape(coarse.test.x.shape) // 128
    np.testing.assert_array_equal(coarse.test.x, expected)


@pytest.mark.parametrize("name", SHAPES)
def test_nothing_is_downloaded_where_download_is_off(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no {name}.npz in root or .* download is off"):
        data.load(name, root=tmp_path, download=False)


def test_cifar10_may_have_flat_labels(tmp_path):
    arrays = keras_arrays("cifar10")
    arrays = {key: a[:, 0] if a.ndim == 2 else a for key, a in arrays.items()}
    np.savez(tmp_path / "cifar10.npz", **arrays)
    d = data.load("cifar10", root=tmp_path)
    check(d, "cifar10")
    assert "Krizhevsky" in d.description and "last 5,000" in d.description


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": np.zeros((5, 28, 28), "uint8")}, r"x_train uint8 \(5, 28, 28\): expected"),
        ({"y_test": np.zeros(10000, "float32")}, r"y_test float32 \(10000,\): expected uint8"),
        ({"x_test": None}, r"x_test missing: expected uint8 \(10000, 28, 28\)"),
    ],
)
def test_mnist_file_is_checked(change, message, tmp_path):
    arrays = {
        "x_train": np.zeros((60000, 28, 28), "uint8"),
        "y_train": np.zeros(60000, "uint8"),
        "x_test": np.zeros((10000, 28, 28), "uint8"),
        "y_test": np.zeros(10000, "uint8"),
    } | change
    np.savez(tmp_path / "mnist.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(ValueError, match=message) as error:
        data.load("mnist", root=tmp_path)
    assert "mnist.npz" in str(error.value)
