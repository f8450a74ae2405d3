"""Noise of a step: one stream over all replicas, the same again after a restart."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import build_flow, draw_data, max_difference

import tfflows
from tfflows.distributions.dequantization import VariationalDequantizer, dequantize
from tfflows.layers import ContinuousLayer, Hutchinson, Roulette
from tfflows.model.losses import FlowMatching, Loss
from tfflows.networks import TimeDependentMLP
from tfflows.ode import RungeKutta4
from tfflows.random.seeds import hashed_seed, start_generators, stateless_seed


def on_each_replica(strategy, function, x):
    """What each of two replicas makes of its half of x."""
    halves = strategy.experimental_distribute_values_from_function(
        lambda context: tf.split(x, 2)[context.replica_id_in_sync_group]
    )
    return strategy.experimental_local_results(strategy.run(tf.function(function), (halves,)))


def variational():
    layer = VariationalDequantizer(width=4, num_couplings=2)
    layer.build((None, 2, 2, 1))
    return lambda x: layer.dequantize(x, 4, seed=5)[0]


def estimates():
    network = TimeDependentMLP(2, hidden=(4,))
    layer = ContinuousLayer(network, solver=RungeKutta4(2), trace=Hutchinson("gaussian"))
    layer.build((None, 2))
    for weight in network.trainable_weights:
        weight.assign(tf.random.stateless_normal(weight.shape, [1, 2]))

    return lambda x: layer.inverse_and_log_det(x, seed=3)[1]


PIXELS = np.arange(24).reshape(6, 2, 2, 1) % 16
POINTS = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
DRAWS = {
    "dequantize": (lambda: lambda x: dequantize(x, 4, seed=5), PIXELS, 0),
    "variational": (variational, PIXELS, 0),
    "signs": (lambda: lambda x: Roulette(samples=3).draw(x, 5)[0], POINTS, 1),
    "hutchinson": (estimates, POINTS, 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWS)
def test_replicas_draw_the_rows_of_one_batch(name, two_replicas):
    make, x, axis = DRAWS[name]
    with two_replicas.scope():
        draw = make()
    whole = draw(tf.constant(x))
    parts = on_each_replica(two_replicas, draw, x)
    np.testing.assert_allclose(tf.concat(parts, axis), whole, rtol=1e-5)
    assert max_difference(*parts) > 1e-3


@pytest.mark.slow
def test_flow_matching_on_replicas_is_that_of_one_batch(two_replicas):
    with two_replicas.scope():
        flow = build_flow("ffjord", size=0.5)
    x = tf.constant(draw_data(flow, 6))
    context = tf.zeros([3, 1])

    def errors(x, context=context):
        return FlowMatching()(flow, x, context, seed=2)["loss"]

    whole = errors(x, tf.zeros([6, 1]))
    parts = on_each_replica(two_replicas, errors, x)
    np.testing.assert_allclose(tf.concat(parts, 0), whole, rtol=1e-4)


def test_seeds_of_steps_differ():
    seeds = {
        tuple(hashed_seed(run, step, position).numpy())
        for run in (-1, 0, 1)
        for step in (0, 1, 2**20)
        for position in (0, 1, 2**20)
    }
    assert len(seeds) == 27
    # What is added to a seed must not lead to that of the next step.
    sums = np.array(sorted(seeds), "int64")
    assert np.min(np.abs(np.diff(np.sort(sums[:, 1])))) > 100


def test_new_seeds_follow_from_the_global_one(monkeypatch):
    def drawn(seed):
        keras.utils.set_random_seed(seed)
        return [tuple(stateless_seed(None).numpy()) for _ in range(3)]

    # Eagerly they come without an operation, which TensorFlow would keep for each.
    monkeypatch.setattr(tf.raw_ops, "RandomUniformInt", None)
    first = drawn(0)
    assert drawn(0) == first
    assert len({*first, *drawn(1)}) == 6
    assert all(0 <= number < 2**31 for pair in first for number in pair)


@pytest.mark.slow
def test_a_run_has_fresh_noise_in_each_step_and_the_same_when_repeated():
    """The losses are those of the noise alone: the weights do not move."""

    def losses(seed, epochs=2):
        flow = build_flow("nice_image", size=0.5)
        flow.compile(keras.optimizers.SGD(0.0))
        keras.utils.set_random_seed(seed)
        x = np.zeros([8, 1, 2, 1], "uint8")
        return flow.fit(x, batch_size=4, epochs=epochs, verbose=0).history["nll"]

    first = losses(0)
    assert first == losses(0) and first[0] != first[1]
    assert first != losses(1)


def test_evaluation_meets_the_same_noise_each_time():
    flow = build_flow("nice_image", size=0.5)
    flow.compile("sgd")
    x = np.zeros([8, 1, 2, 1], "uint8")
    nll = [flow.evaluate(x, batch_size=4, verbose=0, return_dict=True)["nll"] for _ in range(2)]
    assert nll[0] == nll[1]
    # But other noise in each batch.
    first = flow.evaluate(x[:4], batch_size=4, verbose=0, return_dict=True)["nll"]
    assert abs(first - nll[0]) > 1e-6


def test_seed_generators_follow_from_a_seed(two_replicas):
    def states(generators, seed):
        start_generators(generators, stateless_seed(seed))
        return np.array([generator.state.numpy() for generator in generators])

    generators = [keras.random.SeedGenerator(7) for _ in range(2)]
    first = states(generators, 1)
    generators[0].next()
    np.testing.assert_array_equal(states(generators, 1), first)
    assert len({*first.flatten(), *states(generators, 2).flatten()}) == 8

    with two_replicas.scope():
        shared = [keras.random.SeedGenerator(8) for _ in range(2)]

    @tf.function
    def on_replica():
        start_generators(shared, stateless_seed(1))
        return tf.stack([generator.state.value for generator in shared])

    one, other = two_replicas.experimental_local_results(two_replicas.run(on_replica))
    np.testing.assert_array_equal(one, first)
    assert len({*first.flatten(), *other.numpy().flatten()}) == 8


def test_parts_of_a_batch_that_is_accumulated_have_noise_of_their_own():
    """Also where the loss is no likelihood, whose examples nothing counts."""
    seeds = []

    class Recorded(Loss):
        def __call__(self, flow, x, context=None, seed=None, training=True):
            seeds.append(tuple(seed.numpy()))
            return {"loss": -flow.log_prob(x)}

    flow = tfflows.Flow(tfflows.layers.Scale(), (2,))
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    flow.compile(optimizer, Recorded(), run_eagerly=True)
    flow.fit(np.ones([8, 2], "float32"), batch_size=2, verbose=0)
    assert len(seeds) == len({*seeds}) == 4
