"""Built-in data sets, names and bits."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tfflows import data


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)


def test_names_are_what_load_knows():
    assert data.names() == sorted(data.names())
    assert set(data.names()) == {*data.toy.DENSITIES, "digits", "mnist"}


@pytest.mark.parametrize("name", list(data.toy.DENSITIES))
def test_toy_splits_are_documented_draws(name):
    d = data.load(name)
    assert (d.name, d.event_shape, d.num_bits) == (name, (2,), None)
    for split, n, seed in (("train", 50000, 0), ("validation", 5000, 1), ("test", 10000, 2)):
        x, y = getattr(d, split)
        expected_x, expected_y = data.toy.DENSITIES[name](n, seed)
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)
    train = {tuple(row) for row in d.train.x.tolist()}
    assert train.isdisjoint(map(tuple, d.validation.x.tolist()))
    assert train.isdisjoint(map(tuple, d.test.x.tolist()))


def test_classes_of_the_toys():
    classes = {name: data.load(name).num_classes for name in ("moons", "rings", "swiss_roll")}
    assert classes == {"moons": 2, "rings": 4, "swiss_roll": None}


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


def mnist_arrays():
    """Arrays of MNIST's shapes, whose first two pixels tell their row."""

    def numbered(n, first):
        x = np.zeros((n, 28, 28), "uint8")
        x[:, 0, 0], x[:, 0, 1] = np.divmod(np.arange(first, first + n), 256)
        return x, (np.arange(n) % 10).astype("uint8")

    return numbered(60000, 0), numbered(10000, 3)


def check_mnist(d, first=0):
    assert (d.name, d.event_shape, d.num_bits, d.num_classes) == ("mnist", (28, 28, 1), 8, 10)
    for split, n, start in (
        (d.train, 50000, 0),
        (d.validation, 10000, 50000),
        (d.test, 10000, 3),
    ):
        row = split.x[:, 0, 0, 0].astype(int) * 256 + split.x[:, 0, 1, 0]
        np.testing.assert_array_equal(row, np.arange(start, start + n))
        assert split.y[3] == 3


def test_mnist_comes_from_the_data_folder_and_else_from_keras(tmp_path, monkeypatch):
    (x_train, y_train), (x_test, y_test) = mnist_arrays()
    downloads = []

    def load_data():
        downloads.append(1)
        return (x_train, y_train), (x_test, y_test)

    monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)
    check_mnist(data.load("mnist"))
    check_mnist(data.load("mnist", root=tmp_path))
    assert len(downloads) == 2
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    np.savez(tmp_path / "mnist.npz", **arrays)
    check_mnist(data.load("mnist", root=tmp_path))
    monkeypatch.setenv("TFFLOWS_DATA", str(tmp_path))
    check_mnist(data.load("mnist"))
    assert len(downloads) == 2
    assert data.load("mnist", num_bits=1).num_bits == 1
    np.testing.assert_array_equal(data.load("mnist", num_bits=1).test.x, x_test[..., None] // 128)


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


def test_unknown_name():
    with pytest.raises(ValueError) as error:
        data.load("moon")
    message = str(error.value)
    assert "no data set 'moon' (did you mean 'moons'?): expected one of checkerboard," in message
    assert all(name in message for name in data.names())
    with pytest.raises(ValueError, match="no data set 'zzz': expected one of"):
        data.load("zzz")


@pytest.mark.parametrize("num_bits", [0, 9, 4.0, "8"])
def test_bits_out_of_range(num_bits):
    for call in (data.load, lambda _, num_bits: data.reduce_bits(np.zeros(1, "uint8"), num_bits)):
        with pytest.raises(ValueError, match=f"num_bits is {num_bits!r}: expected an integer from"):
            call("digits", num_bits=num_bits)


def test_reduce_bits_keeps_the_top_bits():
    x = np.arange(256).astype("uint8")
    for num_bits in range(1, 9):
        reduced = data.reduce_bits(x, num_bits)
        assert reduced.dtype == np.uint8
        expected = np.repeat(np.arange(2**num_bits), 2 ** (8 - num_bits))
        np.testing.assert_array_equal(reduced, expected)
    with pytest.raises(ValueError, match="dtype float32: expected uint8"):
        data.reduce_bits(np.zeros(3, "float32"), 5)
    with pytest.raises(ValueError, match="num_bits is 5: expected at most the stored 4 bits"):
        data.reduce_bits(x, 5, stored_bits=4)


def test_import_is_light():
    package = pathlib.Path(data.__file__).parents[1]
    # A bare stand-in for the top-level package, so that only what tfflows.data needs is imported.
    code = f"""
import sys, types
package = types.ModuleType("tfflows")
package.__path__ = [{str(package)!r}]
sys.modules["tfflows"] = package
import tfflows.data
heavy = {{"tensorflow", "keras", "sklearn", "scipy", "PIL", "tensorflow_datasets"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
