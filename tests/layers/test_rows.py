"""Rows have the values and the gradients of indexing."""

import numpy as np
import pytest
import tensorflow as tf

from tfflows.layers.rows import Rows

N = 4
RNG = np.random.default_rng(0)
ARRAYS = [RNG.normal(size=(N, 3)), RNG.normal(size=(N, 3, 3))]


def by_rows(vectors, matrices):
    rows = Rows([vectors, matrices], N)
    return lambda i: rows.read(i)


def by_index(vectors, matrices):
    return lambda i: (vectors[i], matrices[i])


def loss(read, vectors, matrices, x):
    """Each row is read, one of them twice."""
    read = read(vectors, matrices)

    def body(i, h):
        vector, matrix = read(i % N)
        return i + 1, tf.sin(tf.linalg.matvec(matrix, h)) * tf.exp(vector)

    is_left = lambda i, h: i < N + 1  # noqa: E731
    h = tf.while_loop(is_left, body, (0, x), maximum_iterations=N + 1)[1]
    return tf.reduce_sum(h**2)


def gradients(read, *sources):
    """First ones, and those of their squared norm."""
    with tf.GradientTape() as outer:
        outer.watch(sources)
        with tf.GradientTape() as inner:
            inner.watch(sources)
            value = loss(read, *sources)
        first = inner.gradient(value, sources)
        norm = sum(tf.reduce_sum(part**2) for part in first)
    return [value, *first, *outer.gradient(norm, sources)]


@pytest.mark.parametrize("wrap", ["eager", "graph", "xla"])
def test_gradients_are_those_of_indexing(wrap):
    sources = [tf.constant(array) for array in (*ARRAYS, RNG.normal(size=3))]
    expected = gradients(by_index, *sources)
    function = gradients
    if wrap != "eager":
        function = tf.function(gradients, autograph=False, jit_compile=wrap == "xla")
    for found, wanted in zip(function(by_rows, *sources), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_the_backward_loop_keeps_nothing_of_the_lists():
    """Beside rows, which it needs, the forward loop keeps no lengths and no shapes of lists."""
    sources = [tf.constant(array) for array in (*ARRAYS, RNG.normal(size=3))]
    graph = tf.function(gradients, autograph=False).get_concrete_function(by_rows, *sources).graph
    functions = graph.as_graph_def().library.function
    kept = [node.op for function in functions for node in function.node_def]
    assert "TensorListPushBack" in kept
    assert "TensorListLength" not in kept
    assert "TensorListElementShape" not in kept
