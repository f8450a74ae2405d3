"""Traces as values: what Keras saves of them, what they ask of f, bad arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfflows.layers import ExactTrace, Hutchinson, Pass, Trace

TRACES = [ExactTrace(), Hutchinson(), Hutchinson("gaussian")]
A = np.array([[0.3, -1.2, 0.1], [0.7, -0.5, 0.4], [-0.2, 0.6, 0.9]])


@pytest.mark.parametrize("trace", TRACES, ids=str)
def test_keras_saves_it(trace):
    config = keras.saving.serialize_keras_object(trace)
    assert keras.saving.deserialize_keras_object(config) == trace
    assert trace not in [other for other in TRACES if other is not trace]


@pytest.mark.parametrize("trace", TRACES, ids=str)
def test_divergence_and_norm_in_the_mean(trace):
    n = 1 if trace == ExactTrace() else 20000
    z = tf.ones([n, 3], tf.float64)
    vectors = trace.vectors(z, Pass(), stream=0)
    f, divergence, norm = trace.divergence(lambda z, t: t * z @ A.T, z, 2.0, vectors)
    np.testing.assert_allclose(f[0], 2 * A.sum(1), rtol=1e-12)
    for found, expected in ((divergence, 2 * np.trace(A)), (norm, 4 * np.sum(A**2))):
        assert found.shape == (n,)
        error = max(1e-12, 4 * np.std(found) / np.sqrt(n))
        assert abs(np.mean(found) - expected) < error
    assert (trace.estimator is None) == (np.std(divergence) == 0)


@pytest.mark.parametrize("trace", TRACES[1:], ids=str)
def test_noise_is_of_its_seed_its_row_and_its_stream(trace):
    z = tf.zeros([4, 2, 3])
    first = trace.vectors(z, Pass(), 0)
    np.testing.assert_array_equal(trace.vectors(z, Pass(), 0), first)
    seeds = tf.constant([[1, 2], [3, 4], [1, 2], [5, 6]], tf.int64)
    rows = trace.vectors(z, Pass(row_seeds=seeds), 0)
    np.testing.assert_allclose(rows[0], rows[2], rtol=1e-6)
    others = [
        rows,
        trace.vectors(z, Pass(), 1),
        trace.vectors(z, Pass(seed=3), 0),
        trace.vectors(z, Pass(training=True), 0),
        trace.vectors(z, Pass(row_seeds=seeds), 1),
    ]
    for other in others:
        assert other.shape == first.shape and np.any(other != first)
    if trace.noise == "rademacher":
        assert set(np.unique([first, *others])) == {-1.0, 1.0}


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"one of \('rademacher', 'gaussian'\), but found 'exact'"):
        Hutchinson("exact")
    with pytest.raises(ValueError, match="This was asked for the exact trace of 257 dimensions"):
        ExactTrace().require_affordable(257, "This")
    Hutchinson().require_affordable(257, "This")
    with pytest.raises(NotImplementedError, match="Trace does not say"):
        Trace().vectors(tf.zeros([1, 2]), Pass(), 0)
