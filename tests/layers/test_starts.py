"""Stacked weights start as weights of their own would."""

import keras
import numpy as np
import pytest

from tfflows.layers import Conv1x1, Stack
from tfflows.layers.starts import starts

N, SHAPE = 5, (3, 3, 40, 50)
DRAWN = {
    "random_normal": keras.initializers.RandomNormal(stddev=0.3),
    "random_uniform": keras.initializers.RandomUniform(-0.2, 0.7),
    "truncated_normal": keras.initializers.TruncatedNormal(stddev=0.3),
    "glorot_uniform": keras.initializers.GlorotUniform(),
    "he_normal": keras.initializers.HeNormal(),
    "untruncated": keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
}


def values_of(initializer, shape=SHAPE):
    weight = keras.Variable(initializer, shape=shape, dtype="float32")
    return starts(initializer, weight, N).numpy()


@pytest.mark.parametrize("name", DRAWN)
def test_each_step_is_drawn_as_one_weight_is(name):
    found = values_of(DRAWN[name])
    one = np.asarray(DRAWN[name].clone()(SHAPE, dtype="float32"))
    assert found.shape == (N, *SHAPE) and found.dtype == "float32"
    size = one.size
    for values in found:
        # Six standard errors of the difference of two means, and of two deviations; no
        # distribution here has a fourth moment above a normal one's, 3 sigma^4.
        assert abs(values.mean() - one.mean()) < 6 * one.std() * np.sqrt(2 / size)
        assert abs(values.std() / one.std() - 1) < 6 * np.sqrt(1 / size)
        assert np.abs(values).max() < 1.3 * np.abs(one).max()
    correlations = np.corrcoef(found.reshape(N, -1))[np.triu_indices(N, 1)]
    assert np.abs(correlations).max() < 6 / np.sqrt(size)


@pytest.mark.parametrize("initializer", ["zeros", "ones", keras.initializers.Constant(0.3)])
def test_constants_are_repeated(initializer):
    initializer = keras.initializers.get(initializer)
    found = values_of(initializer, (2, 3))
    np.testing.assert_array_equal(found, np.stack([np.asarray(initializer((2, 3)))] * N))


@pytest.mark.parametrize("shape", [(7,), (4, 6)])
def test_what_cannot_be_drawn_at_once_is_drawn_one_by_one(shape):
    name = "glorot_uniform" if len(shape) == 1 else "orthogonal"
    found = values_of(keras.initializers.get(name), shape)
    assert found.shape == (N, *shape)
    if name == "orthogonal":
        for matrix in found:
            np.testing.assert_allclose(matrix @ matrix.T, np.eye(4), atol=1e-6)
    else:
        assert np.abs(found).max() <= np.sqrt(3 / 7)
    assert len(np.unique(found)) > 0.9 * found.size


def test_a_subclass_draws_for_itself():
    class Two(keras.initializers.GlorotUniform):
        def __call__(self, shape, dtype=None):
            return keras.ops.full(shape, 2.0)

    np.testing.assert_array_equal(values_of(Two(), (2, 3)), np.full([N, 2, 3], 2.0))


@pytest.mark.parametrize("seed", [None, 0])
def test_rotations_of_one_seed_differ(seed):
    def matrices():
        stack = Stack(Conv1x1(seed=seed), N)
        stack.build((None, 4))
        return [step.matrix() for step in stack.steps]

    first, again = matrices(), matrices()
    assert np.abs(first[0] - first[1]).max() > 1e-2
    assert (np.abs(np.array(first) - again).max() < 1e-6) == (seed == 0)
