"""Sample quality without a downloaded network: sliced Wasserstein distance of image patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tfflows.distributions.dequantization import quantize
from tfflows.flow import Flow

_PATCH_SIDE = 7
_SMALLEST_SIDE = 14
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


@dataclass(frozen=True)
class SlicedWasserstein:
    """Distance between the patches of two sets of images, by level of the Laplacian pyramid.

    Attributes:
        levels: distance by the size of the level, e.g. `"64x64"`, the finest first.
        mean: of the levels.
        num_images: number of images in each of the two sets.
    """

    levels: dict[str, float]
    mean: float
    num_images: int

    def __str__(self):
        levels = ", ".join(f"{size} {distance:.4f}" for size, distance in self.levels.items())
        return f"{self.mean:.4f} ({levels}; {self.num_images} images)"


def draw_images(
    flow: Flow,
    n: int,
    context: ArrayLike | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    batch_size: int = 64,
) -> np.ndarray:
    """Images drawn from a flow, as the integers that real ones are, `[n, *event_shape]`.

    Args:
        flow: an image flow.
        n: number of images.
        context: `[n, ...]` for a conditional flow.
        seed, temperature: see `Flow.sample`.
        batch_size: images drawn at a time.

    Example:
        >>> flow = tfflows.Glow((8, 8, 1), levels=2, steps=1, width=8, prior_width=8, num_bits=8)
        >>> images = tfflows.evaluate.draw_images(flow, 10, temperature=0.7)
        >>> images.shape, images.dtype
        ((10, 8, 8, 1), dtype('uint8'))
    """
    parts = []
    for start in range(0, n, batch_size):
        stop = min(start + batch_size, n)
        conditions = None if context is None else context[start:stop]
        parts.append(flow.sample(stop - start, temperature, [seed, start], conditions).numpy())
    return quantize(np.concatenate(parts), flow.num_bits)


def sliced_wasserstein(
    real: ArrayLike,
    samples: ArrayLike,
    seed: int = 0,
    patches_per_image: int = 64,
    num_projections: int = 128,
) -> SlicedWasserstein:
    """Sliced Wasserstein distance between the patches of real images and of samples.

        SWD = E_w W_1({w . r_i}, {w . s_i}),  w uniform on the unit sphere

    r_i and s_i are random patches of 7 x 7 pixels at each level of the Laplacian pyramid, whose
    levels hold the structure of one scale: at 64x64 the finest details, at 16x16 the shapes. It
    needs no trained network, takes digits as well as faces, and is zero where the patches agree.
    What it cannot see is whether patches fit together; the features of a network (FID) can, but
    they are those of the photographs that the network was trained on.

    Patches are in units of the standard deviation of the real images' channels. (The paper
    normalises either set by itself, which hides wrong colours and contrasts.) The distance of two
    finite sets of the same kind is above zero: compare that of samples to a test set with that of
    as many training images to the same test set.

    Args:
        real, samples: `[n, height, width, channels]`, on one scale, of equal shapes.
        seed: of the patches' positions, the same in both sets, and of the projections.
        patches_per_image: at each level.
        num_projections: directions w.

    Raises:
        ValueError: if the shapes differ or are not those of images, or there are values that are
            not finite.

    Source: Karras, Aila, Laine and Lehtinen, "Progressive growing of GANs", 2018, section 5
    (with 16,384 images, 128 patches and 512 directions).

    Example:
        >>> digits = tfflows.data.load("digits")
        >>> real, other = digits.test.x[:200], digits.validation.x[:200]
        >>> baseline = tfflows.evaluate.sliced_wasserstein(real, other)
        >>> noise = np.random.default_rng(0).integers(16, size=real.shape)
        >>> tfflows.evaluate.sliced_wasserstein(real, noise).mean > 5 * baseline.mean
        True
    """
    real, samples = np.asarray(real), np.asarray(samples)
    if real.shape != samples.shape or real.ndim != 4 or real.size == 0:
        raise ValueError(
            "sliced_wasserstein takes two sets of images of one shape [n, height, width, "
            f"channels], but found {real.shape} and {samples.shape}."
        )
    if not (np.isfinite(real).all() and np.isfinite(samples).all()):
        raise ValueError("sliced_wasserstein needs finite images, but some are NaN or infinite.")
    num_images = len(real)
    real, samples = (_patches(images, patches_per_image, seed) for images in (real, samples))
    levels = {}
    for size, a in real.items():
        mean = a.mean((0, 1, 2), dtype="float64").astype("float32")
        std = a.std((0, 1, 2), dtype="float64").astype("float32")
        std[std == 0] = 1
        a, b = (((x - mean) / std).reshape(len(x), -1) for x in (a, samples[size]))
        directions = np.random.default_rng(seed).normal(size=(num_projections, a.shape[1]))
        levels[size] = _projected_distance(a, b, directions)
    return SlicedWasserstein(levels, float(np.mean([*levels.values()])), num_images)


def _projected_distance(a, b, directions, batch_size=32) -> float:
    """Mean Wasserstein-1 distance of two sets `[n, d]` of points, projected on `[k, d]`."""
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    total = 0.0
    for start in range(0, len(directions), batch_size):
        some = directions[start : start + batch_size].astype(a.dtype)
        # On a line the best transport pairs the points in their order.
        gaps = np.sort(some @ a.T) - np.sort(some @ b.T)
        total += np.abs(gaps).mean(axis=1, dtype="float64").sum()
    return float(total / len(directions))


def _patches(images, patches_per_image, seed, batch_size=256):
    """Patches `[m, side, side, channels]` by the size of their level, at random positions."""
    patches = {}
    for start in range(0, len(images), batch_size):
        rng = np.random.default_rng([seed, start])
        for level in laplacian_pyramid(images[start : start + batch_size].astype("float32")):
            count, height, width, channels = level.shape
            side = min(_PATCH_SIDE, height, width)
            windows = np.lib.stride_tricks.sliding_window_view(level, (side, side), axis=(1, 2))
            rows = rng.integers(height - side + 1, size=(count, patches_per_image))
            columns = rng.integers(width - side + 1, size=(count, patches_per_image))
            found = windows[np.arange(count)[:, None], rows, columns]
            found = np.moveaxis(found, 2, -1).reshape(-1, side, side, channels)
            patches.setdefault(f"{height}x{width}", []).append(found)
    return {size: np.concatenate(parts) for size, parts in patches.items()}


def laplacian_pyramid(images: np.ndarray) -> list[np.ndarray]:
    """The Laplacian pyramid of images, finest level first; sides stay at 14 pixels or more.

        g_0 = images,  g_{l+1} = halve(blur(g_l)),  level l = g_l - enlarge(g_{l+1})

    The last level is its g itself, so that the images are the sum of all levels enlarged.

    Args:
        images: floats `[n, height, width, channels]`.

    Source: Burt and Adelson, "The Laplacian pyramid as a compact image code", 1983.

    Example:
        >>> images = np.random.default_rng(0).normal(size=(1, 28, 28, 3))
        >>> [level.shape for level in tfflows.evaluate.sample_quality.laplacian_pyramid(images)]
        [(1, 28, 28, 3), (1, 14, 14, 3)]
    """
    levels = []
    while min(images.shape[1:3]) // 2 >= _SMALLEST_SIDE:
        smaller = _blur(images)[:, ::2, ::2]
        enlarged = np.zeros_like(images)
        enlarged[:, ::2, ::2] = 4 * smaller
        levels.append(images - _blur(enlarged))
        images = smaller
    return [*levels, images]


def _blur(images):
    """Convolution with the 5 x 5 binomial kernel, images reflected at their edges."""
    for axis in (1, 2):
        padding = [(2, 2) if i == axis else (0, 0) for i in range(4)]
        size = images.shape[axis]
        padded = np.moveaxis(np.pad(images, padding, mode="reflect"), axis, 0)
        blurred = sum(weight * padded[i : i + size] for i, weight in enumerate(_BINOMIAL))
        images = np.moveaxis(blurred, 0, axis)
    return images
