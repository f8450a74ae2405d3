"""Bad input to flows: each message names what was found and what was expected."""

import numpy as np
import pytest
import tensorflow as tf
from cases import build_flow

import tfflows
from tfflows.layers import Chain, Reshape, Scale

NAN, INFINITE = float("nan"), float("inf")


def vector(**settings):
    return tfflows.RealNVP((2,), num_couplings=1, hidden=(4,), name="v", **settings)


def image(**settings):
    return tfflows.NICE((1, 2, 1), num_couplings=1, hidden=(4,), num_bits=4, name="i", **settings)


def fit(flow, *args, jit_compile=False):
    flow.compile("sgd", jit_compile=jit_compile)
    return flow.fit(*args, verbose=0)


def evaluate(flow, *args):
    flow.compile("sgd")
    return flow.evaluate(*args, verbose=0)


def points(*rows):
    return np.array(rows, "float32")


def pixels(*values, dtype="uint8"):
    return np.array(values, dtype).reshape(-1, 1, 2, 1)


X = points([1, 2], [3, 4], [5, 6])
CASES = {
    # The construction of a flow.
    "base": (lambda: vector(base="cauchy"), ["'logistic', 'normal'", "'cauchy'"]),
    "num_bits": (lambda: tfflows.Flow(Scale(), (2,), num_bits=9), ["1 to 8", "9"]),
    "two_contexts": (lambda: vector(context_dim=2, num_classes=3), ["not both", "2 and 3"]),
    "no_classes": (lambda: vector(num_classes=0), ["num_classes", "at least 1", "found 0"]),
    "dtypes": (lambda: tfflows.Flow(Scale(), (2,), dtype="float64"), ["float64", "float32"]),
    "event_shape": (
        lambda: tfflows.Flow(Chain([Scale(), Reshape((2, 3))]), (3, 2)),
        ["(2, 3)", "(3, 2)"],
    ),
    "one_dimension": (lambda: tfflows.RealNVP((1,)), ["at least 2", "(1,)"]),
    "odd_half": (lambda: tfflows.NICE((3,), mask="half"), ["even", "3", "'alternating'"]),
    "mask_length": (lambda: tfflows.RealNVP((3,), mask=[True, False]), ["(2,)", "(3,)"]),
    "num_couplings": (lambda: tfflows.RealNVP((2,), num_couplings=0), ["at least 1", "found 0"]),
    # What is asked of it.
    "shape": (lambda: vector().log_prob(points([1, 2, 3])), ["('batch', 2)", "(1, 3)"]),
    "rank": (lambda: vector().encode(np.zeros(2, "float32")), ["('batch', 2)", "(2,)"]),
    "text": (lambda: vector().log_prob(np.array([["a", "b"]])), ["numbers", "<U1"]),
    "boolean": (lambda: vector().log_prob(np.array([[True, False]])), ["numbers", "bool"]),
    "empty": (lambda: vector().log_prob(np.zeros([0, 2], "float32")), ["empty", "(0, 2)"]),
    "nan": (lambda: vector().log_prob(points([1, NAN])), ["finite", "1 of 2"]),
    "infinite": (lambda: vector().log_prob(points([INFINITE, -INFINITE])), ["finite", "2 of 2"]),
    "large_pixel": (lambda: image().log_prob(pixels(3, 16)), ["[0, 16)", "3 to 16"]),
    "negative": (lambda: image().log_prob(pixels(-1, 2, dtype="int32")), ["[0, 16)", "-1 to 2"]),
    "support": (
        lambda: build_flow("realnvp_image").log_prob(points(40, 40).reshape(1, 1, 2, 1)),
        ["finite", "support", "1 of 1"],
    ),
    "n": (lambda: vector().sample(0), ["at least 1", "found 0"]),
    "temperature": (lambda: vector().sample(1, temperature=-0.5), ["at least 0", "-0.5"]),
    "size_of_hidden": (
        lambda: tfflows.RealNVP((2,), hidden=64),
        ["sizes as hidden, such as (64,)", "the number 64"],
    ),
    "misspelt": (
        lambda: tfflows.RealNVP((2,), num_coupling=3),
        ["'num_coupling'; did you mean num_couplings?"],
    ),
    "context_of_a_sample": (lambda: vector().sample(3, context=1), ["not conditional"]),
    "size_of_events": (lambda: tfflows.RealNVP(6), ["event_shape, such as (6,)", "the number 6"]),
    "metrics": (lambda: vector().compile("sgd", metrics=["mae"]), ["metrics", "no predictions"]),
    "loss_weights": (lambda: vector().compile("sgd", loss_weights=[2]), ["loss_weights", "Loss"]),
    "empty_data": (
        lambda: fit(vector(), tf.data.Dataset.from_tensor_slices(X[:0]).batch(2)),
        ["without a single batch"],
    ),
    "contexts_of_samples": (
        lambda: vector(context_dim=2).sample(6, context=X),
        ["6 samples with 3 contexts", "given(context)"],
    ),
    "seed": (lambda: vector().sample(1, seed=(1, 2, 3)), ["pair", "(3,)"]),
    # Contexts.
    "missing": (lambda: vector(context_dim=2).log_prob(X), ["needs a context", "[batch, 2]"]),
    "missing_label": (lambda: vector(num_classes=3).sample(2), ["needs a context", "[0, 3)"]),
    "needless": (lambda: vector().log_prob(X, X), ["not conditional", "given a context"]),
    "size": (lambda: vector(context_dim=3).log_prob(X, X), ["[batch, 3]", "found shape (3, 2)"]),
    "rows": (lambda: vector(context_dim=2).log_prob(X, X[:2]), ["(3, 2)", "found shape (2, 2)"]),
    "labels": (
        lambda: vector(num_classes=3).log_prob(X, [0, 1, 3]),
        ["[0, 3)", "found values from 0 to 3"],
    ),
    "float_labels": (lambda: vector(num_classes=3).log_prob(X, X[:, 0]), ["[0, 3)", "float32"]),
    "nan_context": (lambda: vector(context_dim=2).log_prob(X, X * NAN), ["finite", "6 of 6"]),
    # Arrays that are fitted or evaluated.
    "fit_nan": (lambda: fit(vector(), points([1, 2], [NAN, 1])), ["finite", "1 of 4"]),
    "fit_shape": (lambda: fit(vector(), np.ones([4, 3])), ["('batch', 2)", "(4, 3)"]),
    "fit_text": (lambda: fit(vector(), np.array([["a", "b"]])), ["numbers", "<U1"]),
    "fit_empty": (lambda: fit(vector(), np.zeros([0, 2])), ["empty", "(0, 2)"]),
    "fit_float_pixels": (lambda: fit(image(), pixels(1, 2) / 16), ["[0, 16)", "float64"]),
    "fit_large_pixel": (lambda: fit(image(), pixels(1, 99)), ["[0, 16)", "1 to 99"]),
    "fit_missing": (lambda: fit(vector(num_classes=3), X), ["needs a context", "[0, 3)"]),
    "fit_needless": (lambda: fit(vector(), X, X), ["not conditional"]),
    "fit_labels": (
        lambda: fit(vector(num_classes=2), X, np.array([0, 1, -1])),
        ["[0, 2)", "-1 to 1"],
    ),
    "evaluate_nan": (lambda: evaluate(vector(), points([1, NAN])), ["finite", "1 of 2"]),
    "evaluate_float_pixels": (lambda: evaluate(image(), pixels(1, 2) / 16), ["[0, 16)", "float64"]),
}


@pytest.mark.parametrize("name", CASES)
def test_message_names_what_was_found_and_expected(name):
    action, fragments = CASES[name]
    with pytest.raises(ValueError, match=".") as error:
        action()
    message = str(error.value)
    assert [fragment for fragment in fragments if fragment not in message] == [], message
    assert message[-1] in ".)?", message


# The same within a graph: what is wrong, the data set that has it, and what the message names.
GRAPH_CASES = {
    "nan": (vector, {}, points([1, 2], [NAN, 1]), None, "v needs finite x"),
    "infinite": (vector, {}, points([1, 2], [INFINITE, 1]), None, "v needs finite x"),
    "large_pixel": (image, {}, pixels(1, 99), None, "Pixels must be in [0, 16) for num_bits=4"),
    "negative_pixel": (image, {}, pixels(-1, 2, dtype="int32"), None, "Pixels must be in [0, 16)"),
    "label": (vector, {"num_classes": 2}, X, np.array([0, 1, 2]), "labels [batch] in [0, 2)"),
    "context": (vector, {"context_dim": 2}, X, X * NAN, "v needs a finite context"),
}


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", GRAPH_CASES)
def test_bad_values_in_a_data_set_stop_fit_before_they_reach_the_weights(name, jit_compile):
    make, settings, x, context, fragment = GRAPH_CASES[name]
    flow = make(**settings)
    good = np.nan_to_num(np.clip(x, 0, 9), posinf=1)
    flow.adapt(good, None if context is None else np.zeros_like(context))
    before = flow.get_weights()
    data = tf.data.Dataset.from_tensor_slices(x if context is None else (x, context)).batch(3)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        fit(flow, data, jit_compile=jit_compile)
    assert fragment in str(error.value)
    for old, new in zip(before, flow.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_data_set_is_checked_before_training():
    with pytest.raises(ValueError, match=r"\('batch', 2\), but found \(None, 3\)"):
        fit(vector(), tf.data.Dataset.from_tensor_slices(np.ones([4, 3])).batch(2))
    with pytest.raises(ValueError, match=r"integer pixels in \[0, 16\), but found dtype float64"):
        fit(image(), tf.data.Dataset.from_tensor_slices(pixels(1, 2) / 16).batch(2))


def test_data_set_without_context():
    data = tf.data.Dataset.from_tensor_slices(X).batch(3)
    with pytest.raises(ValueError, match=r"needs a context: labels \[batch\] in \[0, 3\)"):
        fit(vector(num_classes=3), data)


def test_pixels_of_eight_bits_need_no_check_of_uint8():
    flow = tfflows.NICE((1, 2, 1), num_couplings=1, hidden=(4,), num_bits=8)
    assert np.all(np.isfinite(flow.log_prob(pixels(0, 255), seed=0)))
