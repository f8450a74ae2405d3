"""Config, `.keras` and weights round trips of flows and of every layer within a flow."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import (
    FLOWS,
    LAYERS,
    build_flow,
    cases_of,
    draw_context,
    draw_data,
    draw_points,
    max_difference,
    randomize,
)

import tfflows
from tfflows.layers import Chain

every_flow = pytest.mark.parametrize("name", cases_of(FLOWS))


@every_flow
def test_config_is_json_and_makes_an_equal_flow(name):
    flow = build_flow(name)
    config = json.loads(json.dumps(flow.get_config()))
    copy = type(flow).from_config(config)
    assert json.loads(json.dumps(copy.get_config())) == config
    assert type(copy) is type(flow)
    copy.set_weights(flow.get_weights())
    x, context = draw_points(flow, 5), draw_context(flow, 5)
    np.testing.assert_array_equal(copy.log_prob(x, context), flow.log_prob(x, context))


@pytest.mark.parametrize("name", ["nice", "realnvp_image", "realnvp_classes"])
def test_config_holds_hyper_parameters_only(name):
    config = build_flow(name).get_config()
    assert all(isinstance(v, (int, float, str, list, type(None))) for v in config.values())
    constructed = type(build_flow(name))(**config)
    assert constructed.get_config() == config


@every_flow
def test_keras_file_and_weights_file(name, tmp_path):
    flow = build_flow(name)
    flow.save(tmp_path / "flow.keras")
    flow.save_weights(tmp_path / "flow.weights.h5")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    fresh = FLOWS[name]("float32")
    fresh.load_weights(tmp_path / "flow.weights.h5")

    x, context = draw_points(flow, 5), draw_context(flow, 5)
    expected = flow.log_prob(x, context)
    sample = flow.sample(4, seed=0, context=None if context is None else context[0])
    for copy in (loaded, fresh):
        assert type(copy) is type(flow)
        np.testing.assert_array_equal(copy.log_prob(x, context), expected)
        again = copy.sample(4, seed=0, context=None if context is None else context[0])
        np.testing.assert_array_equal(again, sample)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["realnvp_classes", "generic"])
def test_training_continues_where_it_was_saved(name, tmp_path):
    flow = FLOWS[name]("float32")
    x, context = draw_data(flow, 32), draw_context(flow, 32)
    options = {"batch_size": 16, "shuffle": False, "verbose": 0}
    flow.compile(keras.optimizers.Adam(0.01))
    flow.fit(x, context, epochs=2, **options)
    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    assert not loaded.transform.needs_adapt
    for ours, theirs in zip(flow.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    histories = [model.fit(x, context, epochs=2, **options).history for model in (flow, loaded)]
    assert histories[0]["nll"] == pytest.approx(histories[1]["nll"], rel=1e-6)
    for ours, theirs in zip(flow.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_saved_within_a_flow(name, tmp_path):
    case = LAYERS[name]
    # Not built yet: a flow must find its layers' shapes from those of the data.
    event_shape = case.build().event_shape
    flow = tfflows.Flow(Chain([case.make("float32")]), event_shape, context_dim=case.context_dim)
    randomize(flow)
    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    x, context = case.draw("x", flow.transform, 3)
    np.testing.assert_array_equal(loaded.log_prob(x, context), flow.log_prob(x, context))


def test_generic_flow_with_all_settings_comes_back(tmp_path):
    flow = tfflows.Flow(
        tfflows.layers.Scale(dtype="float64"),
        (2, 3),
        base="logistic",
        num_bits=3,
        dtype="float64",
        name="all_settings",
    )
    flow.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    assert json.dumps(loaded.get_config()) == json.dumps(flow.get_config())
    assert (loaded.num_bits, loaded.name) == (3, "all_settings")
    assert isinstance(loaded.base_layer, tfflows.distributions.Logistic)
    assert loaded.sample(1, seed=0).dtype == tf.float64


@pytest.mark.parametrize("name", ["realnvp", "generic"])
def test_checkpoint_holds_every_weight(name, tmp_path):
    flow, other = build_flow(name), FLOWS[name]("float32")
    path = tf.train.Checkpoint(model=flow).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(model=other).read(path).assert_existing_objects_matched()
    x = draw_points(flow, 5)
    assert max_difference(other.log_prob(x), flow.log_prob(x)) == 0
