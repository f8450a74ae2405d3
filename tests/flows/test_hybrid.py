"""A flow with a classifier on its latents."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from cases import randomize

import tfflows

SMALL = {"num_blocks": 2, "hidden": (8,), "estimator": tfflows.layers.Exact()}


def hybrid(density_weight=0.5, **settings):
    keras.utils.set_random_seed(0)
    flow = tfflows.IResNet((3,), **{**SMALL, **settings})
    return tfflows.HybridClassifier(flow, 2, density_weight)


def labelled(n=96):
    x = np.random.default_rng(0).normal(size=(n, 3)).astype("float32")
    return x, (x[:, 0] + 0.5 * x[:, 1] > 0).astype("int64")


def test_loss_is_that_of_the_formula():
    model = hybrid()
    randomize(model.flow)
    randomize(model.head)
    x, y = labelled()
    model.compile()
    found = model.evaluate(x, y, batch_size=96, verbose=0, return_dict=True)
    logits = model.head(model.flow.encode(x)).numpy().astype("float64")
    log_prob = model.flow.log_prob(x).numpy().astype("float64")
    cross_entropy = -scipy.special.log_softmax(logits, axis=1)[np.arange(96), y]
    assert found["loss"] == pytest.approx(np.mean(cross_entropy - 0.5 * log_prob / 3), rel=1e-5)
    assert found["nll"] == pytest.approx(-log_prob.mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean(logits.argmax(1) == y), rel=1e-6)
    predicted = model.predict(x, verbose=0)
    np.testing.assert_allclose(np.exp(predicted["log_probs_of_classes"]).sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(predicted["log_prob"], log_prob, rtol=1e-4)


@pytest.mark.slow
def test_fit_learns_both_and_saving_keeps_them(tmp_path):
    model = hybrid()
    x, y = labelled()
    model.compile(keras.optimizers.Adam(0.02))
    history = model.fit(x, y, batch_size=32, epochs=8, verbose=0).history
    assert history["nll"][-1] < history["nll"][0]
    assert history["accuracy"][-1] > max(history["accuracy"][0], 0.7)
    assert not model.flow.transform.needs_adapt
    model.save(tmp_path / "hybrid.keras")
    loaded = keras.models.load_model(tmp_path / "hybrid.keras")
    expected = model.predict(x, verbose=0)
    for name, values in loaded.predict(x, verbose=0).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5)


@pytest.mark.slow
def test_a_data_set_of_pairs_is_taken_too():
    x, y = labelled()
    model = hybrid()
    model.compile(keras.optimizers.SGD(0.0))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    history = model.fit(data, validation_data=data, verbose=0).history
    assert history["val_nll"][0] == pytest.approx(-np.mean(model.flow.log_prob(x)), rel=1e-4)


def test_noise_follows_from_seeds_as_in_a_flow():
    x = np.random.default_rng(0).integers(0, 4, [24, 3]).astype("uint8")
    y = np.arange(24) % 2

    def images():
        keras.utils.set_random_seed(0)
        flow = tfflows.NICE((3,), num_couplings=2, hidden=(4,), num_bits=2)
        flow.adapt(x, seed=0)
        model = tfflows.HybridClassifier(flow, 2)
        model.compile(keras.optimizers.Adam(0.01))
        return model

    def trained(draws):
        model = images()
        settings = {"batch_size": 8, "shuffle": False, "verbose": 0}
        keras.utils.set_random_seed(1)
        for _ in range(2):
            # What others draw meanwhile does not matter.
            [tf.random.uniform([]) for _ in range(draws)]
            model.fit(x, y, epochs=1, **settings)
        return model

    one, other = trained(0), trained(3)
    for expected, found in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    figures = [one.evaluate(x, y, verbose=0, return_dict=True) for _ in range(2)]
    assert figures[0] == figures[1]
    # The noise of evaluation is the flow's own.
    one.flow.compile()
    flows = one.flow.evaluate(x, verbose=0, return_dict=True)
    assert figures[0]["nll"] == pytest.approx(flows["nll"], rel=1e-6)
    two, again = one.predict(x, verbose=0), one.predict(x, verbose=0)
    assert np.any(two["log_prob"] != again["log_prob"])


BAD = {
    "labels out of range": (lambda x, y: hybrid().evaluate(x, y + 1), "values from 1 to 2"),
    "labels of floats": (lambda x, y: hybrid().evaluate(x, y * 1.0), "dtype float64"),
    "conditional flow": (
        lambda x, y: tfflows.HybridClassifier(
            tfflows.RealNVP((3,), num_couplings=2, hidden=(8,), context_dim=1), 2
        ),
        "needs an unconditional flow",
    ),
    "one class": (lambda x, y: tfflows.HybridClassifier(hybrid().flow, 1), "found 1"),
    "negative weight": (lambda x, y: hybrid(-1.0), "density_weight must be .* found -1"),
    "bad x": (lambda x, y: hybrid().evaluate(x[:, :2], y), r"expected x of shape \('batch', 3\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_an_error(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call(*labelled())
