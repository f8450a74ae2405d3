"""CelebA from small folders, arrays and a stand-in for TensorFlow Datasets."""

import sys
import types

import numpy as np
import pytest
from PIL import Image

from tfflows import data
from tfflows.data.celeba import shrink

NAMES = ["Bald", "Male", "Smiling", "Young"]
N = 30


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)


def faces(n=N, seed=0):
    """Smooth pictures, which JPEG keeps well, with pixels from 0 to 255."""
    coarse = np.random.default_rng(seed).integers(256, size=(n, 8, 6, 3), dtype="uint8")
    return [np.asarray(Image.fromarray(c).resize((178, 218), Image.BICUBIC)) for c in coarse]


def average(image, size):
    """The exact area average: pixels copied until old and new ones divide into them."""
    result = image[40:188, 15:163].astype("float64")
    for axis in (0, 1):
        fine = np.moveaxis(result, axis, 0).repeat(size // 4, axis=0)  # 148 = 4 * 37
        fine = fine.reshape(size, 37, *fine.shape[1:]).mean(axis=1)
        result = np.moveaxis(fine, 0, axis)
    return result


def attributes(n=N):
    return (np.arange(n)[:, None] >> np.arange(4)) % 2 == 1


def partition(n=N):
    return np.arange(n) % 3  # so that each split has images from all over the folder


def write(root, lists=".txt", images="img_align_celeba", suffix=".jpg"):
    """A folder as it is distributed; the images as decoded."""
    folder = root / images
    folder.mkdir(parents=True)
    decoded = []
    for i, face in enumerate(faces()):
        Image.fromarray(face).save(folder / f"{i + 1:06}{suffix}", quality=95)
        decoded.append(np.asarray(Image.open(folder / f"{i + 1:06}{suffix}")))
    comma = "," if lists == ".csv" else " "
    signs = [comma.join(f"{v:2}" if comma == " " else str(v) for v in row) for row in signed()]
    head = f"image_id,{','.join(NAMES)}" if comma == "," else f"{N}\n{' '.join(NAMES)} "
    rows = [f"{i + 1:06}.jpg{comma}{row}" for i, row in enumerate(signs)]
    (root / f"list_attr_celeba{lists}").write_text("\n".join([head, *rows, ""]))
    head = ["image_id,partition"] if comma == "," else []
    rows = [f"{i + 1:06}.jpg{comma}{part}" for i, part in enumerate(partition())]
    (root / f"list_eval_partition{lists}").write_text("\n".join([*head, *rows, ""]))
    return decoded


def signed():
    return np.where(attributes(), 1, -1).tolist()


def check(d, images, size):
    """All splits against the exact average of all images, to within one grey level."""
    assert (d.name, d.event_shape) == (f"celeba{size}", (size, size, 3))
    assert (d.context_dim, d.num_classes, d.attribute_names) == (4, None, tuple(NAMES))
    for i, split in enumerate((d.train, d.validation, d.test)):
        index = np.flatnonzero(partition() == i)
        expected = np.stack([average(images[j], size) for j in index])
        assert split.x.dtype == np.uint8
        # Half a level is the rounding.
        assert np.abs(split.x - expected).max() <= 0.5 + 1e-3
        np.testing.assert_array_equal(split.y, attributes()[index])


@pytest.mark.parametrize("size", [32, 64])
def test_shrink_averages_over_the_area(size):
    noise = np.random.default_rng(0).integers(256, size=(218, 178, 3), dtype="uint8")
    found = shrink(noise, size)
    assert found.shape == (size, size, 3) and found.dtype == np.uint8
    assert np.abs(found - average(noise, size)).max() <= 0.5 + 1e-3


def test_shrink_sees_the_crop_only():
    image = np.full((218, 178, 3), 255, "uint8")
    image[40:188, 15:163] = 10
    assert (shrink(image, 64) == 10).all()
    image[40:188, 15:163] = np.arange(148)[:, None, None]  # rows stay rows
    found = shrink(image, 64).astype(int)
    assert (found == found[:, :1, :1]).all() and (np.diff(found[:, 0, 0]) > 0).all()


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("lists", [".txt", ".csv"])
def test_folder_with_lists(lists, size, tmp_path):
    images = write(tmp_path, lists)
    d = data.load(f"celeba{size}", root=tmp_path)
    check(d, images, size)
    assert d.num_bits == 8
    for fact in ("Liu et al. 2015", "non-commercial research only", "must not be redistributed"):
        assert fact in d.description


def test_lists_inside_and_images_one_deeper_or_png(tmp_path, monkeypatch):
    images = write(tmp_path, images="img_align_celeba/img_align_celeba", suffix=".png")
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt"):
        (tmp_path / name).rename(tmp_path / "img_align_celeba" / name)
    monkeypatch.setenv("TFFLOWS_DATA", str(tmp_path))
    check(data.load("celeba64"), images, 64)


def test_fewer_bits(tmp_path):
    write(tmp_path)
    d, coarse = (data.load("celeba32", root=tmp_path, num_bits=n) for n in (8, 5))
    assert coarse.num_bits == 5
    np.testing.assert_array_equal(coarse.test.x, d.test.x // 8)


def test_folder_without_lists(tmp_path):
    write(tmp_path)
    (tmp_path / "list_eval_partition.txt").unlink()
    d = data.load("celeba32", root=tmp_path)
    assert [len(s) for s in (d.train, d.validation, d.test)] == [24, 3, 3]
    assert "drawn from train" in d.description and d.context_dim == 4
    (tmp_path / "list_attr_celeba.txt").unlink()
    d = data.load("celeba32", root=tmp_path, seed=1)
    assert (d.context_dim, d.attribute_names, d.train.y) == (None, None, None)


def test_corrupt_images_are_skipped_with_their_attributes(tmp_path):
    images = write(tmp_path)
    for i in (0, 3, 28):  # two of train, one of validation
        file = tmp_path / "img_align_celeba" / f"{i + 1:06}.jpg"
        file.write_bytes(file.read_bytes()[:900])
    with pytest.warns(UserWarning) as caught:
        d = data.load("celeba32", root=tmp_path)
    messages = [str(w.message) for w in caught]
    assert "2 of 10 " in messages[0] and "000001.jpg" in messages[0] and "000004.jpg" in messages[0]
    assert "1 of 10 " in messages[1] and "000029.jpg" in messages[1] and len(messages) == 2
    index = [i for i in range(0, N, 3) if i not in (0, 3)]
    np.testing.assert_array_equal(d.train.y, attributes()[index])
    expected = np.stack([average(images[i], 32) for i in index])
    assert np.abs(d.train.x - expected).max() <= 0.5 + 1e-3
    with pytest.raises(ValueError, match="000001.jpg' cannot be read .*: expected a whole image"):
        data.load("celeba32", root=tmp_path, skip_corrupt=False)


ATTRIBUTES, PARTITION = "list_attr_celeba.txt", "list_eval_partition.txt"
BAD_LISTS = {
    "missing line": (ATTRIBUTES, "000007.jpg", "000099.jpg", "no line for the image '000007.jpg'"),
    "short line": (ATTRIBUTES, "000002.jpg  1", "000002.jpg", "3 values for .*'000002.jpg': expe"),
    "value": (ATTRIBUTES, "000002.jpg  1", "000002.jpg 2", "4 values .*among them '2': .*4, each"),
    "partition": (PARTITION, "000002.jpg 1", "000002.jpg 3", "among them '3': expected 1, each 0"),
    "no partition": (PARTITION, "000002.jpg 1", "000002.jpg", "has 0 values .*: expected 1"),
    "no train": (PARTITION, ".jpg 0", ".jpg 2", "no image of partition 0: expected training"),
}


@pytest.mark.parametrize("kind", BAD_LISTS)
def test_bad_lists(kind, tmp_path):
    name, old, new, message = BAD_LISTS[kind]
    write(tmp_path)
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        data.load("celeba32", root=tmp_path)


def test_images_that_are_not_the_aligned_ones(tmp_path):
    write(tmp_path)
    Image.new("RGB", (178, 200)).save(tmp_path / "img_align_celeba" / "000001.jpg")
    with pytest.raises(ValueError, match=r"\(200, 178, 3\): expected \(218, 178, 3\)"):
        data.load("celeba64", root=tmp_path)


def test_arrays_come_before_the_folder(tmp_path):
    write(tmp_path)
    x = np.random.default_rng(0).integers(256, size=(20, 32, 32, 3), dtype="uint8")
    arrays = {"train": x[:12], "validation": x[12:15], "test": x[15:]}
    y = {"y_train": attributes(12), "y_validation": attributes(3), "y_test": attributes(5)}
    np.savez(tmp_path / "celeba32.npz", **arrays, **y, attribute_names=NAMES)
    d = data.load("celeba32", root=tmp_path, num_bits=5)
    assert (d.name, d.num_bits, d.attribute_names) == ("celeba32", 5, tuple(NAMES))
    for split in arrays:
        np.testing.assert_array_equal(getattr(d, split).x, arrays[split] // 8)
        np.testing.assert_array_equal(getattr(d, split).y, y[f"y_{split}"])
    assert "celeba32.npz" in d.description and "Liu et al. 2015" in d.description
    np.savez(tmp_path / "celeba64.npz", **arrays)
    with pytest.raises(ValueError, match=r"train uint8 \(12, 32, 32, 3\): expected .*64, 64, 3"):
        data.load("celeba64", root=tmp_path)


def test_tfds_comes_last(tmp_path, monkeypatch):
    images, calls = faces(), []
    splits = {}
    for i, split in enumerate(("train", "validation", "test")):
        splits[split] = [
            # Names in another order than the official one.
            {
                "image": images[j],
                "attributes": {NAMES[k]: attributes()[j, k] for k in (3, 1, 0, 2)},
            }
            for j in np.flatnonzero(partition() == i)
        ]

    def load(name, **options):
        calls.append((name, options))
        return splits

    module = types.SimpleNamespace(load=load, as_numpy=lambda loaded: loaded)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    check(data.load("celeba64", root=tmp_path), images, 64)
    data.load("celeba64", download=False)
    assert calls == [
        ("celeb_a", {"data_dir": tmp_path, "download": True}),
        ("celeb_a", {"data_dir": None, "download": False}),
    ]


def test_nowhere(tmp_path, monkeypatch):
    where = "no celeba64.npz and no folder img_align_celeba in root or TFFLOWS_DATA"
    with pytest.raises(ImportError, match=f"{where}.* needs tensorflow_datasets.*pip install"):
        data.load("celeba64", root=tmp_path)

    def load(name, **options):
        raise AssertionError("no files")

    module = types.SimpleNamespace(load=load, as_numpy=lambda loaded: loaded)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    with pytest.raises(FileNotFoundError, match=f"{where}.* not on this machine: no files"):
        data.load("celeba64", root=tmp_path, download=False)
