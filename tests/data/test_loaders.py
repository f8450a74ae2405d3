"""Built-in data sets, names and bits."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tfflows import data


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)


def test_names_are_what_load_knows():
    assert data.names() == sorted(data.names())
    assert set(data.names()) == {
        *data.toy.DENSITIES,
        *("bsds300", "celeba32", "celeba64", "cifar10", "digits", "mnist", "power", "protein"),
    }


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


def test_unknown_name():
    with pytest.raises(ValueError) as error:
        data.load("moon")
    message = str(error.value)
    assert "no data set 'moon' (did you mean 'moons'?): expected one of bsds300," in message
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
