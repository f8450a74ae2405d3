"""The sliced Wasserstein distance against closed forms and SciPy."""

import numpy as np
import pytest
import scipy.stats

from tfflows.evaluate import sliced_wasserstein
from tfflows.evaluate.sample_quality import _projected_distance, laplacian_pyramid


def smooth_images(n, seed, size=28, channels=1):
    """Images of a few waves, in [0, 255]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size
    frequencies = rng.uniform(-6, 6, size=(n, 3, 2, channels))
    phases = rng.uniform(0, 2 * np.pi, size=(n, 3, channels))
    angles = np.einsum("nkac,ahw->nkhwc", frequencies, [rows, columns]) + phases[:, :, None, None]
    return 127.5 + 42 * np.sin(angles).sum(1)


def test_one_projection_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(500, 4)), 0.5 + rng.gamma(2.0, size=(500, 4))
    direction = rng.normal(size=4)
    unit = direction / np.sqrt(np.sum(direction**2))
    expected = scipy.stats.wasserstein_distance(a @ unit, b @ unit)
    assert _projected_distance(a, b, direction[None]) == pytest.approx(expected, rel=1e-9)


def test_single_pixels_are_scipys_in_units_of_the_real_ones():
    rng = np.random.default_rng(0)
    real, samples = rng.normal(7, 3, size=(400, 1, 1, 1)), rng.normal(9, 4, size=(400, 1, 1, 1))
    found = sliced_wasserstein(real, samples, num_projections=2)
    expected = scipy.stats.wasserstein_distance(real.ravel(), samples.ravel()) / real.std()
    assert found.mean == pytest.approx(expected, rel=1e-4)
    shifted = sliced_wasserstein(real, real + 1.5, num_projections=2)
    assert shifted.mean == pytest.approx(1.5 / real.std(), rel=1e-4)
    assert shifted.levels == {"1x1": shifted.mean} and shifted.num_images == 400


def test_shift_of_independent_channels():
    # E |w . m| = |m| E |w_1| over the unit sphere, and E |w_1| = 1/2 in three dimensions.
    real = np.random.default_rng(0).normal(size=(300, 1, 1, 3))
    shift = np.array([3.0, 0.0, -4.0]) * real.std((0, 1, 2))
    found = sliced_wasserstein(real, real + shift, patches_per_image=1, num_projections=4000)
    error = 5 / np.sqrt(12 * 4000)
    assert abs(found.mean - 2.5) < 4 * error


@pytest.mark.parametrize("size", [(28, 28, 1), (64, 64, 3), (31, 45, 2)])
def test_levels_rebuild_the_image(size):
    images = np.random.default_rng(0).normal(size=(2, *size))
    levels = laplacian_pyramid(images)
    sizes = {28: [28, 14], 64: [64, 32, 16], 31: [31, 16]}[size[0]]
    assert [level.shape[1] for level in levels] == sizes
    rebuilt = levels[-1]
    for level in levels[-2::-1]:
        # Enlarging is linear: by the pyramid of an image of which only the coarse part is known.
        spread = np.zeros_like(level)
        spread[:, ::2, ::2] = 4 * rebuilt
        for axis in (1, 2):
            padding = [(2, 2) if i == axis else (0, 0) for i in range(4)]
            kernel = np.array([1, 4, 6, 4, 1]) / 16
            blurred = np.apply_along_axis(
                np.convolve, axis, np.pad(spread, padding, mode="reflect"), kernel, "valid"
            )
            spread = blurred
        rebuilt = level + spread
    np.testing.assert_allclose(rebuilt, images, atol=1e-9)


def test_a_plain_image_is_in_the_last_level_only():
    first, *_, last = laplacian_pyramid(np.full([1, 64, 64, 3], 5.0))
    np.testing.assert_allclose(first, 0, atol=1e-9)
    np.testing.assert_allclose(last, 5, atol=1e-9)


def test_levels_of_the_result():
    faces = smooth_images(20, 0, size=64, channels=3)
    found = sliced_wasserstein(faces, smooth_images(20, 1, size=64, channels=3))
    assert list(found.levels) == ["64x64", "32x32", "16x16"]
    assert found.mean == pytest.approx(np.mean([*found.levels.values()]))
    assert str(found).startswith(f"{found.mean:.4f} (64x64 ")
    assert "; 20 images)" in str(found)


def test_identical_sets_and_their_seed():
    images = smooth_images(60, 0)
    assert sliced_wasserstein(images, images).mean == 0
    # Which image is where does not matter, up to the random positions of the patches.
    mixed = images[np.random.default_rng(0).permutation(60)]
    other = smooth_images(60, 1)
    assert sliced_wasserstein(images, mixed).mean < 0.5 * sliced_wasserstein(images, other).mean
    assert sliced_wasserstein(images, other) == sliced_wasserstein(images, other, seed=0)
    assert sliced_wasserstein(images, other) != sliced_wasserstein(images, other, seed=1)


def blurred(images, times):
    for _ in range(times):
        moved = [np.roll(images, shift, axis) for shift in (1, -1) for axis in (1, 2)]
        images = (4 * images + sum(moved)) / 8
    return images


@pytest.mark.slow
def test_grows_with_noise_contrast_and_blur():
    noise = np.random.default_rng(2).normal(size=(2, 150, 28, 28, 1))
    real, images = smooth_images(150, 0) + 10 * noise[0], smooth_images(150, 1) + 10 * noise[1]
    for changed in (
        [images + sigma * noise[0, ::-1] for sigma in (0, 10, 20, 60)],
        [127.5 + contrast * (images - 127.5) for contrast in (1, 0.8, 0.5, 0.2)],
        [blurred(images, times) for times in (0, 1, 2, 8)],
    ):
        found = [sliced_wasserstein(real, images).mean for images in changed]
        assert np.all(np.diff(found) > 0), found
        assert found[-1] > 3 * found[0]


def test_each_level_sees_its_scale():
    real, images = smooth_images(150, 0), smooth_images(150, 1)
    checks = (-1.0) ** np.add.outer(np.arange(28), np.arange(28))[..., None]
    plain = sliced_wasserstein(real, images).levels
    found = sliced_wasserstein(real, images + 10 * checks).levels
    assert found["28x28"] > 2 * plain["28x28"]
    assert found["14x14"] == pytest.approx(plain["14x14"], rel=0.05)


def test_constant_images_have_no_units():
    real, samples = np.zeros([5, 1, 1, 1]), np.full([5, 1, 1, 1], 2.0)
    assert sliced_wasserstein(real, samples).mean == pytest.approx(2)


@pytest.mark.parametrize(
    ("real", "samples", "message"),
    [
        (np.zeros([3, 8, 8, 1]), np.zeros([4, 8, 8, 1]), r"found \(3, 8, 8, 1\) and \(4, 8, 8, 1"),
        (np.zeros([3, 8]), np.zeros([3, 8]), r"one shape \[n, height, width, channels\]"),
        (np.zeros([0, 8, 8, 1]), np.zeros([0, 8, 8, 1]), r"found \(0, 8, 8, 1\)"),
        (np.zeros([2, 8, 8, 1]), np.full([2, 8, 8, 1], np.nan), "NaN or infinite"),
    ],
)
def test_bad_input(real, samples, message):
    with pytest.raises(ValueError, match=message):
        sliced_wasserstein(real, samples)
