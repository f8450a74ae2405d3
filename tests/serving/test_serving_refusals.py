"""Bad requests: a status from 400 to 499 and a sentence each, and the server answers on."""

import json
import socket

import numpy as np
import pytest

from tfflows.serving import app, model
from tfflows.serving.model import MAX_ROWS, MAX_VALUES

REST = "/v1/models/{}:predict"
ROW = [0.5, -1.0]
IMAGE = np.full([4, 4, 1], 3.5).tolist()
SAMPLE = {"seed": [[1, 2]], "temperature": [1.0]}
LABELLED = {"x": np.full([1, 2, 2, 3], 9.5).tolist(), "context": [1]}


def sample_with(**changes):
    return {"signature_name": "sample", "inputs": {**SAMPLE, **changes}}


def bits_with(pixels):
    inputs = {"pixels": pixels, "seed": [[1, 2]]}
    return {"signature_name": "bits_per_dim", "inputs": inputs}


def path_with(t):
    inputs = {"a": [ROW], "b": [ROW], "t": t}
    return {"signature_name": "interpolate", "inputs": inputs}


# The model, the request and what the sentence says.
BAD_REST = [
    # Ranks, sizes, rows.
    ("points", {"inputs": ROW}, "shape [rows, 2], but found [2]"),
    ("points", {"inputs": [[1.0]]}, "shape [rows, 2], but found [1, 1]"),
    ("points", {"inputs": [[1.0, 2.0, 3.0]]}, "but found [1, 3]"),
    ("points", {"inputs": [[ROW]]}, "but found [1, 1, 2]"),
    ("points", {"inputs": 1.0}, "but found []"),
    ("images", {"inputs": [np.zeros([4, 4]).tolist()]}, "shape [rows, 4, 4, 1]"),
    ("images", {"inputs": [np.zeros([16]).tolist()]}, "shape [rows, 4, 4, 1]"),
    ("points", {"inputs": [[1.0], [1.0, 2.0]]}, "different lengths"),
    ("points", {"inputs": [ROW, [[1.0], [2.0]]]}, "different lengths"),
    ("points", {"inputs": []}, "shape [rows, 2], but found [0]"),
    ("points", {"instances": []}, "an empty one"),
    ("points", sample_with(seed=[], temperature=[]), "shape [rows, 2]"),
    ("points", {"inputs": [ROW] * (MAX_ROWS + 1)}, f"from 1 to {MAX_ROWS} rows"),
    ("images", {"inputs": [IMAGE] * 20000}, f"from 1 to {MAX_ROWS} rows"),
    ("points", sample_with(temperature=[1.0, 1.0]), "same number of rows"),
    # Dtypes and values.
    ("points", {"inputs": [["0.5", "1"]]}, "takes numbers, but found a text"),
    ("points", {"inputs": [[True, 0.5]]}, "takes numbers, but found true"),
    ("points", {"inputs": [[None, 0.5]]}, "takes numbers, but found null"),
    ("points", {"inputs": {"x": {"b64": "AAAA"}}}, "takes numbers, but found an object"),
    ("points", sample_with(seed=[[1.5, 2]]), "takes integers, but found the number 1.5"),
    ("points", sample_with(seed=[[1.0, 2]]), "takes integers, but found the number 1.0"),
    ("points", sample_with(seed=[[2**63, 2]]), "does not fit into int64"),
    ("points", {"inputs": [[10**400, 0.0]]}, "does not fit into float32"),
    ("points", {"inputs": [[1e39, 0.0]]}, "NaN or infinite"),
    ("points", b'{"inputs": [[1e999, 0]]}', "NaN or infinite"),
    ("points", b'{"inputs": [[NaN, 0]]}', "NaN is no JSON number"),
    ("points", b'{"inputs": [[-Infinity, 0]]}', "-Infinity is no JSON number"),
    ("points", {"inputs": [[1e30, 0.0]]}, "log_prob of real_nvp"),
    ("points", sample_with(temperature=[-0.1]), "temperature must be above 0"),
    ("points", sample_with(temperature=[0.0]), "temperature must be above 0"),
    ("points", sample_with(temperature=[1e38]), "should be finite"),
    ("points", path_with([1.5]), "between 0 and 1"),
    ("images", bits_with([np.full([4, 4, 1], 8).tolist()]), "whole numbers from 0 to 7"),
    ("images", bits_with([np.full([4, 4, 1], -1).tolist()]), "whole numbers from 0 to 7"),
    ("images", bits_with([np.full([4, 4, 1], 0.5).tolist()]), "whole numbers from 0 to 7"),
    ("labels", {"inputs": {**LABELLED, "context": [3]}}, "labels [batch] in [0, 3)"),
    ("labels", {"inputs": {**LABELLED, "context": [-1]}}, "labels [batch] in [0, 3)"),
    ("labels", {"inputs": {**LABELLED, "context": [0.0]}}, "takes integers"),
    # Names and forms.
    ("points", {"signature_name": "smaple", "inputs": SAMPLE}, "no signature 'smaple': points has"),
    ("points", {"signature_name": ["x"], "inputs": SAMPLE}, "no signature ['x']"),
    ("points", {"signature": "sample", "inputs": [ROW]}, "may have inputs, instances, signature_"),
    ("points", {"inputs": {"x": [ROW], "y": [ROW]}}, "takes the inputs x, but found x, y"),
    ("points", {"inputs": {}}, "takes the inputs x, but found none"),
    ("labels", {"inputs": LABELLED["x"]}, "must be given by name"),
    ("labels", {"inputs": {"x": LABELLED["x"]}}, "takes the inputs context, x, but found x"),
    ("points", {"instances": [{"y": ROW}]}, "Each instance should have x, but instance 0 has y"),
    ("points", {"instances": [{"x": ROW}, ROW]}, "instance 1 has a list"),
    ("points", {"instances": {"x": ROW}}, "a list of rows, but found an object"),
    ("points", {"instances": [ROW], "inputs": [ROW]}, "but found both"),
    ("points", {}, "but found neither"),
    # JSON.
    ("points", b"", "is not JSON"),
    ("points", b"{", "is not JSON"),
    ("points", b'{"inputs": [[0.5, 1]]}}', "is not JSON"),
    ("points", b'\xff\xfe{"inputs": [[0.5, 1]]}', "is not JSON"),
    ("points", b'{"inputs": [[0.5, 1' + b"0" * 5000 + b"]]}", "is not JSON"),
    ("points", b"[" * 100_000, "is not JSON"),
    ("points", b'{"inputs": ' + b"[" * 500 + b"1" + b"]" * 500 + b"}", "different lengths or dep"),
    ("points", [1], "should be a JSON object, but found a list"),
    ("points", b"null", "should be a JSON object, but found null"),
]


@pytest.mark.parametrize("case", range(len(BAD_REST)))
def test_refused_by_rest(served, case):
    name, request, sentence = BAD_REST[case]
    assert_refused(served(name).client, REST.format(name), request, sentence)


def assert_refused(client, path, request, sentence, status=400):
    found, answer = client.post(path, request)
    assert found == status and list(answer) == ["error"], answer
    assert sentence in answer["error"]
    assert answer["error"].endswith(".") and "\n" not in answer["error"]
    assert client.get("/v2/health/ready")[0] == 200


X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": ROW}
BAD_INDEX = [
    ({"ready": 1}, "true or false, but found the number 1"),
    ({"name": "x"}, "may have ready, but found name"),
    (b"[]", "should be a JSON object"),
]
BAD_V2 = [
    ({"inputs": [{**X, "datatype": "FP64"}]}, "datatype FP32, but found 'FP64'"),
    ({"inputs": [{**X, "datatype": None}]}, "datatype FP32, but found None"),
    ({"inputs": [{**X, "shape": [2, 2]}]}, "shape [2, 2], but its data have shape [2]"),
    ({"inputs": [{**X, "shape": [2, 1], "data": [ROW]}]}, "its data have shape [1, 2]"),
    ({"inputs": [{**X, "shape": [2]}]}, "shape [rows, 2], but found [2]"),
    ({"inputs": [{**X, "shape": [1] * 70 + [2]}]}, "71 dimensions"),
    ({"inputs": [{**X, "shape": [-1, 2]}]}, "needs a shape"),
    ({"inputs": [{**X, "shape": [1, 2.0]}]}, "needs a shape"),
    ({"inputs": [{**X, "shape": [0, 2], "data": []}]}, f"from 1 to {MAX_ROWS} rows, but found 0"),
    ({"inputs": [{**X, "data": None}]}, "has no data"),
    ({"inputs": [{**X, "data": [0.5, None]}]}, "takes numbers, but found null"),
    ({"inputs": [X, X]}, "is given twice"),
    ({"inputs": [{**X, "name": "y"}]}, "takes the inputs x, but found y"),
    ({"inputs": [{**X, "name": 3}]}, "objects with a name"),
    ({"inputs": X}, "inputs should be a list of tensors"),
    ({"inputs": []}, "takes the inputs x, but found none"),
    ({"inputs": [X], "outputs": [{"name": "z"}]}, "returns log_prob, but z was asked for"),
    ({"inputs": [X], "outputs": "log_prob"}, "outputs should be a list"),
    ({"inputs": [X], "parameters": {"signature_nam": "sample"}}, "but found signature_nam"),
    ({"inputs": [X], "parameters": 3}, "but found the number 3"),
    ({"inputs": [X], "parameters": {"signature_name": "x"}}, "no signature 'x'"),
    ({"input": [X]}, "has the keys inputs and may have id, outputs, parameters, but found input"),
    (b"{]", "is not JSON"),
]


@pytest.mark.parametrize("case", range(len(BAD_V2)))
def test_refused_by_v2(served, case):
    request, sentence = BAD_V2[case]
    assert_refused(served("points").client, "/v2/models/points/infer", request, sentence)


@pytest.mark.parametrize("case", range(len(BAD_INDEX)))
def test_refused_by_the_list_of_models(served, case):
    request, sentence = BAD_INDEX[case]
    assert_refused(served("points").client, "/v2/repository/index", request, sentence)


def test_values_of_all_rows_are_limited(served, monkeypatch):
    server = served("labels")
    assert MAX_VALUES // 12 > MAX_ROWS  # so that rows are what is limited above
    monkeypatch.setattr(model, "MAX_VALUES", 30)
    request = {"inputs": {"x": LABELLED["x"] * 3, "context": [1] * 3}}
    sentence = "from 1 to 2 rows, but found 3"
    assert_refused(server.client, REST.format("labels"), request, sentence)
    monkeypatch.undo()
    request = {"signature_name": "metadata", "inputs": [0] * 257}
    sentence = "from 1 to 256 rows, but found 257"
    assert_refused(server.client, REST.format("labels"), request, sentence)


@pytest.mark.parametrize(
    "path", ["/v1/models/other:predict", "/v1/models/points/versions/1:predict"]
)
def test_models_and_versions_that_are_not_there(served, path):
    client = served("points").client
    assert_refused(client, path, {"inputs": [ROW]}, "There is no", status=404)
    path = path.replace("/v1", "/v2").replace(":predict", "/infer")
    assert_refused(client, path, {"inputs": [X]}, "There is no", status=404)
    status, answer = client.get(path.removesuffix("/infer"))
    assert status == 404 and "There is no" in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models/points:classify", 404),
        ("POST", "/v1/models/points:classify", 405),
        ("GET", "/v3", 404),
        ("GET", "/../api.js/..", 404),
        ("GET", "/%2e%2e/app.py", 404),
        ("DELETE", "/v2/models/points/infer", 405),
        ("PUT", "/", 405),
    ],
)
def test_paths_and_methods_that_are_not_there(served, method, path, status):
    found, content = served("points").client.request(method, path)
    assert found == status
    assert path.split("/")[-1] in json.loads(content)["error"]


def test_bodies_are_limited(served):
    client = served("points").client
    body = b'{"inputs": [[0.5, 1]]}' + b" " * app.MAX_BODY
    assert_refused(client, REST.format("points"), body, "33,554,432 bytes", status=413)


HEAD = b"POST /v1/models/points:predict HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (HEAD + b'Content-Length: 500\r\n\r\n{"inputs"', b""),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{abcd", b""),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n", b"HTTP/1.1 400"),
        (HEAD + b"Content-Length: -5\r\n\r\n{}", b"HTTP/1.1 400"),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"HTTP/1.1 400"),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"HTTP/1.1 4"),
    ],
)
def test_broken_connections(served, caplog, sent, answer):
    client = served("points").client
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(12).startswith(answer)
    assert client.get("/v2/health/ready")[0] == 200
    assert "Traceback" not in caplog.text


def test_other_hosts_names_are_refused(served):
    status, content = served("points").client.request("GET", "/", headers={"Host": "evil.example"})
    assert status == 400 and b"Invalid host" in content


def test_it_listens_to_this_machine_alone(served):
    port = served("points").client.port
    with pytest.raises(OSError, match=f"Cannot listen on 127.0.0.1:{port}"):
        app.listen(port)
    with pytest.raises(OSError, match="give another --port"):
        app.listen(70000)
    with pytest.raises(OSError, match="an IPv4 address of this machine"):
        app.listen(0, "192.0.2.1")
    outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with outside:
        # No packet is sent: this only asks which address of this machine would send it.
        try:
            outside.connect(("192.0.2.1", 9))
            address = outside.getsockname()[0]
        except OSError:
            address = "127.0.0.2"
    with pytest.raises(OSError), socket.create_connection((address, port), timeout=5):
        pass
