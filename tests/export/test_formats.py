"""ONNX, LiteRT and OpenVINO models, run by their own runtimes from the files."""

import json
import os
import sys

import numpy as np
import pytest

import tfflows
from tfflows.export import formats

FLOWS = {
    "vector": lambda: tfflows.RealNVP(
        event_shape=(3,), num_couplings=2, hidden=(8,), context_dim=2
    ),
    "image": lambda: tfflows.Glow((4, 4, 1), levels=2, steps=1, width=4, num_bits=3),
}
FILES = {
    "onnx": {"log_prob.onnx", "encode.onnx", "decode.onnx"},
    "litert": {"model.tflite"},
    "openvino": {f"{name}.{end}" for name in formats.EXPORTED for end in ("xml", "bin")},
}


def randomized(flow):
    rng = np.random.default_rng(1)
    for weight in flow.trainable_variables:
        weight.assign(weight + rng.normal(0, 0.2, weight.shape))
    return flow


def inputs_of(flow, n):
    rng = np.random.default_rng(2)
    if flow.num_bits:
        return rng.uniform(0, 8, (n, *flow.event_shape)).astype("float32"), None
    return rng.normal(size=(n, 3)).astype("float32"), rng.normal(size=(n, 2)).astype("float32")


def run(path, format, name, inputs):
    """Outputs by name, from the files alone."""
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path / f"{name}.onnx")
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, inputs), strict=True))
    if format == "litert":
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(str(path / "model.tflite")).get_signature_runner(name)(**inputs)
    import openvino

    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(path / f"{name}.xml", "CPU", precision)
    return {port.get_any_name(): value for port, value in model(inputs).items()}


@pytest.mark.slow
@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("name", FLOWS)
def test_models_answer_as_the_flow(name, format, tmp_path):
    flow = randomized(FLOWS[name]())
    path = formats.save(flow, tmp_path / "a" / "1", format)
    assert {file.name for file in path.iterdir()} == FILES[format] | {"metadata.json", "README.md"}
    metadata = json.loads((path / "metadata.json").read_text())
    assert set(metadata["signatures"]) == set(formats.EXPORTED)
    loaded = formats.load(path)
    x, context = inputs_of(flow, 5)
    z = flow.encode(x, context).numpy()
    readme = (path / "README.md").read_text()
    for signature in formats.EXPORTED:
        near, far = (metadata["compared"][signature][group] for group in ("samples", "far_out"))
        assert near["rows"] == 4
        assert far["rows"] >= 5
        assert max(near["deviation"], far["deviation"]) <= 1e-3 * far["largest_output"]
        assert f"| {signature} | far out | {far['rows']} |" in readme
    assert ("INFERENCE_PRECISION_HINT" in readme) == (format == "openvino")
    for signature, inputs, output, expected in [
        ("log_prob", {"x": x}, "log_prob", flow.log_prob(x, context)),
        ("encode", {"x": x}, "z", z),
        ("decode", {"z": z}, "x", x),
    ]:
        inputs |= {} if context is None else {"context": context}
        found = run(path, format, signature, inputs)
        assert set(found) == {output}
        np.testing.assert_array_equal(loaded[signature](**inputs)[output], found[output])
        np.testing.assert_allclose(found[output], expected, rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("format", FILES)
def test_unsupported_operations_are_named(format, tmp_path):
    flow = tfflows.ResidualFlow(event_shape=(3,), num_blocks=1, hidden=(4,))
    with pytest.raises(ValueError, match=r"has no operation .*Qr.* such as tfflows.RealNVP"):
        formats.save(flow, tmp_path / "1", format)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_what_is_wrong_far_out_alone_is_refused(tmp_path, monkeypatch):
    flow = randomized(tfflows.NICE(event_shape=(3,), num_couplings=2, hidden=(8,)))
    path = formats.save(flow, tmp_path / "1", "litert")
    z = np.array([[300.0, -200.0, 0.1], [0.0, 150.0, 1000.0]], "float32")
    x = flow.decode(z).numpy()
    found = run(path, "litert", "log_prob", {"x": x})["log_prob"]
    np.testing.assert_allclose(found, flow.log_prob(x), rtol=1e-5)

    # The converter's own softplus of the logistic base ends at 88.
    monkeypatch.setattr(formats.rewriting, "rewrite", lambda folder: None)
    with pytest.raises(ValueError, match=r"log_prob of its log_prob is off by .* far out"):
        formats.save(flow, tmp_path / "2", "litert")
    assert os.listdir(tmp_path) == ["1"]


def test_errors(tmp_path, monkeypatch):
    flow = FLOWS["vector"]()
    with pytest.raises(ValueError, match=r"formats are .*'onnx'.* but found 'pickle'"):
        formats.save(flow, tmp_path / "1", "pickle")
    with pytest.raises(FileExistsError):
        formats.save(flow, tmp_path, "onnx")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match="pip install onnx onnxruntime tf2onnx"):
        formats.save(flow, tmp_path / "1", "onnx")
