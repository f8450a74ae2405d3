"""i-ResNet and Residual Flow: what their settings make, training, replicas, bad input."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import max_difference, randomize

import tfflows
from tfflows.layers import (
    ActNorm,
    Exact,
    MultiScale,
    Reshape,
    ResidualBlock,
    Roulette,
    Squeeze,
    Truncated,
)


def kinds(layers):
    return [type(layer) for layer in layers]


def test_defaults_are_those_of_the_papers():
    iresnet, residual_flow = tfflows.IResNet((2,)), tfflows.ResidualFlow((4, 5))
    assert len(iresnet.blocks) == len(residual_flow.blocks) == 8
    for flow, training, evaluation, activation, coefficient in [
        (iresnet, Truncated(10), Exact(), "elu", 0.9),
        (residual_flow, Roulette(2), Roulette(20), "lipswish", 0.97),
    ]:
        assert len(flow.blocks) == 8
        for block in flow.blocks:
            assert (block.estimator, block.evaluation) == (training, evaluation)
            assert block.network.activation == activation
            assert block.network.coefficient == coefficient


def test_multiscale_architectures():
    settings = {"num_blocks": 1, "hidden": (4, 4), "levels": 2, "num_bits": 4}
    flow = tfflows.ResidualFlow((4, 4, 1), num_dense_blocks=1, dense_hidden=(6,), **settings)
    block = [ResidualBlock, ActNorm]
    whole = flow.transform.layers[0].layers
    assert kinds(whole) == [*block, Reshape, *block, Squeeze, *block]
    assert whole[0].event_shape == (16,)
    assert whole[0].network.hidden == [6]
    assert whole[3].event_shape == (2, 2, 4)
    assert whole[3].network.kernel_sizes == [3, 1, 3]
    flow = tfflows.ResidualFlow((4, 4, 1), factor_out=True, **settings)
    multiscale = flow.transform.layers[0]
    assert isinstance(multiscale, MultiScale)
    assert multiscale.part_shapes == [(2, 2, 2), (2, 2, 2)]


def test_data_come_back_to_the_last_digit():
    flow = tfflows.ResidualFlow((8, 8, 1), num_blocks=4, hidden=(16, 16), levels=2, num_bits=8)
    randomize(flow, size=2.0)
    x = np.random.default_rng(0).uniform(0, 256, [20, 8, 8, 1]).astype("float32")
    # Two roundings of float32 at 256; with float32 between the blocks it is five.
    assert max_difference(flow.decode(flow.encode(x)), x) <= 1.5e-7 * 256


@pytest.mark.slow
@pytest.mark.parametrize("flow", [tfflows.IResNet, tfflows.ResidualFlow])
def test_training_with_an_estimated_log_det(flow):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 2)).astype("float32")
    x[:, 1] += x[:, 0] ** 2
    flow = flow((2,), num_blocks=1, hidden=(16,))
    flow.compile(keras.optimizers.Adam(0.02))
    history = flow.fit(x, batch_size=64, epochs=6, verbose=0).history["nll"]
    first = flow.blocks[0].network.layers[0]
    vectors = np.linalg.svd(first.kernel.numpy())[0]
    # The state followed the kernel.
    assert abs(vectors[:, 0] @ first.singular_vector.numpy()[0]) > 0.99
    assert history[-1] < history[0] - 0.05
    # The exact likelihood agrees with what training estimated.
    assert flow.evaluate(x, verbose=0, return_dict=True)["nll"] == pytest.approx(
        history[-1], abs=0.1
    )


@pytest.mark.slow
def test_two_replicas_equal_one_device(two_replicas):
    def make():
        keras.utils.set_random_seed(0)
        return tfflows.ResidualFlow((2,), num_blocks=1, hidden=(4,), estimator=Exact(), name="flow")

    def train(flow):
        flow.compile(keras.optimizers.SGD(0.01))
        flow.fit(x, batch_size=16, epochs=2, shuffle=False, verbose=0)
        return flow

    x = 3 * np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    single = train(make())
    with two_replicas.scope():
        mirrored = make()
    train(mirrored)
    for ours, theirs in zip(single.weights, mirrored.weights, strict=True):
        first, second = two_replicas.experimental_local_results(theirs._value)
        np.testing.assert_array_equal(first, second, err_msg=theirs.path)
        np.testing.assert_allclose(first, ours, rtol=1e-4, atol=1e-5, err_msg=theirs.path)


@pytest.mark.slow
def test_replicas_draw_different_noise(two_replicas):
    with two_replicas.scope():
        flow = tfflows.ResidualFlow((8,), num_blocks=1, hidden=(8,))
    x = tf.ones([1, 8])
    run = tf.function(lambda: flow.transform.inverse_and_log_det(x, training=True)[1])
    first, second = two_replicas.experimental_local_results(two_replicas.run(run))
    assert max_difference(first, second) > 1e-6


ERRORS = {
    "blocks": (
        lambda: tfflows.IResNet((2,), num_blocks=0),
        "num_blocks must be at least 1, but found 0",
    ),
    "levels": (lambda: tfflows.IResNet((4, 4, 1), levels=0), "levels must be .* found 0"),
    "sides": (lambda: tfflows.ResidualFlow((6, 6, 1), levels=3), "ResidualFlow halves .* 6 x 6"),
    "vector": (lambda: tfflows.ResidualFlow((6,), levels=1), "flow for images"),
    "coefficient": (lambda: tfflows.ResidualFlow((2,), coefficient=1.5), r"\(0, 1\).*found 1.5"),
    "activation": (lambda: tfflows.IResNet((2,), activation="gelu"), "found 'gelu'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_is_an_error(name):
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        action()
