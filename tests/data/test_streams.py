"""Examples out of files, some at a time."""

import numpy as np
import pytest
from PIL import Image

from tfflows.data.streams import batches_of

X = np.arange(14.0).reshape(7, 2)


def csv_file(path, header="a,b\n", rows=X):
    path.write_text(header + "".join(f"{a},{b}\n" for a, b in rows))
    return path


@pytest.mark.parametrize("header", ["a,b\n", ""])
@pytest.mark.parametrize("start", [0, 1, 3, 5, 7])
def test_rows_of_a_csv_file(tmp_path, header, start):
    batches = list(batches_of(csv_file(tmp_path / "x.csv", header), (2,), 3, start))
    assert all(0 < len(batch) <= 3 for batch in batches)
    np.testing.assert_array_equal(np.concatenate([np.zeros([0, 2]), *batches]), X[start:])


@pytest.mark.parametrize("start", [0, 5])
def test_rows_of_an_array(tmp_path, start):
    np.save(tmp_path / "x.npy", X)
    batches = list(batches_of(tmp_path / "x.npy", (2,), 3, start))
    np.testing.assert_array_equal(np.concatenate(batches), X[start:])


def test_images_of_a_folder(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(3, 4, 4, 3), dtype="uint8")
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    batches = list(batches_of(tmp_path, (4, 4, 3), 2, start=1))
    np.testing.assert_array_equal(np.concatenate(batches), pixels[1:])


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("x.csv", "a,b\n1,2\n3,x\n", "'x' in row 3, column 'b': expected a finite number"),
        ("x.csv", "1,2\n3\n", "1 values in row 2: expected 2"),
        ("x.csv", "1,2\n3,nan\n", "'nan' in row 2, column 2"),
        ("x.csv", "1,2\n\n3,x\n", "'x' in row 3, column 2"),
        ("x.csv", "1,2,3\n", r"has 3 columns, but the events have shape \(2,\)"),
        ("x.txt", "1,2\n", "neither a .csv or .npy file nor a folder"),
        ("x.npy", "1,2\n", "expected an array of NumPy"),
    ],
)
def test_what_cannot_be_read(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        list(batches_of(tmp_path / name, (2,), 10))


def test_examples_of_another_shape(tmp_path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(ValueError, match=r"shape \(7, 2\) and dtype float64: expected .*\[n, 3\]"):
        list(batches_of(tmp_path / "x.npy", (3,), 10))
    with pytest.raises(ValueError, match="vectors, but the events have shape"):
        list(batches_of(csv_file(tmp_path / "x.csv"), (2, 2, 1), 10))
    with pytest.raises(ValueError, match="a folder of images, but the events have shape"):
        list(batches_of(tmp_path, (2,), 10))
    with pytest.raises(FileNotFoundError, match="There is no file"):
        batches_of(tmp_path / "missing.csv", (2,), 10)
