"""`DenseSigmoid` against its layers in NumPy."""

import json

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfflows.transformers import DenseSigmoid, LogisticMixture


def test_it_is_the_composition_of_its_layers():
    transformer = DenseSigmoid(hidden=(2, 3), bound=4.0, log_scale_bound=1.5)
    raw = np.random.default_rng(0).normal(size=transformer.num_parameters)
    assert transformer.num_parameters == (2 + 2 + 2 * 2) + (3 * 2 + 3 + 3 + 3)
    parts = np.split(raw, np.cumsum([2, 2, 4, 6, 3, 3]))

    def start(k):
        means = np.linspace(-1.5, 1.5, k)
        scale = np.sqrt(1 - means.var() / (np.pi**2 / 3))
        return means, max(np.log(scale), -0.75)

    def means_and_scales(means, scales, k):
        first, log_scale = start(k)
        means = 4 * np.tanh(means / 4 + np.arctanh(first / 4))
        return means, np.exp(1.5 * np.tanh(scales / 1.5 + np.arctanh(log_scale / 1.5)))

    rows = lambda logits, shape, eye: scipy.special.softmax(  # noqa: E731
        logits.reshape(shape) + eye * np.eye(*shape), axis=1
    )
    x = np.linspace(-5, 5, 31)
    m, s = means_and_scales(parts[0], parts[1], 2)
    h = scipy.special.logit(scipy.special.expit((x[:, None] - m) / s) @ rows(parts[2], (2, 2), 1).T)
    u, w = rows(parts[3], (3, 2), 1), rows(parts[6], (1, 3), 0)
    m, s = means_and_scales(parts[4], parts[5], 3)
    expected = scipy.special.logit(scipy.special.expit((h @ u.T - m) / s) @ w.T)[:, 0]
    z, _ = transformer.inverse(x, [tf.constant([p]) for p in raw])
    np.testing.assert_allclose(z, expected, rtol=1e-11, atol=1e-11)


def test_one_layer_is_a_mixture():
    dense, mixture = DenseSigmoid(hidden=(4,), log_scale_bound=2.0), LogisticMixture(4, bound=3.0)
    raw = np.random.default_rng(0).normal(size=[12, 1])
    means, log_scales, logits = np.split(raw, 3)
    x = np.linspace(-6, 6, 25)
    found = dense.inverse(x, [tf.constant(p) for p in raw])
    expected = mixture.inverse(x, [tf.constant(p) for p in (*logits, *means, *log_scales)])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_all_units_start_with_gradients_of_their_own():
    transformer = DenseSigmoid(hidden=(3, 3))
    parameters = [tf.zeros([1], "float64") for _ in range(transformer.num_parameters)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        z, _ = transformer.inverse(np.array([-1.0, 0.3, 2.0]), parameters)
        loss = tf.reduce_sum((z - 1) ** 3)
    gradients = np.ravel(tape.gradient(loss, parameters))
    w = gradients[6:15].reshape(3, 3)
    u = gradients[15:24].reshape(3, 3)
    for matrix in (w, u):
        assert len({tuple(row.round(8)) for row in matrix}) == 3
        assert len({tuple(column.round(8)) for column in matrix.T}) == 3


def test_a_copy_from_json_is_equal():
    transformer = DenseSigmoid(hidden=np.array([3, 2]).tolist())
    copy = DenseSigmoid.from_config(json.loads(json.dumps(transformer.get_config())))
    assert copy == transformer and hash(copy) == hash(transformer)


@pytest.mark.parametrize("hidden", [(), (1,), (4, 2.5), 5])
def test_hidden_that_are_no_sizes_are_errors(hidden):
    with pytest.raises(ValueError, match="needs hidden to be integers of at least 2, one a layer"):
        DenseSigmoid(hidden=hidden)
