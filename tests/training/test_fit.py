"""`fit`, `evaluate` and the metrics of flows."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import FLOWS, build_flow, draw_context, draw_data, max_difference

import tfflows


@pytest.mark.parametrize(
    "name", ["nice", "nice_image_classes", "realnvp_context", "realnvp_image", "generic"]
)
def test_fit_lowers_the_loss_and_evaluate_agrees(name):
    flow = FLOWS[name]("float32")
    x, context = draw_data(flow, 64), draw_context(flow, 64)
    flow.compile(keras.optimizers.Adam(0.03))
    history = flow.fit(x, context, batch_size=32, epochs=4, verbose=0).history
    assert history["loss"] == pytest.approx(history["nll"], rel=1e-5)
    assert history["nll"][-1] < history["nll"][0]

    result = flow.evaluate(x, context, batch_size=32, verbose=0, return_dict=True)
    nll = -np.mean(flow.log_prob(x, context, seed=0))
    # Images are evaluated with other noise than `seed` gives.
    assert result["nll"] == pytest.approx(nll, rel=1e-4 if flow.num_bits is None else 0.1)
    assert ("bits_per_dim" in result) == (flow.num_bits is not None)
    if flow.num_bits is not None:
        bits = result["nll"] / math.prod(flow.event_shape) / math.log(2)
        assert result["bits_per_dim"] == pytest.approx(bits, rel=1e-5)


def test_one_sgd_step_is_the_gradient_of_the_mean_negative_log_likelihood():
    flow = build_flow("realnvp", size=0.5)
    x = draw_data(flow, 16)
    flow.compile(keras.optimizers.SGD(0.1))
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(flow.log_prob(x))
    weights = flow.trainable_variables
    expected = [w - 0.1 * g for w, g in zip(weights, tape.gradient(loss, weights), strict=True)]
    flow.fit(x, batch_size=16, verbose=0)
    for weight, wanted in zip(flow.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(weight, wanted, atol=1e-5)


def test_sample_weights_weigh_the_loss():
    flow = build_flow("realnvp_context")
    x, context = draw_data(flow, 8), draw_context(flow, 8)
    flow.compile("sgd")
    weights = np.array([1, 0, 0, 0, 0, 0, 0, 3.0], "float32")
    result = flow.evaluate(x, context, sample_weight=weights, verbose=0, return_dict=True)
    nll = -flow.log_prob(x, context).numpy()
    assert result["nll"] == pytest.approx((nll[0] + 3 * nll[7]) / 4, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["realnvp", "realnvp_classes"])
def test_arrays_pairs_and_data_sets_train_alike(name):
    results = []
    for form in ("arrays", "pair", "dataset"):
        flow = FLOWS[name]("float32")
        x, context = draw_data(flow, 32), draw_context(flow, 32)
        flow.adapt(x, context)
        flow.set_weights(build_flow(name, size=0.5).get_weights())
        flow.compile(keras.optimizers.SGD(0.01))
        options = {"shuffle": False, "verbose": 0}
        if form == "dataset":
            data = tf.data.Dataset.from_tensor_slices(x if context is None else (x, context))
            flow.fit(data.batch(16), **options)
        elif form == "arrays" or context is None:
            flow.fit(x, context, batch_size=16, **options)
        else:
            flow.fit((x, context), batch_size=16, **options)
        results.append(np.concatenate([w.ravel() for w in flow.get_weights()]))
    assert max_difference(results[0], results[1]) < 1e-6
    assert max_difference(results[0], results[2]) < 1e-6


@pytest.mark.parametrize("as_data_set", [False, True])
def test_fit_adapts_once_with_an_array_or_the_first_batch_of_a_data_set(as_data_set):
    flow = tfflows.RealNVP((2,), num_couplings=1, hidden=(4,))
    x = 5 + 3 * np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    x = x[np.argsort(x[:, 0])]  # the first rows are not like the others
    expected = x[:16].mean(0) if as_data_set else x.mean(0)
    flow.compile("sgd")
    if as_data_set:
        flow.fit(tf.data.Dataset.from_tensor_slices(x).batch(16), verbose=0)
    else:
        flow.fit(x, None, 16, verbose=0)
    standardize = flow.transform.layers[-1]
    np.testing.assert_allclose(standardize.mean, expected, rtol=1e-4)
    flow.fit(x[32:], batch_size=16, verbose=0)
    np.testing.assert_allclose(standardize.mean, expected, rtol=1e-4)


def test_adapt_wins_over_the_first_batch():
    flow = tfflows.RealNVP((2,), num_couplings=1, hidden=(4,))
    x = 5 + 3 * np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    flow.adapt(x)
    flow.compile("sgd")
    flow.fit(x, batch_size=16, verbose=0)
    np.testing.assert_allclose(flow.transform.layers[-1].mean, x.mean(0), rtol=1e-4)


def test_image_noise_is_fresh_in_every_step():
    flow = build_flow("nice_image")
    x = draw_data(flow, 4)
    step = tf.function(lambda: flow(x))
    assert max_difference(step(), step()) > 1e-4


def test_frozen_flow_does_not_train():
    flow = build_flow("realnvp")
    flow.transform.layers[0].trainable = False
    before = [layer.get_weights() for layer in flow.transform.layers]
    flow.compile("sgd")
    flow.fit(draw_data(flow, 16), verbose=0)
    after = [layer.get_weights() for layer in flow.transform.layers]
    assert max(max_difference(a, b) for a, b in zip(before[0], after[0], strict=True)) == 0
    assert max(max_difference(a, b) for a, b in zip(before[1], after[1], strict=True)) > 0


def test_fit_traces_each_conditioner_once(conditioner_calls):
    flow = build_flow("realnvp")
    x = draw_data(flow, 32)
    conditioner_calls.clear()
    tf.function(flow.log_prob).get_concrete_function(x)
    assert len(conditioner_calls) == 3  # couplings
    conditioner_calls.clear()
    flow.compile("adam")
    flow.fit(x, batch_size=16, epochs=2, verbose=0)
    # A step may be traced once more, with the optimizer's state made; not once a coupling.
    assert len(conditioner_calls) <= 2 * 3


def test_predict_and_summary(capsys):
    flow = build_flow("realnvp_context")
    x, context = draw_data(flow, 8), draw_context(flow, 8)
    np.testing.assert_allclose(
        flow.predict((x, context), batch_size=4, verbose=0), flow.log_prob(x, context), rtol=1e-5
    )
    flow.summary()
    printed = capsys.readouterr().out
    assert "(Coupling)" in printed
    assert f"{flow.count_params():,}" in printed
