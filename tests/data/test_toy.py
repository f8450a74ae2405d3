"""Toy densities against moments, densities and reference curves computed another way."""

import numpy as np
import pytest
import scipy.stats
from sklearn.datasets import make_moons, make_swiss_roll

from tfflows.data import toy

N = 40000
U = (np.arange(100000) + 0.5) / 100000  # midpoint rule over [0, 1]
T = 3 * np.pi * np.sqrt(U)
ROLL = 1.5 * np.pi * (1 + 2 * U)
ARM = 1 + 0.3 * scipy.stats.norm.ppf(U)

# For each density: per part, the noise-free points as complex numbers at equally likely
# parameters, and the total variance (both axes) of the noise that is added.
PARTS = {
    "moons": (
        [2 * np.exp(1j * np.pi * U) - 1 - 0.2j, 2 * (1 + 0.5j - np.exp(1j * np.pi * U)) - 1 - 0.2j],
        2 * 0.2**2,
    ),
    "eight_gaussians": ([np.full(1, 8**0.5 * 1j ** (k / 2)) for k in range(8)], 2 / 8),
    "pinwheel": (
        [2 * ARM * np.exp(-1j * (2 * np.pi * k / 5 + np.exp(ARM) / 4)) for k in range(5)],
        (2 * 0.1) ** 2,
    ),
    "two_spirals": (
        [sign * (0.25 + 0.25j - T * np.exp(-1j * T)) / 3 for sign in (1, -1)],
        2 * (0.1**2 + 1 / 12 / 4 / 9),
    ),
    "checkerboard": (
        [
            np.full(1, z)
            for z in (-3 - 3j, -3 + 1j, -1 - 1j, -1 + 3j, 1 - 3j, 1 + 1j, 3 - 1j, 3 + 3j)
        ],
        2 * 2**2 / 12,
    ),
    "rings": ([0.75 * k * np.exp(2j * np.pi * U) for k in (1, 2, 3, 4)], 2 * 0.08**2),
    "swiss_roll": ([ROLL * np.exp(1j * ROLL) / 5], 2 * 0.2**2),
}


def assert_mean(draws, exact):
    error = np.std(draws) / np.sqrt(len(draws))
    assert abs(np.mean(draws) - exact) < 4 * error, (np.mean(draws), exact, error)


def test_every_density_is_checked():
    assert set(PARTS) == set(toy.DENSITIES)


@pytest.mark.parametrize("name", PARTS)
def test_moments_of_each_part(name):
    curves, noise = PARTS[name]
    x, y = toy.DENSITIES[name](N, seed=7)
    assert x.shape == (N, 2) and x.dtype == np.float32
    assert np.abs(x).max() < 5
    if y is None:
        y = np.zeros(N, "int64")
    assert y.dtype == np.int64 and y.shape == (N,)
    assert set(y) == set(range(len(curves)))
    for k, curve in enumerate(curves):
        part = x[y == k].astype("float64")
        if len(curves) > 1:
            assert_mean(y == k, 1 / len(curves))
        centre = np.mean(curve)
        assert_mean(part[:, 0], centre.real)
        assert_mean(part[:, 1], centre.imag)
        spread = np.mean(np.abs(curve - centre) ** 2) + noise
        assert_mean((part[:, 0] - centre.real) ** 2 + (part[:, 1] - centre.imag) ** 2, spread)


@pytest.mark.parametrize("name", PARTS)
def test_draws_follow_from_the_seed(name):
    draw = toy.DENSITIES[name]
    np.testing.assert_array_equal(draw(50, seed=3)[0], draw(50, seed=3)[0])
    assert not np.isin(draw(50, seed=3)[0], draw(50, seed=4)[0]).any()
    assert draw(1)[0].shape == (1, 2)
    with pytest.raises(ValueError, match="n is 0: expected at least 1 example"):
        draw(0)


def nearest(x, curve):
    distance = np.linalg.norm(x[:, None] - curve[None], axis=-1)
    return distance.min(axis=1), distance.argmin(axis=1)


def test_moons_lie_on_scikit_learns_moons_with_the_same_labels():
    curve, labels = make_moons(400, noise=None)
    x, y = toy.moons(3000)
    index = nearest(x, 2 * curve + (-1, -0.2))[1]
    assert np.mean(labels[index] == y) > 0.995


def test_moons_have_noise_about_their_circles():
    x, y = toy.moons(N)
    radius = np.linalg.norm(x - np.array([(-1, -0.2), (1, 0.8)])[y], axis=1)
    assert radius.std() == pytest.approx(0.2, rel=0.02)


def test_swiss_roll_lies_on_scikit_learns_roll():
    curve = make_swiss_roll(2000, random_state=0)[0][:, [0, 2]] / 5
    distance, _ = nearest(toy.swiss_roll(3000)[0], curve)
    assert np.sqrt(np.mean(distance**2)) == pytest.approx(0.2, rel=0.05)


def test_checkerboard_density_is_where_its_points_are():
    x, _ = toy.checkerboard(N)
    np.testing.assert_array_equal(toy.checkerboard_log_prob(x), -np.log(32))
    step = 0.05
    axis = np.arange(-5, 5, step) + step / 2
    points = np.stack(np.meshgrid(axis, axis), -1)
    assert np.exp(toy.checkerboard_log_prob(points)).sum() * step**2 == pytest.approx(1)
    with pytest.raises(ValueError, match=r"expected points \[..., 2\]"):
        toy.checkerboard_log_prob(np.zeros([4, 3]))


def test_checkerboard_fills_its_squares_evenly():
    x, y = toy.checkerboard(N)
    assert (np.floor(x / 2).sum(axis=1) % 2 == 0).all()
    counts = np.histogram2d(x[:, 0], x[:, 1], bins=16, range=[(-4, 4), (-4, 4)])[0]
    filled = counts[counts > 0]
    assert len(filled) == 128
    assert scipy.stats.chisquare(filled).pvalue > 1e-3


def test_rings_are_told_apart_by_radius():
    x, y = toy.rings(N)
    ring = np.round(np.linalg.norm(x, axis=1) / 0.75) - 1
    assert np.mean(ring == y) > 0.9999


def eight_gaussians_by_scipy(x):
    angles = np.deg2rad(45 * np.arange(8))
    centres = np.sqrt(8) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    parts = [scipy.stats.multivariate_normal(c, np.eye(2) / 8).pdf(x) for c in centres]
    return np.log(np.mean(parts, axis=0))


def grid(step):
    axis = np.arange(-6, 6, step) + step / 2
    return np.stack(np.meshgrid(axis, axis), axis=-1)


def test_eight_gaussians_density_is_scipys_mixture():
    x = np.random.default_rng(0).uniform(-5, 5, (7, 11, 2))
    log_prob = toy.eight_gaussians_log_prob(x)
    assert log_prob.shape == (7, 11) and log_prob.dtype == np.float64
    np.testing.assert_allclose(log_prob, eight_gaussians_by_scipy(x), rtol=1e-10)
    assert np.isfinite(toy.eight_gaussians_log_prob([1e3, -1e3]))
    with pytest.raises(ValueError, match=r"shape \(4, 3\): expected points"):
        toy.eight_gaussians_log_prob(np.zeros((4, 3)))


def test_eight_gaussians_density_integrates_to_one():
    total = np.exp(toy.eight_gaussians_log_prob(grid(0.05))).sum() * 0.05**2
    assert total == pytest.approx(1, abs=1e-10)


def test_eight_gaussians_draws_have_the_entropy_of_the_density():
    log_prob = eight_gaussians_by_scipy(grid(0.05))
    entropy = -np.sum(np.exp(log_prob) * log_prob) * 0.05**2
    assert_mean(-toy.eight_gaussians_log_prob(toy.eight_gaussians(N)[0]), entropy)
