"""Counter-based random numbers against known answers, another implementation and statistics."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfflows
from tfflows.random.counter import normal, threefry2x32, uniform

# Of the Random123 distribution: key, counter, result.
KNOWN_ANSWERS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


def threefry_in_python(key, counter):
    """The definition of Threefry-2x32 with 20 rounds, step by step in Python's integers."""
    keys = [*key, key[0] ^ key[1] ^ 0x1BD11BDA]
    x0, x1 = ((c + k) % 2**32 for c, k in zip(counter, key, strict=True))
    odd, even = (13, 15, 26, 6), (17, 29, 16, 24)
    for injection, rotations in enumerate([odd, even, odd, even, odd]):
        for r in rotations:
            x0 = (x0 + x1) % 2**32
            x1 = ((x1 << r) % 2**32 + (x1 >> (32 - r))) ^ x0
        x0 = (x0 + keys[(injection + 1) % 3]) % 2**32
        x1 = (x1 + keys[(injection + 2) % 3] + injection + 1) % 2**32
    return x0, x1


def seeds(n, seed=0):
    return np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, (n, 2), endpoint=True)


@pytest.mark.parametrize(("key", "counter", "expected"), KNOWN_ANSWERS)
def test_threefry_gives_the_known_answers(key, counter, expected):
    assert threefry_in_python(key, counter) == expected
    key, counter = tf.constant(key, tf.uint32), tf.constant(counter, tf.uint32)
    found = threefry2x32(tuple(key), tuple(counter))
    assert tuple(int(word) for word in found) == expected


def test_threefry_equals_python_in_eager_mode_and_in_a_graph():
    words = np.random.default_rng(0).integers(0, 2**32, (4, 50), dtype=np.uint32)
    expected = [threefry_in_python(column[:2], column[2:]) for column in words.T.tolist()]
    for function in (threefry2x32, tf.function(threefry2x32)):
        found = function(tuple(tf.constant(words[:2])), tuple(tf.constant(words[2:])))
        np.testing.assert_array_equal(np.stack(found, axis=-1), expected)


def test_uniform_is_made_of_threefry_words():
    first, second = 0x0123456789ABCDEF, -2
    key = threefry_in_python((0x89ABCDEF, 0x01234567), (0xFFFFFFFE, 0xFFFFFFFF))
    words = np.array([threefry_in_python(key, (block, 0)) for block in range(3)]).T.reshape(-1)
    found = uniform(tf.constant([[first, second]], tf.int64), 5)
    np.testing.assert_allclose(found[0], (words[:5] + 0.5) / 2**32, rtol=1e-7)


def test_uniform_stays_inside_the_open_interval(monkeypatch):
    """At the smallest and the largest words, which random seeds do not meet."""
    ends = [tf.constant([[word]], tf.uint32) for word in (0, 2**32 - 1)]
    monkeypatch.setattr(tfflows.random.counter, "threefry2x32", lambda key, counter: ends)
    assert uniform(seeds(1), 2).numpy().tolist() == [[2.0**-33, 1 - 2.0**-24]]
    assert np.all(np.isfinite(normal(seeds(1), 2)))


@pytest.mark.parametrize(
    ("draw", "distribution"),
    [(uniform, scipy.stats.uniform), (normal, scipy.stats.norm)],
)
@pytest.mark.parametrize("shape", [(1, 100_000), (50_000, 2), (1000, 101)])
def test_draws_have_the_distribution_they_are_named_after(draw, distribution, shape):
    """Within a row, across rows of random seeds, and across both."""
    x = draw(seeds(shape[0]), shape[1]).numpy()
    assert x.shape == shape
    assert x.dtype == np.float32
    assert len(np.unique(x)) > 0.95 * x.size
    x = x.reshape(-1).astype(np.float64)
    assert scipy.stats.kstest(x, distribution.cdf).pvalue > 0.01
    for power in (1, 2, 3, 4):
        moments = distribution.moment(power), distribution.moment(2 * power)
        error = np.sqrt((moments[1] - moments[0] ** 2) / x.size)
        assert abs(np.mean(x**power) - moments[0]) < 4 * error


@pytest.mark.parametrize("draw", [uniform, normal])
def test_neighbouring_seeds_and_columns_are_uncorrelated(draw):
    seed = np.stack([np.arange(5000) // 100, np.arange(5000) % 100], axis=1)
    x = draw(seed, 6).numpy()
    in_rows = np.corrcoef(x, rowvar=False) - np.eye(6)
    across_rows = np.corrcoef(x[:-1].T, x[1:].T)[:6, 6:]
    assert np.max(np.abs(in_rows)) < 4.5 / np.sqrt(5000)
    assert np.max(np.abs(across_rows)) < 4.5 / np.sqrt(5000)


@pytest.mark.parametrize(("draw", "tolerance"), [("uniform", 0), ("normal", 2e-6)])
def test_a_row_depends_on_its_seed_alone(draw, tolerance):
    draw = getattr(tfflows.random.counter, draw)
    seed = seeds(37)
    x = draw(seed, 7).numpy()
    order = np.random.default_rng(1).permutation(37)
    np.testing.assert_allclose(draw(seed[order], 7), x[order], rtol=0, atol=tolerance)
    for i in (0, 17, 36):
        np.testing.assert_allclose(draw(seed[i : i + 1], 7)[0], x[i], rtol=0, atol=tolerance)
    specs = [tf.TensorSpec([None, 2], tf.int64)]
    in_graph = tf.function(lambda seed: draw(seed, 7), input_signature=specs, autograph=False)
    np.testing.assert_allclose(in_graph(seed), x, rtol=0, atol=tolerance)


@pytest.mark.parametrize("draw", [uniform, normal])
def test_streams_are_uncorrelated(draw):
    draws = np.stack([np.ravel(draw(seeds(2000), 3, stream)) for stream in (0, 1, 2, 2**32 - 1)])
    np.testing.assert_array_equal(draws[0], np.ravel(draw(seeds(2000), 3)))
    assert np.max(np.abs(np.corrcoef(draws) - np.eye(4))) < 4.5 / np.sqrt(6000)


@pytest.mark.parametrize("bit", [0, 31, 32, 52, 62, 63])
@pytest.mark.parametrize("position", [0, 1])
def test_every_bit_of_a_seed_counts(position, bit):
    seed = seeds(1)
    other = seed.copy()
    other.view(np.uint64)[0, position] ^= np.uint64(2**bit)
    difference = uniform(seed, 8) - uniform(other, 8)
    assert np.min(np.abs(difference)) > 0


def test_wrong_seeds_are_refused():
    with pytest.raises(ValueError, match=r"shape \('batch', 2\), but found \(4, 3\)"):
        uniform(np.zeros([4, 3], np.int64), 2)
    with pytest.raises(ValueError, match="int64"):
        normal(tf.zeros([4, 2], tf.int32), 2)
