"""When a flow starts from data, and when it does not any more."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfflows
import zoo

X = (np.random.default_rng(0).normal(size=(64, 2)) @ [[1, 0.9], [0, 0.4]]).astype("float32")
OTHER = 3 * X + 10


def flow_of():
    keras.utils.set_random_seed(0)
    return tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), name="v")


def loop_of_ones_own(flow):
    optimizer = keras.optimizers.Adam(0.01)
    for _ in range(2):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(X))
        gradients = tape.gradient(loss, flow.trainable_variables)
        optimizer.apply(gradients, flow.trainable_variables)


def single_steps(flow):
    flow.compile(keras.optimizers.Adam(0.01))
    flow.train_on_batch(X)


def assigned_weights(flow):
    flow.set_weights([weight + 0.1 * (weight.dtype != bool) for weight in flow.get_weights()])


@pytest.mark.parametrize("train", [loop_of_ones_own, single_steps, assigned_weights])
@pytest.mark.parametrize("saved", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_trained_flow_is_not_adapted_again(train, saved, tmp_path):
    flow = flow_of()
    assert not flow.is_trained
    train(flow)
    if saved:
        flow.save(tmp_path / "flow.keras")
        flow = keras.models.load_model(tmp_path / "flow.keras")
    assert flow.is_trained
    before = flow.log_prob(X).numpy()
    flow.compile(keras.optimizers.SGD(0.0))
    warns = flow.needs_adapt
    with pytest.warns(match="goes on as it is") if warns else contextlib.nullcontext():
        flow.fit(OTHER, verbose=0)
    np.testing.assert_array_equal(flow.log_prob(X), before)
    with pytest.raises(ValueError, match="v was trained already.* Pass again=True"):
        flow.adapt(OTHER)
    flow.adapt(OTHER, again=True)
    assert np.any(np.abs(flow.log_prob(X) - before) > 1)


def test_an_untrained_flow_of_a_file_is_adapted(tmp_path):
    flow = flow_of()
    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    assert not loaded.is_trained
    flow.compile(keras.optimizers.SGD(0.0))
    loaded.compile(keras.optimizers.SGD(0.0))
    for model in (flow, loaded):
        model.fit(OTHER, verbose=0)
    np.testing.assert_array_equal(loaded.log_prob(X), flow.log_prob(X))
    # A weights file knows it, too.
    flow.save_weights(tmp_path / "flow.weights.h5")
    other = flow_of()
    other.load_weights(tmp_path / "flow.weights.h5")
    assert not other.is_trained
    assert not other.transform.needs_adapt


def test_adapted_flows_of_old_files_count_as_trained():
    flow = zoo.load("realnvp_moons")
    assert flow.is_trained
    with pytest.raises(ValueError, match="was trained already"):
        flow.adapt(X)


def test_the_first_single_step_starts_from_its_batch():
    flow = flow_of()
    flow.compile(keras.optimizers.SGD(0.0))
    flow.train_on_batch(OTHER)
    z = flow.encode(OTHER).numpy()
    np.testing.assert_allclose([z.mean(0), z.std(0)], [[0, 0], [1, 1]], atol=1e-4)


def test_a_generator_and_batches_are_looked_at_and_lose_nothing():
    seen = []

    def batches():
        for k in range(3):
            seen.append(k)
            yield X[16 * k : 16 * (k + 1)]

    flow = flow_of()
    flow.compile(keras.optimizers.SGD(0.0))
    history = flow.fit(batches(), epochs=1, steps_per_epoch=3, verbose=0).history
    assert seen == [0, 1, 2]
    assert history["nll"] == [pytest.approx(-np.mean(flow.log_prob(X[:48])), rel=1e-5)]
    z = flow.encode(X[:16]).numpy()
    np.testing.assert_allclose([z.mean(0), z.std(0)], [[0, 0], [1, 1]], atol=1e-4)


def conditional():
    keras.utils.set_random_seed(0)
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), context_dim=1)
    flow.compile(keras.optimizers.Adam(0.01))
    return flow


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e4, 1e-6])
def test_units_and_offsets_of_contexts_make_no_difference(scale):
    context = X[:, :1].astype("float64")
    flow, other = conditional(), conditional()
    expected = flow.fit(X, context, shuffle=False, epochs=2, verbose=0).history["nll"]
    moved = 1e3 * scale + scale * context
    found = other.fit(X, moved, shuffle=False, epochs=2, verbose=0).history["nll"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(other.log_prob(X, moved), flow.log_prob(X, context), rtol=1e-3)


def test_views_and_files_have_the_scales_of_contexts(tmp_path):
    flow, context = conditional(), 100 + 5 * X[:, :1]
    flow.adapt(X, context)
    flow.set_weights([w + 0.1 * (w.dtype != bool) for w in flow.get_weights()])
    expected = flow.log_prob(X, context)
    found = flow.distribution.log_prob(X, bijector_kwargs={"context": context})
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(flow.given(context).log_prob(X), expected, rtol=1e-5)
    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    np.testing.assert_array_equal(loaded.log_prob(X, context), expected)
    tfflows.export.save(flow, tmp_path / "model")
    served = tf.saved_model.load(tmp_path / "model").signatures["log_prob"]
    found = served(x=tf.constant(X), context=tf.constant(context))["log_prob"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
