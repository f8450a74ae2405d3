"""Losses as values, on flows of the user's own."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import draw_data, num_operations, randomize

import tfflows
from tfflows.layers import Chain, ContinuousLayer, Costs, Hutchinson, MultiScale, Pass, Scale
from tfflows.model.losses import FlowMatching, Loss, NegativeLogLikelihood
from tfflows.networks import TimeDependentConvNetwork, TimeDependentMLP
from tfflows.ode import RungeKutta4

LOSSES = [NegativeLogLikelihood(), NegativeLogLikelihood(0.7, 0.3), FlowMatching()]


def block(interval=(0.0, 1.0), network=None, **settings):
    network = network or TimeDependentMLP(2, hidden=(8,))
    return ContinuousLayer(network, interval, RungeKutta4(3), **settings)


def custom(*intervals):
    """Continuous layers, and a scale behind them."""
    blocks = [block(interval) for interval in intervals or [(0.0, 1.0)]]
    return tfflows.Flow(Chain([*blocks, Scale()]), (2,))


def realnvp():
    return tfflows.RealNVP((2,), num_couplings=2, hidden=(4,))


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_fit_of_a_custom_flow_lowers_it_and_logs_what_it_measures(loss):
    flow = custom((0.0, 1.0), (0.2, 0.6))
    x = draw_data(flow, 64)
    flow.compile(keras.optimizers.Adam(0.03), loss)
    history = flow.fit(x, batch_size=32, epochs=4, validation_data=(x, None), verbose=0).history
    penalties = {"kinetic_energy", "jacobian_norm"} if loss == LOSSES[1] else set()
    trained = {"loss", "nll", "nfe", "backward_nfe"} | penalties
    if loss == FlowMatching():
        trained = {"loss", "flow_matching"}
    assert set(history) == trained | {"val_loss", "val_nll", "val_nfe"}
    assert history["loss"][-1] < history["loss"][0]
    assert history["val_loss"] == history["val_nll"]
    for name in {"val_nfe", "nfe", "backward_nfe"} & set(history):
        assert history[name] == [2 * 4 * 3] * 4
    assert flow.evaluate(x, verbose=0, return_dict=True)["nll"] == pytest.approx(
        -np.mean(flow.log_prob(x)), rel=1e-5
    )


def test_flows_without_solves_have_their_metrics_alone():
    flow = realnvp()
    flow.compile(keras.optimizers.Adam(0.01), NegativeLogLikelihood())
    assert set(flow.fit(draw_data(flow, 8), verbose=0).history) == {"loss", "nll"}
    assert [metric.name for metric in flow.metrics] == ["loss", "nll"]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_values_are_numbers_per_example(loss):
    flow = custom()
    randomize(flow, 0.5)
    x = draw_data(flow, 5)
    values = loss(flow, x, seed=3)
    assert all(value.shape == (5,) for name, value in values.items() if name != "nfe")
    again = loss(flow, x, None, 3, True)
    np.testing.assert_array_equal(values["loss"], again["loss"])
    evaluated = loss(flow, x, training=False)
    np.testing.assert_allclose(evaluated["loss"], -flow.log_prob(x), rtol=1e-6)
    assert set(evaluated) == {"loss", "nll", "nfe"}


def test_penalties_are_the_integrals_of_all_layers():
    flow = custom((0.0, 1.0), (0.2, 0.6))
    randomize(flow, 0.5)
    x = tf.constant(draw_data(flow, 5))
    costs = Costs(energies=True)
    log_prob = flow.log_prob_pass(x, Pass(training=True, seed=3, costs=costs))
    kinetic = sum(solve.kinetic_energy for solve in costs.solves)
    jacobian = sum(solve.jacobian_norm for solve in costs.solves)
    found = NegativeLogLikelihood(0.7, 0.3)(flow, x, seed=3)["loss"]
    np.testing.assert_allclose(found, -log_prob + 0.7 * kinetic + 0.3 * jacobian, rtol=1e-5)
    assert np.min(kinetic) > 0.01 and np.min(jacobian) > 0.001


@pytest.mark.parametrize("intervals", [[(0.5, 2.5)], [(0.0, 1.0), (3.0, 2.0)]], ids=str)
def test_flow_matching_knows_a_layers_interval(intervals, monkeypatch):
    """The f that is asked for moves each z to a z + b, whatever the interval."""
    flow = custom(*intervals)
    shift, number = tf.constant([0.5, -1.0]), len(intervals)
    x = draw_data(flow, 400)

    def velocity(k):
        start, end = intervals[k]

        def network(w, t, training=False):
            fraction = (k + (tf.reshape(t, [-1, 1]) - start) / (end - start)) / number
            # Where z goes to 2 z + b: w = (1 + s) z + s b.
            z = (w - fraction * shift) / (1 + fraction)
            return (z + shift) / (number * (end - start))

        return network

    for k in range(number):
        monkeypatch.setattr(flow.transform.layers[k].network, "call", velocity(k))
    z = flow.base.sample(4, seed=0)
    np.testing.assert_allclose(flow.decode(z), 2 * z + shift, atol=1e-4)
    # And the loss is the squared error of that f: of y from 2 z + b on straight paths.
    seen = []
    draw = flow.draw_base
    monkeypatch.setattr(flow, "draw_base", lambda *a: [seen.append(draw(*a)), seen[-1]][1])
    errors = FlowMatching()(flow, x, seed=1)["loss"]
    z = seen[0].numpy()
    offset = tf.random.stateless_uniform([], tf.constant([1, 0]) + [0, 2], alg="philox")
    t = (offset + np.arange(400)) / 400
    expected = []
    for k in range(number):
        s = ((k + t) / number)[:, None]
        w = (1 - s) * z + s * x
        expected.append(np.sum(((w - s * shift) / (1 + s) + shift - (x - z)) ** 2, 1))
    np.testing.assert_allclose(errors, np.mean(expected, 0), rtol=1e-3, atol=1e-4)


def levels():
    """Two levels of an image, each with a continuous layer."""
    chains = []
    for channels in (8, 4):
        squeeze = tfflows.layers.Squeeze()
        network = TimeDependentConvNetwork(channels, hidden=(2,))
        chains.append(Chain([block(network=network, trace=Hutchinson()), squeeze]))
    return tfflows.Flow(MultiScale(chains, (8, 8, 1)), (8, 8, 1))


@dataclasses.dataclass(frozen=True)
@keras.saving.register_keras_serializable(package="tests")
class Tempered(Loss):
    """The likelihood and a penalty on large z, which it measures."""

    weight: float = 1.0

    def metrics(self, flow):
        return ("size", *NegativeLogLikelihood().metrics(flow))

    def __call__(self, flow, x, context=None, seed=None, training=True):
        values = NegativeLogLikelihood()(flow, x, context, seed, training)
        size = tf.reduce_sum(flow.encode_pass(x, Pass(context)) ** 2, 1)
        return {**values, "loss": values["loss"] + self.weight * size, "size": size}


def test_a_loss_of_ones_own(tmp_path):
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,), context_dim=1)
    flow.compile(keras.optimizers.SGD(0.0), Tempered(0.5))
    x, context, weights = draw_data(flow, 8), np.zeros([8, 1]), np.arange(8.0)
    history = flow.fit(x, context, verbose=0, sample_weight=weights).history
    size = np.sum(flow.encode(x, context) ** 2, 1)
    assert history["size"][0] == pytest.approx(np.average(size, weights=weights), rel=1e-5)
    expected = np.average(-flow.log_prob(x, context) + 0.5 * size, weights=weights)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    flow.save(tmp_path / "flow.keras")
    assert keras.models.load_model(tmp_path / "flow.keras").loss == Tempered(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_compile_configuration_comes_back(loss, tmp_path):
    flow = custom()
    flow.compile(keras.optimizers.Adam(0.03), loss)
    config = flow.get_compile_config()
    other = custom()
    other.compile_from_config(config)
    assert other.loss == loss and type(other.optimizer) is keras.optimizers.Adam
    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    assert loaded.loss == loss
    if loss == FlowMatching():  # whose step is the shortest to trace
        loaded.fit(draw_data(flow, 4), verbose=0)
    # A recipe may have the serialised form.
    other.compile("sgd", config["loss"])
    assert other.loss == loss


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("likelihood", NegativeLogLikelihood()),
        ("flow_matching", FlowMatching()),
        (None, NegativeLogLikelihood()),
    ],
)
def test_names_of_0_1_0(name, loss):
    flow = custom()
    flow.compile(keras.optimizers.Adam(0.03), name)
    assert flow.loss == loss
    config = {**flow.get_compile_config(), "loss": name}
    other = custom()
    other.compile_from_config(config)
    assert other.loss == loss


ERRORS = {
    "name": (lambda: realnvp().compile("sgd", "mse"), "such as FlowMatching.* but found 'mse'"),
    "class": (lambda: realnvp().compile("sgd", FlowMatching), "class FlowMatching; make one"),
    "keras": (lambda: realnvp().compile("sgd", keras.losses.MeanSquaredError()), "Loss, such as"),
    "matching_of_couplings": (
        lambda: realnvp().compile("sgd", FlowMatching()),
        "FlowMatching cannot train real_nvp.*: it needs a flow whose continuous layers come first",
    ),
    "matching_of_late_layers": (
        lambda: tfflows.Flow(Chain([Scale(), block()]), (2,)).compile("sgd", FlowMatching()),
        r"found \['Scale', 'ContinuousLayer'\]",
    ),
    "matching_between": (
        lambda: tfflows.Flow(Chain([block(), Scale(), block()]), (2,)).compile(
            "sgd", FlowMatching()
        ),
        r"found \['ContinuousLayer', 'Scale', 'ContinuousLayer'\]",
    ),
    "matching_of_levels": (
        lambda: levels().compile("sgd", FlowMatching()),
        "one level, but found 2",
    ),
    "penalty_of_couplings": (
        lambda: realnvp().compile("sgd", NegativeLogLikelihood(0.1)),
        "penalises the paths of continuous layers, but real_nvp.* has none",
    ),
    "kinetic_energy": (lambda: NegativeLogLikelihood(-1), "kinetic_energy .* 0, but found -1"),
    "jacobian_norm": (lambda: NegativeLogLikelihood(0, "1"), "jacobian_norm .* 0, but found '1'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_losses_are_named(name):
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        action()


def test_a_training_step_of_more_couplings_is_no_larger():
    """`fit` runs stacks as loops, of which no costs are recorded."""

    def operations(num_couplings):
        flow = tfflows.RealNVP((4,), num_couplings=num_couplings, hidden=(6,))
        flow.compile("sgd")
        return num_operations(flow.train_step, (tf.ones([8, 4]),))

    assert operations(24) == operations(6)
