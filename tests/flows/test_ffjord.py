"""FFJORD: training by likelihood and by flow matching, penalties, trajectories."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import draw_data, max_difference, randomize

import tfflows
from tfflows.layers import Costs, ExactTrace, Hutchinson, Pass
from tfflows.model.losses import FlowMatching, NegativeLogLikelihood
from tfflows.ode import RungeKutta4


def ffjord(event_shape=(2,), **settings):
    settings = {"hidden": (8,), "solver": RungeKutta4(3), **settings}
    return tfflows.FFJORD(event_shape, **settings)


def errors_of(flow, x, context=None):
    return FlowMatching()(flow, x, context, seed=0)["flow_matching"]


def gaussian(n, dims=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dims)).astype("float32")


@pytest.mark.slow
def test_likelihood_training_lowers_the_loss_and_logs_the_cost():
    flow = ffjord(num_blocks=2)
    x = draw_data(flow, 64)
    flow.compile(keras.optimizers.Adam(0.03))
    history = flow.fit(x, batch_size=32, epochs=3, validation_data=(x, None), verbose=0).history
    names = {"loss", "nll", "nfe"}
    assert set(history) == names | {f"val_{name}" for name in names} | {"backward_nfe"}
    assert history["loss"] == pytest.approx(history["nll"], rel=1e-5)
    assert history["nll"][-1] < history["nll"][0]
    for name in ("nfe", "val_nfe", "backward_nfe"):
        assert history[name] == [2 * 4 * 3] * 3
    assert history["val_nll"][-1] == pytest.approx(-np.mean(flow.log_prob(x)), rel=1e-4)


@pytest.mark.slow
def test_penalties_are_in_the_loss_and_in_the_logs():
    flow = ffjord()
    randomize(flow)
    x = draw_data(flow, 16)
    costs = Costs(energies=True)
    with tf.GradientTape() as tape:
        log_prob = flow.log_prob_pass(tf.constant(x), Pass(costs=costs))
        kinetic = tf.reduce_mean(costs.solves[0].kinetic_energy)
        jacobian = tf.reduce_mean(costs.solves[0].jacobian_norm)
        loss = -tf.reduce_mean(log_prob) + 0.7 * kinetic + 0.3 * jacobian
    weights = flow.trainable_variables
    expected = [w - 0.1 * g for w, g in zip(weights, tape.gradient(loss, weights), strict=True)]
    assert kinetic > 0.01 and jacobian > 0.001

    flow.compile(keras.optimizers.SGD(0.1), NegativeLogLikelihood(0.7, 0.3))
    history = flow.fit(x, batch_size=16, verbose=0).history
    logged = {name: values[0] for name, values in history.items()}
    assert logged["kinetic_energy"] == pytest.approx(float(kinetic), rel=1e-4)
    assert logged["jacobian_norm"] == pytest.approx(float(jacobian), rel=1e-4)
    assert logged["loss"] == pytest.approx(float(loss), rel=1e-4)
    assert logged["nll"] == pytest.approx(-float(tf.reduce_mean(log_prob)), rel=1e-4)
    for weight, wanted in zip(flow.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(weight, wanted, atol=1e-5)


def optimal_velocity(k, num_blocks):
    """Block k's share of E[y - z | (1 - t) z + t y] for standard normal y and z."""

    def network(w, t, training=False):
        t = (k + tf.reshape(t, [-1, 1])) / num_blocks
        return (2 * t - 1) / (t**2 + (1 - t) ** 2) * w / num_blocks

    return network


@pytest.mark.parametrize("num_blocks", [1, 2])
def test_flow_matching_has_its_optimum_at_the_data(num_blocks, monkeypatch):
    flow = ffjord(num_blocks=num_blocks, solver=RungeKutta4(10))
    x = gaussian(20000)
    at_rest = errors_of(flow, x)  # f is 0 at the start
    assert at_rest.shape == (20000,)
    assert np.mean(at_rest) == pytest.approx(4, abs=4 * np.std(at_rest) / np.sqrt(20000))

    for k, block in enumerate(flow.blocks):
        monkeypatch.setattr(block.network, "call", optimal_velocity(k, num_blocks))
    optimum = errors_of(flow, x)
    t = (np.arange(1000) + 0.5) / 1000
    expected = 2 * np.mean(2 - (2 * t - 1) ** 2 / (t**2 + (1 - t) ** 2))
    assert np.mean(optimum) == pytest.approx(expected, abs=4 * np.std(optimum) / np.sqrt(20000))
    # The paths draw together, to the standard deviation of (y + z) / 2, and apart again.
    halfway = flow.trajectory(x[:5], times=[0.0, 0.5, 1.0])[1]
    np.testing.assert_allclose(halfway, np.sqrt(0.5) * x[:5], atol=1e-3)
    z, log_det = flow.transform.inverse_and_log_det(x[:5])
    np.testing.assert_allclose(z, x[:5], atol=1e-3)
    np.testing.assert_allclose(log_det, np.zeros(5), atol=1e-3)


@pytest.mark.slow
def test_flow_matching_then_likelihood():
    flow = ffjord(context_dim=1)
    x, context = draw_data(flow, 256), gaussian(256, 1)
    flow.adapt(x, context)
    before = np.mean(errors_of(flow, x, context))
    flow.compile(keras.optimizers.Adam(0.03), FlowMatching())
    fitted = flow.fit(x, context, epochs=6, validation_data=(x, context), verbose=0).history
    assert set(fitted) == {"loss", "flow_matching", "val_loss", "val_nll", "val_nfe"}
    assert fitted["loss"] == pytest.approx(fitted["flow_matching"], rel=1e-5)
    assert np.mean(errors_of(flow, x, context)) < before - 0.1
    assert fitted["val_nll"][-1] < fitted["val_nll"][0]

    flow.compile(keras.optimizers.Adam(0.01))
    tuned = flow.fit(x, context, epochs=2, validation_data=(x, context), verbose=0).history
    assert set(tuned) > {"loss", "nll", "nfe", "val_loss", "val_nll", "val_nfe"}
    assert tuned["val_nll"][-1] < fitted["val_nll"][-1]


@pytest.mark.parametrize("loss", [NegativeLogLikelihood(0.1), FlowMatching()], ids=str)
def test_a_saved_flow_goes_on_with_its_loss(loss, tmp_path):
    flow = ffjord()
    flow.compile(keras.optimizers.Adam(0.03), loss)
    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    assert (loaded.loss, type(loaded.optimizer)) == (loss, keras.optimizers.Adam)


def test_flow_matching_of_pixels():
    flow = ffjord((4, 4, 1), levels=1, num_bits=4)
    x = draw_data(flow, 16)
    flow.compile(keras.optimizers.Adam(0.03), FlowMatching())
    history = flow.fit(x, epochs=6, verbose=0).history
    assert history["flow_matching"][-1] < history["flow_matching"][0]


@pytest.mark.parametrize("settings", [{"num_blocks": 2}, {"levels": 1}], ids=["vector", "image"])
def test_trajectory_goes_from_the_base_to_the_data(settings):
    flow = ffjord((2, 2, 1), **settings)
    randomize(flow, 0.5)
    z = gaussian(3, 4)
    times = [0.0, 0.3, 0.5, 0.8, 1.0]
    path = flow.trajectory(z, times)
    assert path.shape == (5, 3, 2, 2, 1)
    np.testing.assert_allclose(path[-1], flow.decode(z), rtol=1e-2, atol=1e-2)
    np.testing.assert_array_equal(flow.trajectory(z, [0.0])[0], path[0])
    np.testing.assert_allclose(flow.trajectory(z, [0.3, 1.0])[0], path[1], rtol=1e-2, atol=1e-2)
    if "levels" not in settings:
        standardize = flow.transform.layers[2]
        start, _ = standardize.forward_and_log_det(tf.constant(z))
        np.testing.assert_allclose(tf.reshape(path[0], [3, 4]), start, rtol=1e-6)


def test_multi_scale_image_flow():
    flow = ffjord((4, 4, 2), levels=2, solver=RungeKutta4(8))
    randomize(flow, 0.3)
    assert [block.latent_shape for block in flow.blocks] == [(1, 1, 16), (2, 2, 8)]
    assert [block.seed for block in flow.blocks] == [0, 1]
    x = draw_data(flow, 3)
    assert max_difference(flow.decode(flow.encode(x)), x) < 1e-3
    for action in (
        lambda: errors_of(flow, x),
        lambda: flow.trajectory(gaussian(1, 32), [0, 1]),
    ):
        with pytest.raises(ValueError, match="one level, but found 2"):
            action()


@pytest.mark.parametrize("settings", [{}, {"event_shape": (4, 4, 1), "levels": 1, "num_bits": 4}])
def test_a_precise_flow_solves_in_float64(settings):
    precise, wide = ffjord(**settings, precise=True), ffjord(**settings, dtype="float64")
    randomize(precise)
    wide.set_weights(precise.get_weights())
    x = tf.cast(draw_data(precise, 4), tf.float32)
    z = precise.encode(x)
    for found, expected in (
        (z, wide.encode(tf.cast(x, tf.float64))),
        (precise.decode(z), wide.decode(tf.cast(z, tf.float64))),
    ):
        assert max_difference(found, expected) <= 1e-7 * np.abs(expected).max()
    assert type(precise).from_config(precise.get_config()).transform.precise


def test_the_default_trace_depends_on_the_size():
    traces = {}
    for size in (2, 3, 64, 65):
        (block,) = ffjord((size,)).blocks
        traces[size] = (block.trace, block.training_trace)
    exact, estimate = ExactTrace(), Hutchinson()
    assert traces == {
        2: (exact, exact),
        3: (exact, estimate),
        64: (exact, estimate),
        65: (estimate, estimate),
    }
    gaussian = Hutchinson("gaussian")
    for trace, training in ((gaussian, gaussian), (exact, estimate)):
        (block,) = ffjord((3,), trace=trace).blocks
        assert (block.trace, block.training_trace) == (trace, training)


@pytest.mark.slow
def test_training_on_two_replicas_equals_one_device(two_replicas):
    def trained():
        keras.utils.set_random_seed(0)
        flow = ffjord(solver=RungeKutta4(2))
        flow.adapt(x)
        randomize(flow, 0.5)
        flow.compile(keras.optimizers.SGD(0.02), NegativeLogLikelihood(kinetic_energy=0.1))
        return flow, flow.fit(x, batch_size=16, shuffle=False, verbose=0).history

    x = gaussian(32)
    single, history = trained()
    with two_replicas.scope():
        mirrored, mirrored_history = trained()
    for ours, theirs in zip(single.get_weights(), mirrored.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    for name, values in history.items():
        np.testing.assert_allclose(mirrored_history[name], values, rtol=1e-5)


BAD_ARGUMENTS = {
    "num_blocks": (lambda: ffjord(num_blocks=0), ["num_blocks", "at least 1", "0"]),
    "levels": (lambda: ffjord((4, 4, 1), levels=0), ["levels", "at least 1", "0"]),
    "not_an_image": (lambda: ffjord((4,), levels=1), ["images", "(4,)"]),
    "odd_image": (lambda: ffjord((6, 6, 1), levels=2), ["4", "6 x 6"]),
    "solver": (lambda: ffjord(solver="rk4"), ["solver is a tfflows.ode.Solver", "'rk4'"]),
    "trace": (lambda: ffjord(trace="exact"), ["trace is a tfflows.layers.Trace", "'exact'"]),
    "hopeless_trace": (lambda: ffjord((300,), trace=ExactTrace()), ["costs 300 evaluations"]),
    "times_beyond": (lambda: ffjord().trajectory(gaussian(1), [0, 1.1]), ["[0, 1]", "1.1"]),
    "times_falling": (lambda: ffjord().trajectory(gaussian(1), [1, 0]), ["rising", "1. 0."]),
    "loss": (
        lambda: ffjord().compile("sgd", loss="mse"),
        ["such as FlowMatching()", "'flow_matching'", "'mse'"],
    ),
    "loss_of_levels": (
        lambda: ffjord((4, 4, 1), levels=2).compile("sgd", FlowMatching()),
        ["FlowMatching cannot train", "one level, but found 2"],
    ),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_named(name):
    action, fragments = BAD_ARGUMENTS[name]
    with pytest.raises(ValueError, match=".") as error:
        action()
    message = str(error.value)
    assert [fragment for fragment in fragments if fragment not in message] == [], message
