"""All forms in which Keras takes data and weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfflows

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 2)).astype("float32")
WEIGHTS = RNG.uniform(size=32).astype("float32")
LABELS = RNG.integers(0, 3, 32)


class Batches(keras.utils.PyDataset):
    """One batch, again and again."""

    def __init__(self, batch, **settings):
        super().__init__(**settings)
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


def data_set(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(32)


def forever(*batch):
    while True:
        yield batch


def flow_of(**settings):
    keras.utils.set_random_seed(0)
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), name="v", **settings)
    flow.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return flow


# x and arguments of `fit`.
WEIGHTED = {
    "arrays": (X, {"sample_weight": WEIGHTS}),
    "a_column": (X, {"sample_weight": WEIGHTS[:, None]}),
    "a_list": (X.tolist(), {"sample_weight": WEIGHTS}),
    "a_dictionary": ({"x": X, "sample_weight": WEIGHTS}, {}),
    "a_data_set": (data_set(X, WEIGHTS).map(lambda x, w: (x, None, w)), {}),
    "a_data_set_of_dictionaries": (
        data_set(X, WEIGHTS).map(lambda x, w: {"x": x, "sample_weight": w}),
        {},
    ),
    "a_py_data_set": (Batches((X, None, WEIGHTS)), {}),
    "a_generator": (forever(X, None, WEIGHTS), {"steps_per_epoch": 1}),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_loss_gradient_and_metrics_are_the_weighted_mean(name):
    x, arguments = WEIGHTED[name]
    flow = flow_of()
    flow.adapt(X)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_sum(WEIGHTS * flow.log_prob(X)) / tf.reduce_sum(WEIGHTS)
    weights = flow.trainable_variables
    expected = [w - 0.1 * g for w, g in zip(weights, tape.gradient(loss, weights), strict=True)]
    history = flow.fit(x, batch_size=32, shuffle=False, verbose=0, **arguments).history
    assert history["loss"] == history["nll"] == [pytest.approx(float(loss), rel=1e-5)]
    for weight, value in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight, value, atol=1e-5)


def test_weights_in_evaluation_and_single_steps():
    flow = flow_of()
    flow.adapt(X)
    expected = pytest.approx(-np.average(flow.log_prob(X), weights=WEIGHTS), rel=1e-5)
    assert flow.evaluate(X, sample_weight=WEIGHTS, batch_size=8, verbose=0)[1] == expected
    assert flow.test_on_batch(X, sample_weight=WEIGHTS)[1] == expected
    assert flow.train_on_batch(X, sample_weight=WEIGHTS)[1] == expected
    flow = flow_of()
    flow.adapt(X)
    flow.optimizer.learning_rate = 0.0
    history = flow.fit(X, validation_data=(X, None, WEIGHTS), verbose=0).history
    assert history["val_nll"] == [expected]


def test_weights_of_classes_are_weights_of_examples():
    weights = {0: 1.0, 1: 0.0, 2: 3.0}
    flow = flow_of(num_classes=3)
    flow.adapt(X, LABELS)
    expected = -np.average(flow.log_prob(X, LABELS), weights=[weights[k] for k in LABELS])
    arguments = {"class_weight": weights, "batch_size": 32, "verbose": 0}
    for data in ((X, LABELS), (data_set(X, LABELS), None)):
        flow.optimizer.learning_rate = 0.0
        assert flow.fit(*data, **arguments).history["loss"] == [pytest.approx(expected, rel=1e-5)]
    with pytest.raises(ValueError, match="v has no classes .* use sample_weight"):
        flow_of().fit(X, class_weight=weights)


@pytest.mark.slow
def test_weights_of_all_replicas_are_one_batch(two_replicas):
    with two_replicas.scope():
        keras.utils.set_random_seed(0)
        flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), name="v")
        flow.compile(keras.optimizers.SGD(0.1))
    flow.adapt(X)
    weights = np.arange(32.0)  # of which the second replica has most
    alone = flow_of()
    alone.adapt(X)
    for model in (flow, alone):
        model.fit(X, sample_weight=weights, batch_size=32, shuffle=False, verbose=0)
    for one, other in zip(flow.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_contexts_come_as_pairs_lists_and_dictionaries():
    histories = []
    for data in ((X, LABELS), [X, LABELS], {"x": X, "context": LABELS}, Batches((X, LABELS))):
        history = flow_of(num_classes=3).fit(data, batch_size=32, shuffle=False, verbose=0).history
        histories.append(history["nll"])
    assert histories == [histories[0]] * 4


NAN = X * np.nan
BAD = {
    "nan": (X, {"sample_weight": WEIGHTS * np.nan}, "finite sample_weight, but 32 of 32"),
    "negative": (X, {"sample_weight": -WEIGHTS}, "sample_weight of at least 0, but found -0.9"),
    "all_zero": (X, {"sample_weight": 0 * WEIGHTS}, "sample_weight of 0 for all of x"),
    "length": (X, {"sample_weight": WEIGHTS[:3]}, r"n = 32 examples, but found \(3,\)"),
    "masked": (np.ma.masked_less(X, 0), {}, "entries are masked"),
    "keys": ({"x": X, "weights": WEIGHTS}, {}, r"found \['weights', 'x'\]"),
    "context": (data_set(X, LABELS), {}, "not conditional"),
    "pair": ((X, LABELS), {}, "not conditional"),
    "nan_of_a_generator": (forever(NAN), {"steps_per_epoch": 1}, "v needs finite x"),
    "nan_of_batches": (Batches(NAN), {}, "v needs finite x"),
    "shape_of_batches": (Batches(X[:, :1]), {}, r"\('batch', 2\), but found \(32, 1\)"),
    "multiprocessing": (Batches(X, use_multiprocessing=True), {}, "use threads"),
    "masked_validation": (X, {"validation_data": (NAN,)}, "v needs finite x"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_refused_before_a_step(name):
    x, arguments, message = BAD[name]
    flow = flow_of()
    with pytest.raises(ValueError, match=message):
        flow.fit(x, verbose=0, **arguments)
    assert flow.optimizer.iterations == 0


# What a flow and a generator of good batches and a bad one end with.
LATER = {
    "label": ({"num_classes": 3}, (X, LABELS), (X, LABELS + 7), r"labels \[batch\] in \[0, 3\)"),
    "nan": ({}, (X,), (NAN,), "v needs finite x"),
    "weights": ({}, (X, None, WEIGHTS), (X, None, -WEIGHTS), "sample_weight of at least 0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LATER)
def test_checks_hold_under_xla(name):
    settings, good, bad, message = LATER[name]
    flow = flow_of(**settings)
    flow.compile("sgd", jit_compile=True)

    def generator():
        # Keras looks at two before it starts.
        yield from [good, good, bad]

    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        flow.fit(generator(), steps_per_epoch=3, verbose=0)
    assert all(np.all(np.isfinite(weight)) for weight in flow.get_weights())
