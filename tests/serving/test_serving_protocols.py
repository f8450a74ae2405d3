"""Every signature over HTTP, in both protocols, against the live flow."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format
from requests_of import (
    columns_request,
    expected,
    inputs_of_signature,
    outputs_of,
    rows_request,
    v2_request,
)
from served_flows import inputs_of, served_together
from tensorflow.core.protobuf import meta_graph_pb2

from tfflows import __version__
from tfflows.export.signatures import Signatures

FORMS = {
    "rows": ("/v1/models/{}:predict", rows_request),
    "columns": ("/v1/models/{}:predict", columns_request),
    "v2": ("/v2/models/{}/infer", v2_request),
}


def signatures_of(server):
    metadata = (server.path / "assets.extra" / "metadata.json").read_text()
    return Signatures(server.flow, server.log_probs, metadata)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["images", "labels", "points"])
def test_answers_equal_the_live_flow(served, name, form):
    server = served(name)
    signatures, rng = signatures_of(server), np.random.default_rng(4)
    path, request_of = FORMS[form]
    assert set(server.model.signatures) - {"serving_default"} == set(signatures.signatures)
    for signature, (_, outputs) in signatures.signatures.items():
        inputs = inputs_of_signature(signatures, signature, 3, rng)
        status, answer = server.client.post(path.format(name), request_of(signature, inputs))
        assert status == 200, answer
        found, truth = outputs_of(answer, outputs), expected(signatures, signature, inputs)
        assert set(found) == set(truth)
        for key, value in truth.items():
            if value.dtype == object:
                assert found[key].tolist() == [text.decode() for text in value]
                continue
            scale = max(1, np.abs(value).max())
            assert found[key].shape == value.shape
            np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-5 * scale)


def test_the_only_input_and_the_default_signature_need_no_names(served):
    server = served("points")
    x = [[0.5, -1.0], [2.0, 0.25]]
    truth = server.flow.log_prob(np.array(x, "float32")).numpy()
    path = "/v1/models/points:predict"
    for request in ({"instances": x}, {"instances": [{"x": row} for row in x]}):
        assert server.client.post(path, request)[1]["predictions"] == pytest.approx(truth, rel=1e-5)
    for request in ({"inputs": x}, {"inputs": {"x": x}}):
        assert server.client.post(path, request)[1]["outputs"] == pytest.approx(truth, rel=1e-5)
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": x}
    request = {"id": "mine", "inputs": [tensor]}
    status, answer = server.client.post("/v2/models/points/versions/2/infer", request)
    assert status == 200 and answer["id"] == "mine"
    assert (answer["model_name"], answer["model_version"]) == ("points", "2")
    assert answer["outputs"][0]["data"] == pytest.approx(truth, rel=1e-5)


def test_v2_outputs_are_those_asked_for(served):
    server = served("points")
    inputs = {"seed": np.zeros([1, 2], int), "temperature": np.ones(1, "float32")}
    request = v2_request("sample", inputs)
    for names in (["log_prob"], ["log_prob", "x"]):
        wanted = {**request, "outputs": [{"name": name} for name in names]}
        _, answer = server.client.post("/v2/models/points/infer", wanted)
        assert [tensor["name"] for tensor in answer["outputs"]] == names


def test_health_and_status(served):
    client = served("points").client
    assert client.get("/v2/health/live") == (200, {"live": True})
    assert client.get("/v2/health/ready") == (200, {"ready": True})
    assert client.get("/v2/models/points/ready") == (200, {"name": "points", "ready": True})
    expected_server = {"name": "tfflows", "version": __version__, "extensions": []}
    assert client.get("/v2") == (200, expected_server)
    for path in ("/v1/models/points", "/v1/models/points/versions/2"):
        (state,) = client.get(path)[1]["model_version_status"]
        assert (state["version"], state["state"]) == ("2", "AVAILABLE")


def test_lists_of_models(served):
    """TensorFlow Serving has no list of models, V2 has one in Triton's extension."""
    client = served("points").client
    (listed,) = client.get("/v1/models")[1]["models"]
    assert listed == {"name": "points", **client.get("/v1/models/points")[1]}
    index = [{"name": "points", "version": "2", "state": "READY", "reason": ""}]
    for request in (b"", {}, {"ready": True}):
        assert client.post("/v2/repository/index", request) == (200, index)


def test_several_models_in_one_server(served):
    """Each is found by its name, and answers as it does alone."""
    servers = {name: served(name) for name in ("images", "points")}
    with served_together({name: server.model for name, server in servers.items()}) as client:
        listed = client.get("/v1/models")[1]["models"]
        assert [model["name"] for model in listed] == ["images", "points"]
        states = [model["model_version_status"][0]["state"] for model in listed]
        assert states == ["AVAILABLE"] * 2
        index = client.post("/v2/repository/index", {})[1]
        assert [model["name"] for model in index] == ["images", "points"]
        for name, server in servers.items():
            x = inputs_of(server.flow, 2)["x"].tolist()
            path = f"/v1/models/{name}:predict"
            assert client.post(path, {"inputs": x}) == server.client.post(path, {"inputs": x})
            assert client.get(f"/page/models/{name}/facts")[1]["name"] == name
        status, answer = client.get("/v2/models/labels")
        assert status == 404 and "this server has images, points" in answer["error"]


def test_metadata_of_both_protocols(served):
    server = served("labels")
    client = server.client
    metadata = client.get("/v1/models/labels/metadata")[1]
    assert metadata["model_spec"]["name"] == "labels"
    served_signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert set(served_signatures) == {*signatures_of(server).signatures, "serving_default"}
    v2 = client.get("/v2/models/labels/versions/2")[1]
    assert v2["versions"] == ["2"] and v2["platform"] == "tensorflow_savedmodel"
    assert v2["inputs"] == v2["parameters"]["signatures"]["log_prob"]["inputs"]
    for name, signature in served_signatures.items():
        proto = json_format.ParseDict(signature, meta_graph_pb2.SignatureDef())
        for kind in ("inputs", "outputs"):
            tensors = {t["name"]: t for t in v2["parameters"]["signatures"][name][kind]}
            found = getattr(proto, kind)
            assert set(found) == set(tensors)
            for key, info in found.items():
                shape = [dimension.size for dimension in info.tensor_shape.dim]
                assert shape == tensors[key]["shape"] and shape[0] == -1


def test_the_examples_requests_and_client(served):
    """examples/serving/requests/client.py speaks to this server as it does to the real one."""
    server = served("points")
    client = Path(__file__).parents[2] / "examples" / "serving" / "requests" / "client.py"
    url = f"http://127.0.0.1:{server.client.port}/v1/models/points:predict"
    command = [sys.executable, client, "sample", url]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert np.shape(json.loads(result.stdout)["outputs"]["x"]) == (3, 2)
