"""Data sets of the user's own, good and bad."""

import sys
import types

import numpy as np
import pytest
from PIL import Image

from tfflows import data


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)


def save(path, array):
    np.save(path, array)
    return path


def vectors(n=50, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def images(*shape, high=256, seed=0):
    return np.random.default_rng(seed).integers(high, size=shape, dtype="uint8")


def save_images(folder, arrays, suffix=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{i:03}{suffix}")


def rows(*arrays):
    return sorted(tuple(row) for array in arrays for row in array.reshape(len(array), -1).tolist())


def test_npy_of_vectors_is_cast_and_split(tmp_path):
    x = vectors(53)
    path = save(tmp_path / "table.npy", x)
    d = data.load(path)
    assert (d.name, d.event_shape, d.num_bits, d.num_classes) == ("table", (3,), None, None)
    assert (len(d.train), len(d.validation), len(d.test)) == (43, 5, 5)
    assert d.train.x.dtype == np.float32
    assert rows(d.train.x, d.validation.x, d.test.x) == rows(x.astype("float32"))
    np.testing.assert_array_equal(data.load(str(path)).test.x, d.test.x)
    assert rows(data.load(path, seed=1).test.x) != rows(d.test.x)
    assert "table.npy" in d.description and "43 train" in d.description


def test_npz_with_x_and_y_keeps_examples_and_labels_together(tmp_path):
    y = np.arange(40) % 7
    np.savez(tmp_path / "a.npz", x=vectors(40) * 0 + y[:, None], y=y.astype("uint8"))
    d = data.load(tmp_path / "a.npz")
    assert d.num_classes == 7
    for split in (d.train, d.validation, d.test):
        assert split.y.dtype == np.int64
        np.testing.assert_array_equal(split.x[:, 0], split.y)


def test_npz_with_three_splits(tmp_path):
    x = {split: vectors(n) for split, n in (("train", 9), ("validation", 2), ("test", 3))}
    np.savez(tmp_path / "a.npz", **x, y_test=[0, 1, 5])
    d = data.load(tmp_path / "a.npz")
    for split in x:
        np.testing.assert_array_equal(getattr(d, split).x, x[split].astype("float32"))
    assert d.train.y is None and d.test.y.tolist() == [0, 1, 5] and d.num_classes == 6


def test_npz_of_keras_layout_draws_validation_from_train(tmp_path):
    x_train, x_test = images(30, 4, 4, 3), images(6, 4, 4, 3, seed=1)
    y_train = x_train[:, 0, 0, :1]  # [n, 1], as in CIFAR-10
    np.savez(tmp_path / "a.npz", x_train=x_train, y_train=y_train, x_test=x_test)
    d = data.load(tmp_path / "a.npz")
    assert (len(d.train), len(d.validation), len(d.test)) == (27, 3, 6)
    assert rows(d.train.x, d.validation.x) == rows(x_train)
    np.testing.assert_array_equal(d.validation.y, d.validation.x[:, 0, 0, 0])
    np.testing.assert_array_equal(d.test.x, x_test)


def test_npy_of_images(tmp_path):
    x = images(20, 5, 4, high=32).astype("int64")
    d = data.load(save(tmp_path / "grey.npy", x), num_bits=5)
    assert (d.event_shape, d.num_bits, d.train.x.dtype) == ((5, 4, 1), 5, np.uint8)
    assert rows(d.train.x, d.validation.x, d.test.x) == rows(x)
    assert data.load(save(tmp_path / "rgb.npy", images(20, 5, 4, 3))).event_shape == (5, 4, 3)


def test_names_in_the_data_folder(tmp_path, monkeypatch):
    save(tmp_path / "a.npy", vectors(20, 2))
    np.savez(tmp_path / "b.npz", x=vectors(20, 3))
    save_images(tmp_path / "c", images(10, 4, 4))
    shapes = {"a": (2,), "a.npy": (2,), "b": (3,), "c": (4, 4, 1)}
    for name, shape in shapes.items():
        assert data.load(name, root=tmp_path).event_shape == shape
    monkeypatch.setenv("TFFLOWS_DATA", str(tmp_path))
    for name, shape in shapes.items():
        assert data.load(name).event_shape == shape
    with pytest.raises(FileNotFoundError, match="root is '.*nowhere': expected an existing"):
        data.load("a", root=tmp_path / "nowhere")
    monkeypatch.setenv("TFFLOWS_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="TFFLOWS_DATA is '.*nowhere': expected"):
        data.load("a")
    assert data.load("moons").event_shape == (2,)  # needs no folder


BAD_ARRAYS = {
    "nan": (np.array([[np.nan, 1], [np.inf, 1], [-np.inf, 1]]), "1 NaN and 2 infinite values"),
    "overflow": (np.full((20, 2), 1e300), "0 NaN and 40 infinite values in float32"),
    "empty": (np.zeros((0, 3)), r"empty, of shape \(0, 3\): expected at least one example"),
    "strings": (np.array([["a", "b"]]), "dtype <U1: expected floats"),
    "objects": (np.array([{}, None]), "cannot be read .*expected a NumPy file of plain numbers"),
    "booleans": (np.ones((20, 4, 4), bool), "dtype bool: expected floats"),
    "float rank": (np.zeros((20, 4, 4)), r"\(20, 4, 4\): expected vectors \[n, D\]"),
    "integer rank": (np.zeros((20, 4), int), r"\(20, 4\): expected images \[n, height, width\]"),
    "too bright": (np.full((20, 2, 2), 256), "pixels from 256 to 256: expected 0 to 255"),
    "negative": (np.full((20, 2, 2), -1), "pixels from -1 to -1: expected 0 to 255"),
    "few": (vectors(9), "9 training examples, too few .*: expected at least 10"),
}


@pytest.mark.parametrize("kind", BAD_ARRAYS)
def test_bad_arrays(kind, tmp_path):
    array, message = BAD_ARRAYS[kind]
    np.save(tmp_path / "bad.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message) as error:
        data.load(tmp_path / "bad.npy")
    assert "bad" in str(error.value) and str(error.value).endswith(".")


def test_pixels_are_checked_against_the_declared_bits(tmp_path):
    path = save(tmp_path / "x.npy", np.full((20, 2, 2), 32, "uint8"))
    with pytest.raises(ValueError, match="from 32 to 32: expected 0 to 31 for num_bits=5"):
        data.load(path, num_bits=5)
    assert data.load(path, num_bits=6).num_bits == 6


BAD_NPZ = {
    "keys": ({"a": vectors()}, r"has the keys \['a'\]: expected x"),
    "no train": ({"x_test": vectors()}, r"has the keys \['x_test'\]: expected x"),
    "shapes": (
        {"train": vectors(), "test": vectors(d=4)},
        r"'test' .* float32 examples of shape \(4,\): expected float32 of shape \(3,\)",
    ),
    "kinds": ({"train": vectors(), "test": images(5, 2, 2)}, "'test' .* uint8 examples"),
    "nan in test": ({"train": vectors(), "test": vectors() * np.nan}, "'test' .* 150 NaN"),
    "label count": ({"x": vectors(), "y": np.arange(49)}, r"shape \(49,\): expected .*\(50,\)"),
    "label dtype": ({"x": vectors(), "y": np.ones(50)}, "dtype float64 .*: expected integers"),
    "label sign": ({"x": vectors(), "y": np.arange(50) - 1}, "start at -1: expected 0 or more"),
}


@pytest.mark.parametrize("kind", BAD_NPZ)
def test_bad_npz(kind, tmp_path):
    arrays, message = BAD_NPZ[kind]
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=message) as error:
        data.load(tmp_path / "bad.npz")
    assert "bad" in str(error.value) and str(error.value).endswith(".")


def test_damaged_numpy_files(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=vectors())
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF  # a wrong checksum
    (tmp_path / "a.npz").write_bytes(content)
    start = 30 + content[26] + content[28]  # the local header with its name and extra field
    content[start] = 0xFF  # a block type that zlib does not know
    (tmp_path / "f.npz").write_bytes(content)
    (tmp_path / "b.npy").write_text("1,2,3")
    (tmp_path / "c.npy").write_bytes(save(tmp_path / "d.npy", vectors()).read_bytes()[:300])
    (tmp_path / "e.npy").touch()
    for name in ("a.npz", "b.npy", "c.npy", "e.npy", "f.npz"):
        with pytest.raises(ValueError, match=f"{name}' cannot be read .*expected a NumPy file"):
            data.load(tmp_path / name)


def test_missing_files(tmp_path):
    for source in (tmp_path / "x.npy", tmp_path / "folder", "x.npz"):
        with pytest.raises(FileNotFoundError, match="no file or folder .*: expected a file ending"):
            data.load(source)
    (tmp_path / "x.txt").write_text("1,2")
    with pytest.raises(ValueError, match="x.txt' has an unknown ending: expected .npy, .npz, .csv"):
        data.load(tmp_path / "x.txt")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".WEBP"])
def test_folder_of_images(suffix, tmp_path):
    x = images(30, 6, 5, 3)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, array in enumerate(x):
        options = {"lossless": True} if suffix == ".WEBP" else {}
        Image.fromarray(array).save(folder / f"{i:03}{suffix}", **options)
    (folder / "notes.txt").write_text("not an image")
    d = data.load(folder)
    assert (d.name, d.event_shape, d.num_bits) == ("photos", (6, 5, 3), 8)
    assert (len(d.train), len(d.validation), len(d.test)) == (24, 3, 3)
    order = np.random.default_rng(0).permutation(30)  # so files come in sorted order
    np.testing.assert_array_equal(d.test.x, x[order[27:]])
    assert d.num_classes is None
    d = data.load(folder, num_bits=3)
    np.testing.assert_array_equal(d.test.x, x[order[27:]] // 32)
    assert d.num_bits == 3


def test_folder_of_jpegs_is_close_to_what_was_saved(tmp_path):
    save_images(tmp_path / "a", [np.full((8, 8), 100, "uint8")] * 10, ".jpg")
    d = data.load(tmp_path / "a")
    assert d.event_shape == (8, 8, 1)
    assert np.abs(d.train.x.astype(int) - 100).max() <= 2


def test_folders_are_classes(tmp_path):
    save_images(tmp_path / "a" / "dog", [np.full((2, 2), 7, "uint8")] * 6)
    save_images(tmp_path / "a" / "cat" / "small", [np.full((2, 2), 3, "uint8")] * 6)
    d = data.load(tmp_path / "a")
    assert d.num_classes == 2
    for split in (d.train, d.validation, d.test):
        np.testing.assert_array_equal(split.x[:, 0, 0, 0], np.where(split.y == 0, 3, 7))
    save_images(tmp_path / "a", [np.zeros((2, 2), "uint8")])
    assert data.load(tmp_path / "a").num_classes is None


def test_folders_are_splits(tmp_path):
    for split, n in (("train", 20), ("test", 3)):
        for value, label in enumerate(("cat", "dog")):
            pixels = np.full((2, 2), value + (10 if split == "test" else 0), "uint8")
            save_images(tmp_path / "a" / split / label, [pixels] * n)
    d = data.load(tmp_path / "a")
    assert (len(d.train), len(d.validation), len(d.test)) == (36, 4, 6)
    np.testing.assert_array_equal(d.test.x[:, 0, 0, 0], d.test.y + 10)
    np.testing.assert_array_equal(d.validation.x[:, 0, 0, 0], d.validation.y)
    (tmp_path / "a" / "val").mkdir()
    with pytest.raises(ValueError, match=r"has \['val'\] beside 'train': expected no folders but"):
        data.load(tmp_path / "a")


def test_bad_images_are_named(tmp_path):
    folder = tmp_path / "a"
    save_images(folder, images(12, 32, 32, 3))
    good = (folder / "005.png").read_bytes()
    for content in (good[:1000], b"not an image", b"", good[:40] + b"\0" * 500):
        (folder / "005.png").write_bytes(content)
        with pytest.raises(ValueError, match="005.png' cannot be read .*: expected a whole image"):
            data.load(folder, skip_corrupt=False)
    (folder / "005.png").write_bytes(good)
    data.load(folder)
    for image, message in (
        (images(16, 32, 3), r"007.png' has the shape \(16, 32, 3\): expected \(32, 32, 3\)"),
        (images(32, 32), r"007.png' has the shape \(32, 32, 1\): expected \(32, 32, 3\)"),
        (images(32, 32, 4), "007.png' has the mode 'RGBA': expected 'L' or 'RGB'"),
        (np.zeros((32, 32), "uint16"), "007.png' has the mode I;16: expected 8 bits"),
    ):
        Image.fromarray(image).save(folder / "007.png")
        with pytest.raises(ValueError, match=message):
            data.load(folder)


def test_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match="holds no images: expected files ending in .bmp"):
        data.load(tmp_path)


def test_images_without_pillow(tmp_path, monkeypatch):
    save_images(tmp_path, images(10, 4, 4))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"needs Pillow, .*: pip install tfflows\[data\]"):
        data.load(tmp_path)


def stub_tfds(monkeypatch, splits):
    calls = []

    def tfds_load(name, **options):
        calls.append((name, options))
        return splits

    module = types.SimpleNamespace(load=tfds_load, as_numpy=lambda loaded: loaded)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    return calls


def test_tfds(tmp_path, monkeypatch):
    x = images(40, 4, 4, 3)
    splits = {
        "train": {"image": x[:30], "label": np.arange(30) % 3},
        "test": {"image": x[30:], "label": np.arange(10) % 3},
        "extra": {"image": x},
    }
    calls = stub_tfds(monkeypatch, splits)
    d = data.load("tfds:some_set", root=tmp_path, num_bits=5)
    assert calls == [("some_set", {"batch_size": -1, "data_dir": tmp_path, "download": True})]
    assert (d.name, d.num_bits, d.num_classes) == ("tfds:some_set", 5, 3)
    assert (len(d.train), len(d.validation), len(d.test)) == (27, 3, 10)
    np.testing.assert_array_equal(d.test.x, x[30:] // 8)


def test_tfds_errors(monkeypatch):
    stub_tfds(monkeypatch, {"test": {"image": images(20, 4, 4)}})
    with pytest.raises(ValueError, match=r"has the splits \['test'\]: expected 'train'"):
        data.load("tfds:a")
    stub_tfds(monkeypatch, {"train": {"text": np.zeros(5)}})
    with pytest.raises(ValueError, match=r"has the features \['text'\]: expected 'image'"):
        data.load("tfds:a")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"pip install tfflows\[data\]"):
        data.load("tfds:a")
