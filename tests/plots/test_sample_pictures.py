"""Pictures, pixel by pixel where that is possible."""

import re

import numpy as np
import pytest
from PIL import Image

import tfflows
from tfflows import plots


def filled(flow):
    """A flow away from the identity."""
    rng = np.random.default_rng(3)
    for weight in flow.trainable_weights:
        weight.assign(rng.normal(0, 0.4, weight.shape))
    return flow


def image_flow(channels=1, **settings):
    return filled(
        tfflows.RealNVP((3, 4, channels), num_couplings=2, hidden=(8,), num_bits=4, **settings)
    )


def plane_flow():
    return filled(tfflows.RealNVP((2,), num_couplings=2, hidden=(8,)))


def read_png(path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype("float64") / 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("padding", [0, 1, 3])
def test_image_grid_pixel_by_pixel(channels, padding):
    images = np.random.default_rng(0).random((5, 3, 4, channels))
    grid = plots.image_grid(images, columns=2, padding=padding)
    assert grid.shape == (3 * 3 + 4 * padding, 2 * 4 + 3 * padding, channels)
    for i, row in enumerate(grid):
        for j, pixel in enumerate(row):
            # Image and pixel within it, the padding before it counted in.
            tile_row, y = divmod(i - padding, 3 + padding)
            tile_column, x = divmod(j - padding, 4 + padding)
            number = 2 * tile_row + tile_column
            inside = tile_row >= 0 and tile_column >= 0 and y < 3 and x < 4 and number < 5
            np.testing.assert_array_equal(pixel, images[number, y, x] if inside else 1.0)


def test_image_grid_is_about_square_by_default():
    shapes = {n: plots.image_grid(np.zeros([n, 8, 8, 1])).shape for n in (1, 4, 5, 9, 10)}
    assert shapes[1] == (10, 10, 1) and shapes[4] == (19, 19, 1)
    assert shapes[5] == (19, 28, 1) and shapes[9] == (28, 28, 1) and shapes[10] == (28, 37, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_saved_samples_are_the_flows_pixels(tmp_path, channels):
    flow = image_flow(channels)
    path = plots.save_samples(flow, tmp_path / "samples.png", n=9, seed=5, temperature=0.7)
    assert path == tmp_path / "samples.png"
    picture = read_png(path)
    height, width = 3 * 4 + 1, 3 * 5 + 1
    scale = picture.shape[1] // width
    assert picture.shape == (height * scale, width * scale, 3)
    assert 300 <= picture.shape[1] <= 1000
    samples = flow.sample(9, 0.7, seed=5).numpy()
    pixels = np.clip(np.floor(samples), 0, 15) / 15
    assert pixels.std() > 0.05
    for number, image in enumerate(pixels):
        for y in range(3):
            for x in range(4):
                i = (1 + (number // 3) * 4 + y) * scale + scale // 2
                j = (1 + (number % 3) * 5 + x) * scale + scale // 2
                assert np.abs(picture[i, j] - image[y, x]).max() < 1.01 / 255
    np.testing.assert_array_equal(picture[scale // 2], 1.0)


def test_saved_samples_with_a_temperature_for_each_level(tmp_path):
    flow = tfflows.Glow((4, 4, 1), levels=2, steps=1, width=4, prior_width=4, num_bits=4)
    one, same, other = (
        plots.save_samples(flow, tmp_path / f"{i}.png", n=4, seed=0, temperature=t).read_bytes()
        for i, t in enumerate((0.8, [0.8, 0.8], [0.8, 0.1]))
    )
    assert one == same != other


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("labelled", [True, False])
def test_saved_rows_pixel_by_pixel(tmp_path, channels, labelled):
    images = np.random.default_rng(0).integers(0, 16, [2, 4, 3, 5, channels])
    labels = {"row_labels": ["one", "three"], "column_labels": list("abcd")} if labelled else {}
    path = plots.save_rows(tmp_path / "rows.png", images + 0.5, num_bits=4, **labels)
    picture = read_png(path)
    scale = 800 // (4 * 6 + 1)
    top = picture.shape[0] - scale * (2 * 4 + 1)
    left = picture.shape[1] - scale * (4 * 6 + 1)
    assert 0 < left < 80 and 0 < top < 40 if labelled else left == top == 0
    for row, column, y, x in np.ndindex(2, 4, 3, 5):
        i = top + (1 + row * 4 + y) * scale + scale // 2
        j = left + (1 + column * 6 + x) * scale + scale // 2
        assert np.abs(picture[i, j] - images[row, column, y, x] / 15).max() < 1.01 / 255
    if labelled:
        dark = picture.min(axis=-1) < 0.5
        for margin, size, count in ((dark[top:, :left], 3, 2), (dark[:top, left:].T, 5, 4)):
            for i in range(count):
                # A text in the middle of its row or column.
                start, end = scale * (1 + i * (size + 1)), scale * (i + 1) * (size + 1)
                text = np.flatnonzero(margin[start:end].any(axis=1))
                assert len(text) and abs((text[0] + text[-1]) / 2 - (end - start) / 2) < 5
        # No text is cut.
        assert not dark[:, 0].any() and not dark[0].any() and not dark[top:, left - 1].any()


def test_rows_that_cannot_be_drawn(tmp_path):
    images = np.zeros([2, 3, 4, 4, 1])
    for bad in (images[0], np.zeros([2, 3, 4, 4, 2])):
        with pytest.raises(ValueError, match=re.escape(f"found shape {bad.shape}")):
            plots.save_rows(tmp_path / "rows.png", bad)
    with pytest.raises(ValueError, match="row_labels should be 2 texts, but found 3"):
        plots.save_rows(tmp_path / "rows.png", images, row_labels="abc")
    with pytest.raises(ValueError, match="column_labels should be 3 texts, but found 1"):
        plots.save_rows(tmp_path / "rows.png", images, column_labels=["a"])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match=r"Cannot write the picture .*rows\.png: "):
        plots.save_rows(tmp_path / "missing" / "rows.png", images)


@pytest.mark.parametrize("make", [image_flow, plane_flow])
def test_pictures_are_deterministic(tmp_path, make):
    flow = make()
    a, b, c = (
        plots.save_samples(flow, tmp_path / f"{i}.png", n=6, seed=seed).read_bytes()
        for i, seed in enumerate((1, 1, 2))
    )
    assert a == b != c


def test_one_column_for_each_class(tmp_path):
    flow = image_flow(num_classes=3)
    picture = read_png(plots.save_samples(flow, tmp_path / "s.png", n=12, seed=0))
    scale = picture.shape[1] // (3 * 5 + 1)
    assert picture.shape[:2] == ((4 * 4 + 1) * scale, (3 * 5 + 1) * scale)
    samples = flow.sample(12, seed=0, context=[0, 1, 2] * 4).numpy()
    corner = np.clip(np.floor(samples[4, 0, 0, 0]), 0, 15) / 15  # second row, class 1
    found = picture[5 * scale + scale // 2, 6 * scale + scale // 2]
    assert np.abs(found - corner).max() < 1.01 / 255


def test_one_class_fills_a_square_grid(tmp_path):
    flow = image_flow(num_classes=3)
    one = plots.save_samples(flow, tmp_path / "1.png", n=4, context=2)
    picture = read_png(one)
    scale = picture.shape[1] // (2 * 5 + 1)
    assert picture.shape[:2] == ((2 * 4 + 1) * scale, (2 * 5 + 1) * scale)
    other = plots.save_samples(flow, tmp_path / "0.png", n=4, context=0)
    assert one.read_bytes() != other.read_bytes()


def test_figure_in_the_plane_shows_density_and_samples():
    flow = plane_flow()
    figure = plots.figure_of_samples(flow, n=50, seed=3)
    density, samples = figure.axes
    (heat_map,) = density.images
    values, (left, right, bottom, top) = np.asarray(heat_map.get_array()), heat_map.get_extent()
    assert left < right and bottom < top and heat_map.origin == "lower"
    inside = flow.sample(50, seed=3).numpy()
    assert np.mean((inside > [left, bottom]) & (inside < [right, top])) > 0.9
    rows, columns = values.shape
    for i, j in [(0, 0), (rows // 2, columns // 3), (rows // 3, columns - 1)]:
        x = left + (right - left) * j / (columns - 1)
        y = bottom + (top - bottom) * i / (rows - 1)
        expected = np.exp(flow.log_prob(np.array([[x, y]], "float32")))[0]
        assert values[i, j] == pytest.approx(expected, rel=1e-3)
    (points,) = samples.collections
    np.testing.assert_allclose(points.get_offsets(), flow.sample(50, seed=3), rtol=1e-6)
    assert "50 samples" in samples.get_title()


@pytest.mark.parametrize(
    ("shape", "settings"),
    [((3,), {}), ((2,), {"num_classes": 2}), ((2,), {"context_dim": 1}), ((2, 2, 2), {})],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, shape, settings):
    settings = {"num_couplings": 1, "hidden": (4,), **settings}
    flow = tfflows.RealNVP(shape, num_bits=8 if len(shape) == 3 else None, **settings)
    with pytest.raises(ValueError, match="can be drawn") as caught:
        plots.save_samples(flow, tmp_path / "s.png")
    assert str(shape) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["missing_folder", "folder", "below_file"])
def test_unwritable_path(tmp_path, kind):
    path = tmp_path / "there" / "s.png"
    if kind == "folder":
        path.mkdir(parents=True)
    elif kind == "below_file":
        path.parent.write_text("")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError, match=r"Cannot write the picture .*s\.png: ") as caught:
        plots.save_samples(plane_flow(), path)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_left_where_the_disk_is_full(tmp_path):
    resource = pytest.importorskip("resource")
    flow = plane_flow()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"Cannot write the picture .*s\.png: ") as caught:
            plots.save_samples(flow, tmp_path / "s.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
