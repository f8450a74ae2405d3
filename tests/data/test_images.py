"""Folders with files that are no images any more."""

import warnings

import numpy as np
import pytest
from PIL import Image

from tfflows import data
from tfflows.data.images import CorruptImageError, LargeImageError, fit_image, open_image


def save(folder, values):
    folder.mkdir(parents=True, exist_ok=True)
    for value in values:
        Image.fromarray(np.full((8, 8, 3), value, "uint8")).save(folder / f"{value:03}.png")


def spoil(file, keep=0):
    file.write_bytes(file.read_bytes()[:keep])
    return str(file)


def pixels(split):
    return sorted(split.x[:, 0, 0, 0].tolist())


def test_corrupt_files_are_named_counted_and_skipped(tmp_path):
    save(tmp_path / "a", range(40))
    spoilt = [spoil(tmp_path / "a" / f"{i:03}.png", keep) for i, keep in ((0, 0), (7, 45))]
    with pytest.warns(UserWarning, match="2 of 40 image files cannot be read") as caught:
        d = data.load(tmp_path / "a")
    assert all(name in str(caught[0].message) for name in spoilt)
    assert "003.png" not in str(caught[0].message)
    assert caught[0].filename == __file__
    read = [i for split in (d.train, d.validation, d.test) for i in pixels(split)]
    assert sorted(read) == [i for i in range(40) if i not in (0, 7)]
    with pytest.raises(ValueError, match="000.png' cannot be read .*: expected a whole image"):
        data.load(tmp_path / "a", skip_corrupt=False)


def test_labels_stay_with_the_images_that_are_left(tmp_path):
    for split in ("train", "validation", "test"):
        save(tmp_path / split / "cat", range(5))
        save(tmp_path / split / "dog", range(100, 105))
    spoil(tmp_path / "train" / "cat" / "002.png")
    spoil(tmp_path / "test" / "dog" / "104.png")
    with pytest.warns(UserWarning) as caught:
        d = data.load(tmp_path)
    assert ["1 of 10" in str(w.message) for w in caught] == [True, True]
    assert [len(split) for split in (d.train, d.validation, d.test)] == [9, 10, 9]
    for split in (d.train, d.validation, d.test):
        np.testing.assert_array_equal(split.x[:, 0, 0, 0] >= 100, split.y == 1)


def test_a_warning_names_no_more_than_ten(tmp_path):
    save(tmp_path, range(30))
    for i in range(13):
        spoil(tmp_path / f"{i:03}.png")
    with pytest.warns(UserWarning, match="13 of 30 .*009.png' and 3 more.$"):
        data.load(tmp_path)


def test_nothing_is_said_of_whole_files(tmp_path):
    save(tmp_path, range(10))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.load(tmp_path)


def test_no_image_is_left(tmp_path):
    save(tmp_path, range(10))
    for i in range(10):
        spoil(tmp_path / f"{i:03}.png")
    with pytest.raises(ValueError, match="10 of 10 .* Expected at least one whole image file"):
        data.load(tmp_path)


def test_images_of_another_shape_are_no_corrupt_ones(tmp_path):
    save(tmp_path, range(10))
    Image.fromarray(np.zeros((8, 9, 3), "uint8")).save(tmp_path / "005.png")
    with pytest.raises(ValueError, match=r"005.png' .*\(8, 9, 3\): expected .*000.png' has"):
        data.load(tmp_path)


@pytest.mark.parametrize("kind", ["PPM", "TIFF", "EPS", "ICO", "TGA"])
def test_other_formats_are_not_opened_whatever_their_name(tmp_path, kind):
    save(tmp_path, range(10))
    Image.fromarray(np.zeros((8, 8, 3), "uint8")).save(tmp_path / "005.png", kind)
    with pytest.raises(
        ValueError, match="005.png' cannot be read .*one of BMP, GIF, JPEG, PNG, WEBP"
    ):
        data.load(tmp_path, skip_corrupt=False)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((9, 8, 3), r"\(9, 8, 3\): expected"), ((8, 8, 4), "mode 'RGBA': expected 'L' or 'RGB'")],
)
def test_sizes_and_modes_are_known_before_pixels_are_decoded(tmp_path, shape, message):
    save(tmp_path, range(10))
    Image.fromarray(np.zeros(shape, "uint8")).save(tmp_path / "005.png")
    spoil(tmp_path / "005.png", keep=45)  # its header and no pixels
    with pytest.raises(ValueError, match=message):
        data.load(tmp_path)


def test_too_many_pixels_are_not_decoded(tmp_path):
    save(tmp_path, [0])
    spoil(tmp_path / "000.png", keep=45)
    too_many = "'.*000.png' has 8 x 8 pixels, more than the 63 that"
    with pytest.raises(LargeImageError, match=too_many), open_image(tmp_path / "000.png", 63):
        pass


def test_damage_that_is_found_late(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), "uint8")
    Image.fromarray(noise).save(tmp_path / "a.png")
    spoil(tmp_path / "a.png", keep=100)
    cannot = pytest.raises(CorruptImageError, match="a.png' cannot be read")
    with cannot, open_image(tmp_path / "a.png") as image:
        fit_image(image, (8, 8, 1))
