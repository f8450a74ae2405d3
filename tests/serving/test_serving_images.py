"""Uploads: any picture becomes the flow's pixels, and what is no picture a sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tfflows.serving import image_files


def file_of(pixels, kind="PNG", **options):
    """An image file's bytes, of an array or a Pillow image."""
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def random_pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, "uint8")


@pytest.fixture
def upload(served):
    """Function of a model's name and a file to the pixels `[height, width, channels]`."""

    def send(name, content):
        server = served(name)
        status, answer = server.client.post(f"/page/models/{name}/image", content)
        assert status == 200, answer
        return np.reshape(answer["pixels"], server.flow.event_shape)

    return send


def test_an_image_of_the_right_size_is_taken_as_it_is(upload):
    grey, colours = random_pixels(4, 4), random_pixels(2, 2, 3)
    for kind in ("PNG", "BMP", "GIF"):
        np.testing.assert_array_equal(upload("images", file_of(grey, kind))[..., 0], grey >> 5)
    for kind, options in (("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})):
        found = upload("labels", file_of(colours, kind, **options))
        np.testing.assert_array_equal(found, colours)


def test_larger_images_are_cut_in_the_middle_and_averaged(upload):
    small = random_pixels(4, 4)
    pixels = random_pixels(8, 12)
    pixels[:, 2:10] = np.kron(small, np.ones([2, 2], "uint8"))
    np.testing.assert_array_equal(upload("images", file_of(pixels))[..., 0], small >> 5)
    whole = np.full([50, 90, 3], [10, 200, 30], "uint8")
    np.testing.assert_array_equal(upload("labels", file_of(whole)), whole[:2, :2])


def test_modes_become_the_flows(upload):
    colours = np.full([2, 2, 3], [255, 0, 0], "uint8")
    assert np.all(upload("images", file_of(np.full([4, 4, 3], 200, "uint8"))) == 200 >> 5)
    assert np.all(upload("labels", file_of(np.full([2, 2], 77, "uint8"))) == 77)
    palette = Image.fromarray(colours).convert("P", palette=Image.Palette.ADAPTIVE)
    np.testing.assert_array_equal(upload("labels", file_of(palette)), colours)
    half = np.concatenate([colours, np.array([[0, 255], [255, 0]], "uint8")[..., None]], axis=2)
    shown = np.where(half[..., 3:] > 0, colours, 255)  # what is transparent is white
    np.testing.assert_array_equal(upload("labels", file_of(half)), shown)
    sideways = Image.Exif()
    sideways[0x0112] = 6  # the right side is at the top
    pixels = random_pixels(2, 2, 3)
    turned = file_of(pixels, "PNG", exif=sideways)
    np.testing.assert_array_equal(upload("labels", turned), np.rot90(pixels, -1))


def huge_png(width, height):
    """A file of a few bytes whose header promises many pixels."""

    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


WHOLE = file_of(random_pixels(64, 64, 3))
BAD = {
    "empty": (b"", "cannot be read"),
    "text": (b"no image", "cannot be read"),
    "truncated": (WHOLE[: len(WHOLE) // 2], "cannot be read"),
    "damaged": (WHOLE[:200] + b"\0" * 50 + WHOLE[250:], "cannot be read"),
    "header": (huge_png(30, 30), "cannot be read"),
    "bomb": (huge_png(5000, 5000), "5000 x 5000 pixels, more than the 16,777,216"),
    "large_bomb": (huge_png(2**31 - 1, 2**31 - 1), "cannot be read"),
    "other_format": (file_of(random_pixels(4, 4), "PPM"), "cannot be read"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be read"),
    "deep": (file_of(Image.fromarray(np.full([4, 4], 40000, "uint16"))), "the mode I"),
    "large": (WHOLE + b"\0" * image_files.MAX_BYTES, "8,388,608 bytes"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(served, case):
    content, sentence = BAD[case]
    client = served("images").client
    status, answer = client.post("/page/models/images/image", content)
    assert status == (413 if case in ("bomb", "large") else 400)
    assert list(answer) == ["error"] and sentence in answer["error"]
    assert client.get("/v2/health/ready")[0] == 200


def test_a_flow_of_something_else_takes_no_images(served):
    status, answer = served("points").client.post("/page/models/points/image", WHOLE)
    assert status == 400 and "its x has shape [2]" in answer["error"]
