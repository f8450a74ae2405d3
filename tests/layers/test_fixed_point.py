"""The accelerated iteration, against equations whose solutions are known."""

import numpy as np
import pytest
import tensorflow as tf

from tfflows.layers.fixed_point import solve_contraction

DIM = 20


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def contraction(rng, coefficient):
    """A matrix of a 2-norm, far from symmetric."""
    matrix = rng.normal(size=(DIM, DIM))
    return coefficient * matrix / np.linalg.norm(matrix, 2)


def counted(function):
    """The function, and a list that grows with each call."""
    calls = []

    def call(x):
        calls.append(1)
        return function(x)

    return call, calls


@pytest.mark.parametrize("coefficient", [0.5, 0.97, 0.999])
def test_linear_equations_are_solved_as_fast_as_by_the_plain_iteration(rng, coefficient):
    matrix, b = contraction(rng, coefficient), rng.normal(size=(3, DIM))
    function, calls = counted(lambda x: x @ matrix.T)
    x = solve_contraction(function, tf.constant(b), tf.ones([3], "float64"), 1e-10, 500, "Test")
    expected = np.linalg.solve(np.eye(DIM) + matrix, b.T).T
    # |x - x*| <= |(I + J)^-1| |r|, r the residual.
    gain = np.linalg.norm(np.linalg.inv(np.eye(DIM) + matrix), 2)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-10 * gain * np.sqrt(DIM))
    # The largest of the moduli of J's eigenvalues says what the plain iteration needs; those of
    # such a matrix fill a disc, which leaves nothing to be gained, and little is lost.
    radius = np.abs(np.linalg.eigvals(matrix)).max()
    assert len(calls) <= 1.1 * np.log(1e-10) / np.log(radius)


def test_a_slow_direction_takes_few_steps():
    # One eigenvalue near -1: the plain iteration needs log(1e-10) / log(0.999) = 23,000 steps.
    diagonal = np.linspace(-0.2, 0.2, DIM)
    diagonal[0] = -0.999
    function, calls = counted(lambda x: x * diagonal)
    b = np.ones([1, DIM])
    x = solve_contraction(function, tf.constant(b), tf.ones([1], "float64"), 1e-10, 100, "Test")
    np.testing.assert_allclose(x, b / (1 + diagonal), rtol=1e-6)
    assert len(calls) < 30


@pytest.mark.slow
def test_steps_that_mislead_are_taken_back(rng):
    # Pairs of one side of a kink are wrong on the other: if all steps were kept, x would not end.
    rotation = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]
    function, calls = counted(lambda x: 0.99 * tf.matmul(tf.nn.relu(x), rotation))
    b = tf.constant(rng.normal(size=(50, DIM)))
    x = solve_contraction(function, b, tf.ones([50], "float64"), 1e-10, 3000, "Test")
    # No more than the plain iteration would need.
    assert len(calls) <= np.log(1e-10) / np.log(0.99)
    # The last step, a plain one, makes the residual's length 0.99 times what it was at most.
    residual = np.linalg.norm(x + function(x) - b, axis=1)
    assert residual.max() <= 0.99 * 1e-10 * np.sqrt(DIM)


@pytest.mark.parametrize("dtype, reached", [("float32", 2e-6), ("float64", 1e-13)])
def test_without_a_tolerance_it_goes_on_to_rounding(rng, dtype, reached):
    matrix = tf.constant(contraction(rng, 0.9), dtype)
    b = tf.constant(rng.normal(size=(4, DIM)), dtype)

    def function(x):
        return tf.tanh(tf.matmul(x, matrix))

    scale = tf.reduce_max(tf.abs(b), 1)
    x = solve_contraction(function, b, scale, None, 500, "Test")
    excess = tf.reduce_max(tf.abs(x + function(x) - b), 1) / scale
    assert np.max(excess) <= reached


def test_most_iterations_are_rough(rng):
    matrix, b = contraction(rng, 0.9), rng.normal(size=(2, DIM))
    function, calls = counted(lambda x: x @ matrix)
    rough, rough_calls = counted(lambda x: x @ tf.cast(matrix, tf.float32))
    scale = tf.ones([2])
    x = solve_contraction(function, tf.constant(b), scale, 1e-9, 500, "Test", rough)
    residual = np.abs(b - x - x @ matrix).max()
    assert residual <= 0.9 * 1e-9 * np.sqrt(DIM)
    # Each makes its share of the errors' powers of ten, 5.7 and 3.3.
    assert rough_calls and len(calls) < len(rough_calls)


def test_images_are_solved_as_vectors_are(rng):
    matrix, b = contraction(rng, 0.9), rng.normal(size=(2, DIM))
    settings = tf.ones([2], "float64"), 1e-10, 500, "Test"
    flat = solve_contraction(lambda x: tf.matmul(x, matrix), tf.constant(b), *settings)

    def of_images(x):
        return tf.reshape(tf.matmul(tf.reshape(x, [-1, DIM]), matrix), tf.shape(x))

    images = tf.reshape(tf.constant(b), [2, 2, 5, 2])
    found = solve_contraction(of_images, images, *settings)
    np.testing.assert_array_equal(tf.reshape(found, [2, DIM]), flat)


def test_too_few_iterations_are_an_error(rng):
    matrix, b = tf.constant(contraction(rng, 0.99)), tf.constant(rng.normal(size=(2, DIM)))
    arguments = lambda x: tf.matmul(x, matrix), b, tf.ones([2], "float64"), 1e-10, 4, "Test"
    with pytest.raises(ValueError, match=r"Test did not converge: .* within 4 iterations"):
        solve_contraction(*arguments)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Test did not converge"):
        tf.function(lambda: solve_contraction(*arguments))()
