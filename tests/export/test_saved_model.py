"""Exported flows against the live ones, read as servers read them."""

import functools
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from c_program import run_predict
from plain_tensorflow import compare_in_plain_tensorflow
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.framework import op_def_registry

import tfflows
from tfflows import export
from tfflows.distributions import Logistic, Normal
from tfflows.export import warmup
from tfflows.export.signatures import SIGNATURES
from tfflows.layers import Column, supports
from tfflows.random import counter

FLOWS = {
    "vector": lambda: tfflows.RealNVP(event_shape=(3,), num_couplings=2, hidden=(16,)),
    "image": lambda: tfflows.NICE(event_shape=(4, 4, 1), num_couplings=2, hidden=(16,), num_bits=3),
    "labels": lambda: tfflows.RealNVP(
        event_shape=(2, 2, 1), num_couplings=2, hidden=(16,), num_bits=8, num_classes=3
    ),
    "context": lambda: tfflows.RealNVP(
        event_shape=(4,), num_couplings=2, hidden=(16,), context_dim=2, dtype="float64"
    ),
    "residual": lambda: tfflows.ResidualFlow(event_shape=(3,), num_blocks=1, hidden=(4,)),
}


def inputs_of(flow, n, seed=0):
    """x, and the context of a conditional flow."""
    rng = np.random.default_rng(seed)
    size = (n, *flow.event_shape)
    x = rng.uniform(0, 2**flow.num_bits, size) if flow.num_bits else rng.normal(1, 3, size)
    inputs = {"x": x.astype(np.float32)}
    if flow.num_classes:
        inputs["context"] = rng.integers(flow.num_classes, size=n)
    elif flow.context_dim:
        inputs["context"] = rng.normal(size=(n, flow.context_dim)).astype(np.float32)
    return inputs


@pytest.fixture(scope="module")
def export_once(tmp_path_factory):
    """Function of a name to the flow, with random weights, its SavedModel, and that loaded."""

    @functools.cache
    def export_flow(name):
        flow = FLOWS[name]()
        flow.adapt(**inputs_of(flow, 100))
        rng = np.random.default_rng(1)
        for weight in flow.trainable_variables:
            weight.assign(rng.normal(0, 0.4, weight.shape))
        held_out = flow.log_prob(**inputs_of(flow, 50, seed=3)).numpy()
        path = tmp_path_factory.mktemp("exported") / name
        export.save(flow, path, log_probs=held_out if name in ("vector", "labels") else None)
        return flow, path, tf.saved_model.load(path)

    return export_flow


@pytest.fixture(params=FLOWS)
def exported(request, export_once):
    return export_once(request.param)


def call(loaded, signature, **inputs):
    inputs = {name: tf.constant(value) for name, value in inputs.items()}
    return {k: v.numpy() for k, v in loaded.signatures[signature](**inputs).items()}


@functools.cache
def server(path):
    """A session, and the signatures in it."""
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
    return session, meta_graph.signature_def


def call_as_a_server(path, signature, **inputs):
    """Without the checks of shapes that TensorFlow's Python functions do."""
    session, signatures = server(path)
    definition = signatures[signature]
    options = config_pb2.CallableOptions(
        feed=[definition.inputs[name].name for name in inputs],
        fetch=[tensor.name for tensor in definition.outputs.values()],
    )
    run = session._make_callable_from_options(options)
    return dict(zip(definition.outputs, run(*map(np.asarray, inputs.values())), strict=True))


def sample_inputs(flow, n):
    rng = np.random.default_rng(2)
    inputs = inputs_of(flow, n)
    del inputs["x"]
    seed = rng.integers(-(2**63), 2**63 - 1, (n, 2))
    return {**inputs, "seed": seed, "temperature": rng.uniform(0.2, 1.5, n).astype(np.float32)}


def assert_close(found, expected, tolerance=1e-5):
    assert found.dtype == np.float32
    scale = max(1, np.max(np.abs(expected)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def test_outputs_equal_the_live_flow(exported):
    flow, _, loaded = exported
    inputs = inputs_of(flow, 7)
    x, context = inputs["x"], inputs.get("context")
    log_prob = flow.log_prob(x, context)
    assert np.std(log_prob) > 0.1
    assert_close(call(loaded, "log_prob", **inputs)["log_prob"], log_prob)
    assert_close(call(loaded, "serving_default", **inputs)["log_prob"], log_prob)
    z = call(loaded, "encode", **inputs)["z"]
    assert_close(z, flow.encode(x, context))
    del inputs["x"]
    found = call(loaded, "decode", z=z[::-1], **inputs)["x"]
    assert_close(found, flow.decode(z[::-1], context))


def test_score_is_the_gradient_of_log_prob(exported):
    flow, _, loaded = exported
    inputs = inputs_of(flow, 4)
    x = tf.constant(inputs["x"].astype(flow.compute_dtype))
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_prob = flow.log_prob(x, inputs.get("context"))
    assert_close(call(loaded, "score", **inputs)["score"], tape.gradient(log_prob, x))


def test_interpolation_equals_that_of_edit(exported):
    flow, _, loaded = exported
    inputs = inputs_of(flow, 2)
    a, b = inputs.pop("x")
    context = inputs.get("context")
    context = None if context is None else context[0]
    expected = tfflows.edit.interpolate(flow, a, b, 5, context=context)
    rows = {name: np.repeat(value[:1], 5, axis=0) for name, value in inputs.items()}
    rows |= {"a": np.stack([a] * 5), "b": np.stack([b] * 5), "t": np.linspace(0, 1, 5)}
    rows["t"] = rows["t"].astype("float32")
    found = call(loaded, "interpolate", **rows)["x"]
    assert_close(found, expected, 1e-4)
    assert_close(found[[0, -1]], np.stack([a, b]), 1e-4)


def test_bits_per_dim_is_the_dequantisation_bound_row_by_row(export_once):
    for name in ("image", "labels"):
        flow, _, loaded = export_once(name)
        inputs = inputs_of(flow, 6)
        pixels, context = np.floor(inputs.pop("x")), inputs.get("context")
        seed = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, (6, 2))
        inputs |= {"pixels": pixels, "seed": seed}
        found = call(loaded, "bits_per_dim", **inputs)["bits_per_dim"]
        noise = counter.uniform(seed, pixels[0].size).numpy().reshape(pixels.shape)
        expected = -flow.log_prob(pixels + noise, context) / (pixels[0].size * np.log(2))
        assert_close(found, expected)
        one = call(loaded, "bits_per_dim", **{k: v[2:3] for k, v in inputs.items()})
        assert_close(one["bits_per_dim"], found[2:3])
        other = call(loaded, "bits_per_dim", **{**inputs, "seed": seed + 1})["bits_per_dim"]
        assert np.abs(other - found).min() > 0
    assert "bits_per_dim" not in export_once("vector")[2].signatures


def test_p_value_is_the_rank_among_held_out_examples(export_once):
    flow, _, loaded = export_once("vector")
    held_out = flow.log_prob(**inputs_of(flow, 50, seed=3)).numpy()
    x = np.concatenate([inputs_of(flow, 9)["x"], np.full([1, 3], 100, "float32")])
    found = call(loaded, "anomaly", x=x)
    assert_close(found["log_prob"], flow.log_prob(x))
    for log_prob, p_value in zip(found["log_prob"], found["p_value"], strict=True):
        sides = np.sum(held_out <= log_prob), np.sum(held_out >= log_prob)
        assert p_value == pytest.approx(min(1, 2 * (min(sides) + 1) / 51))
    assert found["p_value"][-1] == pytest.approx(2 / 51)
    # Of examples like the held-out ones the p-values are uniform.
    x = inputs_of(flow, 2000, seed=4)["x"]
    p_values = call(loaded, "anomaly", x=x)["p_value"]
    assert abs(np.mean(p_values <= 0.4) - 0.4) < 0.15
    assert "anomaly" not in export_once("image")[2].signatures


def test_metadata_is_served_too(exported):
    _, path, loaded = exported
    expected = (path / "assets.extra" / "metadata.json").read_bytes()
    found = call(loaded, "metadata", rows=np.zeros(2, "float32"))["metadata"]
    assert found.tolist() == [expected] * 2


@pytest.mark.slow
def test_a_server_without_keras_and_tfp_computes_the_same(export_once):
    paths = []
    for name in FLOWS:
        flow, path, _ = export_once(name)
        inputs = inputs_of(flow, 5)
        log_prob = flow.log_prob(inputs["x"], inputs.get("context"))
        np.savez(f"{path}.npz", **{"log_prob.log_prob": log_prob}, **inputs)
        paths.append(path)
    compare_in_plain_tensorflow(paths)


def test_a_sample_depends_on_its_own_row_alone(exported):
    flow, _, loaded = exported
    inputs = sample_inputs(flow, 9)
    batch = call(loaded, "sample", **inputs)
    order = np.random.default_rng(3).permutation(9)
    for rows in (order, [4], [8, 0]):
        part = call(loaded, "sample", **{name: value[rows] for name, value in inputs.items()})
        assert_close(part["x"], batch["x"][rows])
        assert_close(part["log_prob"], batch["log_prob"][rows])
    for name, value in inputs.items():
        other = call(loaded, "sample", **{**inputs, name: np.roll(value, 1, axis=0)})
        changed = np.any((value != np.roll(value, 1, axis=0)).reshape(9, -1), axis=1)
        difference = np.max(np.abs(other["x"] - batch["x"]).reshape(9, -1), axis=1)
        np.testing.assert_array_equal(difference > 1e-4, changed)


def test_log_prob_of_a_sample_is_that_of_the_flow(exported):
    flow, _, loaded = exported
    inputs = sample_inputs(flow, 50)
    drawn = call(loaded, "sample", **inputs)
    assert drawn["x"].shape == (50, *flow.event_shape)
    expected = flow.log_prob(drawn["x"], inputs.get("context"))
    assert_close(drawn["log_prob"], expected, 1e-4)


def test_latents_of_samples_have_the_base_distribution_times_the_temperature(exported):
    flow, _, loaded = exported
    inputs = sample_inputs(flow, 1000)
    x = call(loaded, "sample", **inputs)["x"]
    z = flow.encode(x, inputs.get("context")).numpy() / inputs["temperature"][:, np.newaxis]
    cdf = {Normal: scipy.stats.norm, Logistic: scipy.stats.logistic}[type(flow.base_layer)].cdf
    assert scipy.stats.kstest(z.reshape(-1), cdf).pvalue > 0.01
    if isinstance(flow.base_layer, Normal):
        assert_close(z.astype(np.float32), counter.normal(inputs["seed"], z.shape[1]), 1e-3)


@pytest.mark.parametrize("signature", [*SIGNATURES])
def test_graphs_have_no_state_but_the_weights(exported, signature):
    """Checks (Assert, its If, CheckNumerics) count as stateful in TensorFlow, and are allowed."""
    _, _, loaded = exported
    if signature not in loaded.signatures:
        assert signature in ("bits_per_dim", "anomaly", "log_prob_estimate")
        return
    graph = loaded.signatures[signature].graph.as_graph_def()
    functions = {function.signature.name: function for function in graph.library.function}
    found, visited, nodes = set(), set(), list(graph.node)
    while nodes:
        node = nodes.pop()
        found.add(node.op)
        for attribute in node.attr.values():
            for name in {attribute.func.name, *(f.name for f in attribute.list.func)} - {""}:
                if name not in visited:
                    visited.add(name)
                    nodes += functions[name].node_def
    assert len(found) > (5 if signature == "metadata" else 15)
    checks = {"Assert", "If", "CheckNumerics"}
    weights = {"ReadVariableOp", "StatefulPartitionedCall", "VarHandleOp"}
    stateful = {op for op in found if op_def_registry.get(op).is_stateful}
    assert stateful <= checks | weights
    assert not [op for op in found if "Py" in op or "File" in op]


BAD_INPUTS = [
    ("vector", "log_prob", {"x": np.ones([2, 1])}, "EnsureShape"),
    ("vector", "encode", {"x": np.ones([3])}, "EnsureShape"),
    ("vector", "decode", {"z": np.ones([2, 1])}, "EnsureShape"),
    ("vector", "sample", {"seed": np.ones([2, 1], int), "temperature": np.ones(2)}, "EnsureShape"),
    (
        "vector",
        "sample",
        {"seed": np.ones([2, 2], int), "temperature": np.ones([2, 1])},
        "EnsureShape",
    ),
    (
        "vector",
        "sample",
        {"seed": np.ones([2, 2], int), "temperature": np.ones(1)},
        "one batch size",
    ),
    ("context", "log_prob", {"x": np.ones([2, 4]), "context": np.ones([2, 1])}, "EnsureShape"),
    ("context", "log_prob", {"x": np.ones([2, 4]), "context": np.ones([1, 2])}, "one batch size"),
    ("labels", "log_prob", {"x": np.ones([2, 2, 2, 1]), "context": [[0], [1]]}, "EnsureShape"),
    ("labels", "log_prob", {"x": np.ones([2, 2, 2, 1]), "context": [0, 3]}, r"labels \[batch\] in"),
    ("labels", "decode", {"z": np.ones([2, 4]), "context": [-1, 0]}, r"labels \[batch\] in"),
    (
        "labels",
        "encode",
        {"x": np.full([1, 2, 2, 1], 300.0), "context": [0]},
        "z of .* should be finite",
    ),
    ("vector", "log_prob", {"x": np.array([[0, 1, np.nan]])}, "input x must be finite"),
    ("vector", "encode", {"x": np.array([[0, 1, np.inf]])}, "input x must be finite"),
    (
        "labels",
        "decode",
        {"z": np.array([[0, 1, 2, np.inf]]), "context": [0]},
        "input z must be finite",
    ),
    (
        "vector",
        "sample",
        {"seed": [[1, 2], [3, 4]], "temperature": np.array([1, -0.1])},
        "above 0",
    ),
    (
        "vector",
        "sample",
        {"seed": [[1, 2], [3, 4]], "temperature": np.array([1.0, 0.0])},
        "above 0",
    ),
    (
        "vector",
        "sample",
        {"seed": [[1, 2]], "temperature": np.array([np.nan])},
        "above 0",
    ),
    ("vector", "score", {"x": np.ones([2, 1])}, "EnsureShape"),
    ("vector", "anomaly", {"x": np.array([[0, 1, np.inf]])}, "input x must be finite"),
    (
        "vector",
        "interpolate",
        {"a": np.ones([1, 3]), "b": np.ones([1, 3]), "t": np.array([1.1])},
        "between 0 and 1",
    ),
    (
        "vector",
        "interpolate",
        {"a": np.ones([1, 3]), "b": np.ones([2, 3]), "t": np.array([0.5])},
        "one batch size",
    ),
    (
        "image",
        "bits_per_dim",
        {"pixels": np.full([1, 4, 4, 1], 0.5), "seed": [[1, 2]]},
        "whole numbers from 0 to 7",
    ),
    (
        "image",
        "bits_per_dim",
        {"pixels": np.full([1, 4, 4, 1], 8.0), "seed": [[1, 2]]},
        "whole numbers from 0 to 7",
    ),
    (
        "vector",
        "sample",
        {"seed": [[1, 2]], "temperature": np.array([np.inf])},
        "temperature must be finite",
    ),
]


@pytest.mark.parametrize(("name", "signature", "inputs", "message"), BAD_INPUTS)
def test_bad_inputs_are_errors_on_a_server(name, signature, inputs, message, export_once):
    _, path, _ = export_once(name)
    inputs = {k: np.asarray(v) for k, v in inputs.items()}
    inputs = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in inputs.items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call_as_a_server(path, signature, **inputs)


@pytest.mark.slow
def test_bad_inputs_are_errors_in_a_c_program(predict, export_once, tmp_path):
    _, path, _ = export_once("vector")
    good = {"x": np.ones([2, 3], "float32")}
    bad = {"x": np.array([[0, 1, np.nan]], "float32")}, {"x": np.ones([2, 1], "float32")}
    for inputs, message in zip(
        (good, *bad), ("", "x must be finite", "not compatible"), strict=True
    ):
        result = run_predict(predict, path, tmp_path, ["log_prob"], inputs)
        assert result.returncode == bool(message) and message in result.stderr
    np.save(tmp_path / "x.npy", np.ones([2, 3]))
    for arguments, message in [
        ((path, tmp_path, "log_prob"), "x.npy is neither float32 nor int64"),
        ((path, tmp_path / "empty", "log_prob"), "There is no input"),
        ((path, tmp_path, "nothing"), "The model has no signature nothing."),
        ((tmp_path / "missing", tmp_path, "log_prob"), "Could not find SavedModel"),
        ((path, tmp_path), "usage: predict MODEL FOLDER SIGNATURE..."),
    ]:
        result = subprocess.run([predict, *arguments], capture_output=True, text=True, timeout=60)
        assert result.returncode == 1 and message in result.stderr


def test_good_inputs_are_answered(export_once):
    flow, path, _ = export_once("labels")
    inputs = inputs_of(flow, 3)
    expected = flow.log_prob(inputs["x"], inputs["context"])
    assert_close(call_as_a_server(path, "log_prob", **inputs)["log_prob"], expected)
    for n in (0, 1):
        drawn = call_as_a_server(path, "sample", **sample_inputs(flow, n))
        assert drawn["x"].shape == (n, 2, 2, 1)


def test_metadata_describes_the_flow_and_its_signatures(exported):
    flow, path, loaded = exported
    metadata = json.loads((path / "assets.extra" / "metadata.json").read_text())
    assert metadata["tfflows_version"] == tfflows.__version__
    assert metadata["units"]["log_prob"].startswith("nats")
    assert (f"[0, {2 ** (flow.num_bits or 0)})" in metadata["units"]["x"]) == bool(flow.num_bits)
    rebuilt = getattr(tfflows, metadata["class"]).from_config(metadata["config"])
    rebuilt.set_weights(flow.get_weights())
    inputs = inputs_of(flow, 3)
    found = rebuilt.log_prob(inputs["x"], inputs.get("context"))
    np.testing.assert_array_equal(found, flow.log_prob(inputs["x"], inputs.get("context")))
    assert {*metadata["signatures"], "serving_default"} == set(loaded.signatures)
    for name, described in metadata["signatures"].items():
        signature = loaded.signatures[name]
        for kind, specs in [
            ("inputs", signature.structured_input_signature[1]),
            ("outputs", signature.structured_outputs),
        ]:
            assert set(described[kind]) == set(specs)
            for tensor, spec in specs.items():
                found = {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
                assert found == metadata["tensors"][tensor]


@pytest.mark.slow
def test_warmup_requests_are_answered(exported):
    """Read with TensorFlow Serving's own protocol buffers."""
    flow, path, loaded = exported
    from tensorflow_serving.apis import prediction_log_pb2

    requests = {}
    for record in tf.data.TFRecordDataset(str(path / "assets.extra" / warmup.FILE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == path.parent.name
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        requests[request.model_spec.signature_name] = inputs
    assert {*requests, "serving_default"} == set(loaded.signatures)
    for signature, inputs in requests.items():
        answer = call_as_a_server(path, signature, **inputs)
        assert all(len(value) == 1 for value in answer.values())


def test_save_is_quiet_and_leaves_the_model_alone(tmp_path, capfd):
    path = export.save(FLOWS["vector"](), str(tmp_path / "1"))
    assert capfd.readouterr().out == ""
    assert path == Path(tmp_path / "1")
    assert os.listdir(tmp_path) == ["1"]
    assert {"saved_model.pb", "variables", "assets.extra"} <= set(os.listdir(path))
    assert path.stat().st_mode == (path / "variables").stat().st_mode


def test_what_exists_is_never_overwritten(tmp_path):
    flow = FLOWS["vector"]()
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("directory", "file", "link"):
        with pytest.raises(FileExistsError, match=f"{name} exists, but export.save expects a new"):
            export.save(flow, tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["directory", "file", "link"]
    assert (tmp_path / "file").read_text() == "text"
    assert os.listdir(tmp_path / "directory") == []


def test_a_parent_that_cannot_be_written_is_an_error(tmp_path):
    # Paths that fail for root too, whom permissions do not stop.
    flow = FLOWS["vector"]()
    (tmp_path / "file").write_text("text")
    for parent in (tmp_path / "file", Path("/proc")):
        with pytest.raises(
            OSError, match=f"in {parent} failed .*expected one with write permission"
        ):
            export.save(flow, parent / "model")
    assert os.listdir(tmp_path) == ["file"]


def test_a_failure_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    def write(flow, path, name, log_probs):
        (path / "saved_model.pb").write_text("half")
        raise OSError("No space left on device")

    monkeypatch.setattr(export.saved_model, "_write", write)
    with pytest.raises(OSError, match="No space left"):
        export.save(FLOWS["vector"](), tmp_path / "1")
    assert os.listdir(tmp_path) == []


def test_save_takes_flows_only(tmp_path):
    with pytest.raises(ValueError, match=r"takes a tfflows.Flow, but found <Scale"):
        export.save(tfflows.layers.Scale(), tmp_path / "1")


@pytest.mark.slow
def test_columns_of_a_table_are_in_the_export(tmp_path):
    columns = [
        Column("same", supports.Constant("x"), "object"),
        Column("price", supports.Positive()),
        Column("letter", supports.Categories(("a", "b")), "object"),
    ]
    inner = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,))
    flow = tfflows.data.Table(columns).with_support(inner)
    texts = {"card.json": '{"summary": "Made up."}', "card.md": "Made up."}
    path = export.save(flow, tmp_path / "flow" / "1", texts)
    extra = path / "assets.extra"
    names = ["price", "letter"]
    card = json.loads((extra / "card.json").read_text())
    assert card == {"summary": "Made up.", "columns": names}
    facts = json.loads((extra / "metadata.json").read_text())
    assert facts["columns"] == names and "k + u" in facts["units"]["x"]
    x = np.array([[3.0, 0.5], [0.1, 1.7]], "float32")
    served = tf.saved_model.load(path).signatures["log_prob"]
    np.testing.assert_allclose(served(x=x)["log_prob"], flow.log_prob(x), rtol=1e-5)
