"""What users call runs compiled: the same values, one trace a kind of input, the same errors."""

import copy
import pickle
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import FLOWS, build_flow, cases_of, draw_context, draw_points, max_difference
from tensorflow.core.protobuf.config_pb2 import ConfigProto
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.eager.context import context as eager_context

import tfflows
from tfflows.layers import Chain, InvertibleLayer, Scale, Stack

pytestmark = pytest.mark.compiled

# Solvers of equations stop at their tolerances; the rest is float32 sums in another order.
TOLERANCES = {"ffjord": 1e-4, "ffjord_image": 1e-4, "residual_flow": 1e-4, "iresnet_image": 1e-4}


class Counting(InvertibleLayer):
    """The identity, which counts how often Python runs it: once a trace."""

    calls = 0

    def _forward(self, z, call):
        Counting.calls += 1
        return z, tf.zeros(tf.shape(z)[:1])

    _inverse = _forward


class Doubling(InvertibleLayer):
    """2 z + 1, written such that TensorFlow's arithmetic optimizer makes it empty in a loop."""

    def _forward(self, z, call):
        return z + z + 1.0, tf.fill(tf.shape(z)[:1], 2 * np.float32(np.log(2)))

    def _inverse(self, x, call):
        return (x - 1.0) / 2.0, tf.fill(tf.shape(x)[:1], -2 * np.float32(np.log(2)))


@pytest.fixture
def counting():
    Counting.calls = 0
    return tfflows.Flow(Chain([Scale(), Counting()]), event_shape=(2,))


def relative(found, expected):
    return max_difference(found, expected) / max(1.0, float(tf.reduce_max(tf.abs(expected))))


@pytest.mark.parametrize("name", cases_of(FLOWS))
def test_values_are_those_of_eager_mode(name):
    flow = build_flow(name, size=0.3)
    x, context = draw_points(flow, 3), draw_context(flow, 3)
    found = flow.log_prob(x, context), flow.sample(3, 0.5, seed=1, context=context)
    flow.run_eagerly = True
    expected = flow.log_prob(x, context), flow.sample(3, 0.5, seed=1, context=context)
    for value, wanted in zip(found, expected, strict=True):
        assert relative(value, wanted) < TOLERANCES.get(name, 1e-5)


def test_batch_sizes_share_a_trace(counting):
    for n in (1, 2, 7):
        assert counting.log_prob(np.zeros([n, 2], "float32")).shape == (n,)
    assert Counting.calls == 1
    counting.log_prob(tf.zeros([3, 2], tf.float64))  # is cast first
    counting.log_prob(np.zeros([3, 2], int))
    assert Counting.calls == 1
    for n in (1, 5):
        counting.sample(n, temperature=0.1 * n)
    counting.encode(np.zeros([3, 2]))
    assert Counting.calls == 3


def test_run_eagerly_switches_it_off(counting):
    counting.run_eagerly = True
    for calls in (1, 2, 3):
        counting.log_prob(np.zeros([3, 2]))
        assert Counting.calls == calls
    counting.run_eagerly = False
    for _ in range(2):
        counting.log_prob(np.zeros([3, 2]))
    assert Counting.calls == 4


def test_functions_that_run_eagerly_are_not_traced(counting):
    tf.config.run_functions_eagerly(True)
    try:
        for calls in (1, 2):
            counting.log_prob(np.zeros([3, 2]))
            assert Counting.calls == calls
    finally:
        tf.config.run_functions_eagerly(False)


def test_sums_in_loops_are_not_rewritten():
    flow = tfflows.Flow(Stack(Doubling(), n=3), event_shape=(2,))
    z = np.float32([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(flow.decode(z), 8 * z + 7)


def test_options_of_other_functions_stay_as_they_are(counting):
    counting.log_prob(np.zeros([1, 2], "float32"))
    options = ConfigProto.FromString(eager_context().function_call_options.config_proto_serialized)
    assert options.graph_options.rewrite_options.arithmetic_optimization == RewriterConfig.DEFAULT


def test_a_number_of_samples_of_numpy_shares_the_trace(counting):
    counting.sample(1)
    counting.sample(np.int64(2))
    assert Counting.calls == 1


def test_within_a_function_nothing_is_called(counting):
    function = tf.function(lambda x: counting.log_prob(x) + counting.log_prob(x))
    graph = function.get_concrete_function(tf.zeros([3, 2])).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert not kinds & {"PartitionedCall", "StatefulPartitionedCall"}
    assert Counting.calls == 2


def test_new_weights_and_memory_modes_are_seen():
    flow = tfflows.Flow(Chain([Scale()]), event_shape=(2,))
    x = np.ones([1, 2], "float32")
    first = float(flow.log_prob(x)[0])
    flow.transform.layers[0].weight.assign([1.0, 2.0])
    expected = first - 3 + 1 - 0.5 * (np.exp(-2) + np.exp(-4))
    assert float(flow.log_prob(x)[0]) == pytest.approx(expected, rel=1e-5)
    flow.memory = "invert"
    assert float(flow.log_prob(x)[0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["realnvp_context", "glow", "residual_flow", "nice_image"])
def test_an_outer_tape_sees_through(name):
    flow = build_flow(name, size=0.3)
    x, context = tf.constant(draw_points(flow, 3)), draw_context(flow, 3)
    sources = [x, *(weight.value for weight in flow.trainable_weights)]

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(flow.log_prob(x, context))
        return tape.gradient(loss, sources)

    found = gradients()
    np.testing.assert_allclose(found[0], flow.score(x, context), rtol=1e-4, atol=1e-5)
    flow.run_eagerly = True
    for gradient, expected in zip(found, gradients(), strict=True):
        assert relative(gradient, expected) < TOLERANCES.get(name, 1e-4)


def test_a_persistent_tape_gives_a_jacobian():
    flow = build_flow("realnvp")
    x = tf.constant(draw_points(flow, 3))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        z = flow.encode(x)
    jacobian = tape.batch_jacobian(z, x, experimental_use_pfor=False)
    log_det = np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(
        flow.base.log_prob(z) + log_det, flow.log_prob(x), rtol=1e-4, atol=1e-4
    )


def test_a_persistent_tape_that_watches_weights_alone(counting):
    weight = counting.transform.layers[0].weight
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_sum(counting.log_prob(np.ones([3, 2], "float32")))
    # Of -log_scale - exp(-2 log_scale) / 2, at 0, three times.
    np.testing.assert_allclose(tape.gradient(loss, weight.value), [0.0, 0.0], atol=1e-6)
    counting.log_prob(np.ones([3, 2], "float32"))
    assert Counting.calls == 2  # the trace, and what was called as it is


@pytest.mark.slow
def test_threads_that_differentiate_at_once():
    flow = build_flow("residual_flow", size=0.3)
    x = tf.constant(draw_points(flow, 3))
    found, start = [None] * 4, threading.Barrier(4)

    def call(i):
        start.wait()
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(flow.log_prob(x))
        found[i] = tape.gradient(loss, x).numpy()

    threads = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for gradient in found:
        np.testing.assert_allclose(gradient, flow.score(x), rtol=1e-4, atol=1e-4)


def test_errors_are_the_sentences_of_eager_mode():
    flow = tfflows.IResNet((2,), num_blocks=1, hidden=(8,), coefficient=0.9)
    flow.blocks[0].network.layers[0].kernel.assign(5 * np.eye(2, 8, dtype="float32"))
    flow.transform.unrolled()[0].max_iterations = 1
    with pytest.raises(ValueError, match="did not converge: the residual, relative to its scale"):
        flow.sample(3, seed=0)
    with pytest.raises(ValueError, match="finite x, but 1 of 2 values are NaN"):
        flow.log_prob([[np.nan, 1.0]])


def test_threads_share_traces(counting):
    x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    found, start = [None] * 8, threading.Barrier(8)

    def call(i):
        start.wait()
        found[i] = counting.log_prob(x[: i + 1]).numpy()

    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counting.calls == 1
    expected = -0.5 * np.sum(x**2, 1) - np.log(2 * np.pi)
    for i in range(8):
        np.testing.assert_allclose(found[i], expected[: i + 1], rtol=1e-5)


def test_copies_of_a_flow_that_was_called():
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,))
    x = np.ones([3, 2], "float32")
    expected = flow.log_prob(x)
    for made in (copy.deepcopy(flow), pickle.loads(pickle.dumps(flow))):
        np.testing.assert_allclose(made.log_prob(x), expected, rtol=1e-6)
    clone = keras.models.clone_model(flow)
    clone.set_weights(flow.get_weights())
    np.testing.assert_allclose(clone.log_prob(x), expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["realnvp_classes", "glow", "residual_flow"])
def test_samples_come_with_their_log_prob(name):
    flow = build_flow(name, size=0.3)
    context = draw_context(flow, 4)
    x, log_prob = flow.sample_and_log_prob(4, 0.7, seed=3, context=context)
    np.testing.assert_array_equal(x, flow.sample(4, 0.7, seed=3, context=context))
    expected = flow.log_prob(x, context)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4, atol=1e-3)


def test_score_of_a_gaussian():
    flow = tfflows.Flow(Stack(Scale(), 2), event_shape=(3,))
    flow.transform.stacked[0].assign(np.log(2) * np.ones([2, 3]))
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    np.testing.assert_allclose(flow.score(x), -x / 16, rtol=1e-5)
    image = tfflows.RealNVP((1, 2, 1), num_couplings=1, hidden=(4,), num_bits=2)
    assert image.score(np.zeros([3, 1, 2, 1], int), seed=1).shape == (3, 1, 2, 1)
