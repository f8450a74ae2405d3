"""Gradients from activations that are computed anew are the gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import build_flow, context_matrix, draw_context, draw_data, draw_points

import tfflows
from tfflows.layers import AffineCoupling, Chain, Hutchinson, MultiScale, Stack
from tfflows.layers.stacked_steps import StackedSteps
from tfflows.networks import MLP
from tfflows.ode import RungeKutta4

MODES = ("checkpoint", "invert")
# Couplings of both masks, 1x1 convolutions, actnorms, priors, contexts, nested chains.
FLOWS = ("nice_image_classes", "realnvp_context", "glow_classes", "glow", "image_realnvp")


def gradients(flow, x, context):
    """Of the mean log-density, with respect to x, the context and all weights."""
    sources = [x, *([] if context is None else [context])]
    weights = [weight.value for weight in flow.trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        z, log_det = flow.transform.inverse_and_log_det(x, context, training=True)
        loss = tf.reduce_mean(log_det) - tf.reduce_mean(tf.sin(z))
    return tape.gradient(loss, [*sources, *weights], unconnected_gradients="zero")


def innermost(flow):
    """The stacks, and the chains that contain no others."""
    parts = flow.transform._flatten_layers()
    chains = [part for part in parts if isinstance(part, Chain)]
    outer = (Chain, MultiScale, Stack)
    chains = [chain for chain in chains if not any(isinstance(p, outer) for p in chain.layers)]
    return [*chains, *(part for part in parts if isinstance(part, Stack))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "is_graph"), [*((name, False) for name in FLOWS), ("glow_classes", True)]
)
def test_all_gradients_are_those_of_stored_activations(name, is_graph):
    flow = build_flow(name, "float64")
    x = tf.constant(draw_points(flow, 3))
    context = context_matrix(flow, draw_context(flow, 3))
    context = None if context is None else tf.constant(context, "float64")
    expected = gradients(flow, x, context)
    for mode in MODES:
        flow.memory = mode
        assert {chain.memory for chain in innermost(flow)} == {mode}
        found = (tf.function(gradients) if is_graph else gradients)(flow, x, context)
        for a, b in zip(found, expected, strict=True):
            scale = np.max(np.abs(b)) + 1e-3
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * scale)


def test_one_more_call_of_each_network(conditioner_calls):
    flow = tfflows.RealNVP((2,), num_couplings=3, hidden=(4,))
    x = tf.random.normal([5, 2], seed=0)
    for mode, calls in {"store": 3, "checkpoint": 6, "invert": 6}.items():
        flow.memory = mode
        conditioner_calls.clear()
        gradients(flow, x, None)
        assert len(conditioner_calls) == calls, mode


@pytest.mark.slow
def test_backward_pass_reads_no_hidden_activation_of_the_inverse_pass():
    couplings = [AffineCoupling(MLP(4, hidden=(77,)), "half", bool(i % 2)) for i in range(4)]
    flow = tfflows.Flow(Chain(couplings), (4,))

    def kept(mode):
        """How many hidden activations from before the first gradient are read after it."""
        flow.memory = mode
        step = tf.function(lambda x: gradients(flow, x, None))
        ops = step.get_concrete_function(tf.TensorSpec([None, 4])).graph.get_operations()
        first = next(i for i, op in enumerate(ops) if "gradient" in op.name)
        later = {op.name for op in ops[first:]}
        hidden = [t for op in ops[:first] for t in op.outputs if t.shape.as_list() == [None, 77]]
        return sum(any(op.name in later for op in tensor.consumers()) for tensor in hidden)

    assert kept("store") > 0
    assert kept("invert") == kept("checkpoint") == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["glow_additive", "realnvp_classes"])
def test_fit_leads_to_the_same_weights(name):
    weights = {}
    for mode in ("store", *MODES):
        flow = build_flow(name, size=0.3)
        flow.memory = mode
        flow.compile(keras.optimizers.SGD(1e-4))
        x = draw_data(flow, 32)
        keras.utils.set_random_seed(0)
        flow.fit(x, draw_context(flow, 32), batch_size=8, verbose=0, shuffle=False)
        weights[mode] = flow.get_weights()
    for mode in MODES:
        for a, b in zip(weights[mode], weights["store"], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_fit_goes_by_the_mode_of_a_stack(mode, monkeypatch):
    found = []
    method = StackedSteps.inverse_in_little_memory

    def spy(self, x, indices, memory):
        found.append(memory)
        return method(self, x, indices, memory)

    monkeypatch.setattr(StackedSteps, "inverse_in_little_memory", spy)
    flow = tfflows.RealNVP((4,), num_couplings=6, hidden=(6,), memory=mode)
    flow.compile("sgd")
    flow.fit(np.ones([8, 4], "float32"), batch_size=8, verbose=0)
    assert set(found) == {mode}


@pytest.mark.parametrize("mode", ("store", *MODES))
def test_only_steps_whose_activations_are_stored_overlap(mode):
    flow = tfflows.RealNVP((4,), num_couplings=6, hidden=(6,), memory=mode)
    graph = tf.function(flow.log_prob, autograph=False).get_concrete_function(tf.ones([2, 4])).graph
    nodes = [*graph.as_graph_def().node]
    nodes += [node for f in graph.as_graph_def().library.function for node in f.node_def]
    found = {n.attr["parallel_iterations"].i for n in nodes if n.op in ("While", "StatelessWhile")}
    assert found == ({10} if mode == "store" else {1})


def test_mode_is_saved_with_the_flow():
    flow = tfflows.NICE((2,), num_couplings=2, hidden=(4,), memory="invert")
    assert type(flow).from_config(flow.get_config()).memory == "invert"
    chain = Chain([tfflows.layers.Scale()], memory="checkpoint")
    assert Chain.from_config(chain.get_config()).memory == "checkpoint"


def test_a_changed_mode_is_traced_anew(conditioner_calls):
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,))
    flow.compile(keras.optimizers.SGD(1e-3))
    x = draw_data(flow, 8)
    flow.fit(x, verbose=0)
    flow.memory = "invert"
    conditioner_calls.clear()
    flow.fit(x, verbose=0)
    assert len(conditioner_calls) == 4


def test_bad_modes():
    with pytest.raises(ValueError, match="memory must be one of .*'invert'.* found 'less'"):
        tfflows.NICE((2,), memory="less")
    with pytest.raises(ValueError, match="memory must be one of"):
        Chain([tfflows.layers.Scale()], memory="")
    flow = tfflows.NICE((2,), num_couplings=2, hidden=(4,), dropout=0.1)
    with pytest.raises(ValueError, match="found dropout .* use memory='store'"):
        flow.memory = "invert"
    assert flow.memory == "store"
    noise = keras.Sequential([keras.Input((1,)), keras.layers.GaussianNoise(0.1)], name="net")
    coupling = tfflows.layers.AdditiveCoupling(noise, "half")
    with pytest.raises(ValueError, match="found dropout or the like .'gaussian_noise"):
        tfflows.Flow(Chain([coupling]), (2,), memory="checkpoint")


@pytest.mark.slow
def test_the_backward_pass_knows_the_seed_of_the_noise():
    def make(memory):
        keras.utils.set_random_seed(0)
        network = tfflows.networks.TimeDependentMLP(2, hidden=(4,))
        block = tfflows.layers.ContinuousLayer(network, solver=RungeKutta4(), trace=Hutchinson())
        return tfflows.Flow(Chain([block], memory=memory), (2,))

    x = tf.random.normal([5, 2], seed=0)
    found = {}
    for memory in ("store", *MODES):
        flow = make(memory)
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = flow.log_prob(x, seed=7)
        found[memory] = tape.gradient(log_prob, [x, *(w.value for w in flow.trainable_weights)])
    for memory in MODES:
        for a, b in zip(found[memory], found["store"], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_backward_pass_meets_the_noise_of_training_again(monkeypatch):
    network = tfflows.networks.TimeDependentMLP(2, hidden=(4,))
    block = tfflows.layers.ContinuousLayer(network, solver=RungeKutta4(), trace=Hutchinson())
    flow = tfflows.Flow(Chain([block]), (2,))
    for weight in flow.trainable_weights:
        weight.assign(tf.random.stateless_normal(weight.shape, [1, 2]))
    x = tf.random.normal([5, 2], seed=0)

    def gradient(seed):
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = flow.log_prob(x, seed=seed, training=True)
        return log_prob, tape.gradient(log_prob, x)

    expected = gradient([3, 4])
    flow.memory = "checkpoint"
    monkeypatch.setattr("tfflows.flow.stateless_seed", lambda seed: tf.constant([3, 4]))
    for found, value in zip(gradient(None), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
