"""Triton's C++ server and MLServer answer as the entries' reference tensors say."""

import concurrent.futures
import json
import urllib.request

import numpy as np
import pytest
from clients import GrpcClient, HttpClient, RequestError

# One process has the servers, another runs the C program meanwhile.
pytestmark = pytest.mark.xdist_group("servers")

INPUTS = {
    "log_prob": ["x"],
    "score": ["x"],
    "encode": ["x"],
    "decode": ["z"],
    "sample": ["seed", "temperature"],
    "interpolate": ["a", "b", "t"],
    "bits_per_dim": ["pixels", "seed"],
    "anomaly": ["x"],
}


def request_of(inputs, signature):
    """The signature's inputs, numbers as `[B, 1]`."""
    names = INPUTS[signature] + (["context"] if "context" in inputs else [])
    return {k: inputs[k].reshape(-1, 1) if inputs[k].ndim == 1 else inputs[k] for k in names}


def assert_as_published(found, answers, signature, rows=slice(None)):
    expected = {k.split(".")[1]: v for k, v in answers.items() if k.startswith(f"{signature}.")}
    assert set(found) == set(expected)
    for key, value in found.items():
        scale = np.abs(expected[key]).max()
        assert value.dtype == np.float32
        wanted = expected[key][rows]
        assert value.shape == (wanted.shape if wanted.ndim > 1 else (len(wanted), 1))
        assert np.abs(value.reshape(wanted.shape) - wanted).max() <= 1e-5 * scale, (signature, key)


def test_all_signatures_answer_as_published(client, published, name):
    inputs, answers = published(name)
    signatures = {key.split(".")[0] for key in answers}
    assert {"log_prob", "score", "encode", "decode", "sample", "anomaly"} < signatures
    for signature in signatures:
        found = client(name, signature, request_of(inputs, signature))
        assert_as_published(found, answers, signature)
    assert_as_published(client(name, None, request_of(inputs, "log_prob")), answers, "log_prob")
    (metadata,) = client(name, "metadata", {"rows": np.zeros([1, 1], "float32")}).values()
    assert set(json.loads(metadata.reshape(-1)[0])["signatures"]) == signatures | {"metadata"}


def test_samples_do_not_change_with_the_batch_they_are_in(client, published, name):
    inputs, answers = published(name)
    request = request_of(inputs, "sample")
    n = len(request["seed"])
    for rows in ([n - 1], [2, 0], [*range(n)][::-1]):
        found = client(name, "sample", {key: value[rows] for key, value in request.items()})
        assert_as_published(found, answers, "sample", rows)


def batch_statistics(server, name):
    with urllib.request.urlopen(f"http://{server.http}/v2/models/{name}/stats") as answer:
        (stats,) = json.load(answer)["model_stats"]
    return stats["inference_count"], stats["execution_count"]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_triton_merges_the_requests_of_concurrent_clients(triton, published, name, protocol):
    """One of five is bad, and fails alone."""
    inputs, answers = published(name)
    signatures = ("sample", "log_prob", "encode")
    n = len(inputs["seed"])

    def ask_often(seed):
        rng = np.random.default_rng(seed)
        client = HttpClient(triton.http) if protocol == "http" else GrpcClient(triton.grpc)
        refused = 0
        for i in range(15):
            signature = signatures[rng.integers(3)]
            rows = rng.permutation(n)[: rng.integers(1, n + 1)]
            request = {k: v[rows] for k, v in request_of(inputs, signature).items()}
            if i % 5 == 4:
                bad = "temperature" if signature == "sample" else "x"
                request[bad] = np.full_like(request[bad], -1e38)
                with pytest.raises(RequestError, match="finite|above 0"):
                    client(name, signature, request)
                refused += 1
            else:
                assert_as_published(client(name, signature, request), answers, signature, rows)
        client.close()
        return refused

    before = batch_statistics(triton, name)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask_often, range(8))) == 24
    after = batch_statistics(triton, name)
    num_rows, num_calls = after[0] - before[0], after[1] - before[1]
    assert num_calls < 100 and num_rows > 2 * num_calls


DIGITS = "realnvp_digits_conditional"
X, LABELS = np.full([2, 8, 8, 1], 7.5, "float32"), np.array([[0], [9]])
SEED, ONES = np.array([[1, 2], [3, 4]]), np.ones([2, 1], "float32")
# Each is refused in words of the server, of served_model.py or of the graph.
BAD = {
    "rank": ("log_prob", {"x": X[..., 0], "context": LABELS}),
    "size": ("log_prob", {"x": X[:, :7], "context": LABELS}),
    "transposed": ("log_prob", {"x": X.reshape(8, 2, 8, 1), "context": LABELS}),
    "float64": ("log_prob", {"x": X.astype("float64"), "context": LABELS}),
    "int32": ("log_prob", {"x": X, "context": LABELS.astype("int32")}),
    "no rows": ("log_prob", {"x": X[:0], "context": LABELS[:0]}),
    "infinite result": ("log_prob", {"x": X * 1e30, "context": LABELS}),
    "no context": ("log_prob", {"x": X}),
    "label": ("log_prob", {"x": X, "context": LABELS + 1}),
    "fewer labels": ("log_prob", {"x": X, "context": LABELS[:1]}),
    "two inputs too many": ("log_prob", {"x": X, "context": LABELS, "a": X, "b": X}),
    "unknown input": ("log_prob", {"x": X, "context": LABELS, "y": X}),
    "signature": ("log_probs", {"x": X, "context": LABELS}),
    "negative": ("sample", {"seed": SEED, "temperature": -ONES, "context": LABELS}),
    "zero": ("sample", {"seed": SEED, "temperature": 0 * ONES, "context": LABELS}),
    "one seed": ("sample", {"seed": SEED[:1], "temperature": ONES, "context": LABELS}),
    "half seed": ("sample", {"seed": SEED[:, :1], "temperature": ONES, "context": LABELS}),
    "high pixel": ("bits_per_dim", {"pixels": X + 8.5, "seed": SEED, "context": LABELS}),
    "half pixel": ("bits_per_dim", {"pixels": X, "seed": SEED, "context": LABELS}),
    "position": ("interpolate", {"a": X, "b": X, "t": 2 * ONES, "context": LABELS}),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_inputs_are_refused(client, case):
    signature, inputs = BAD[case]
    with pytest.raises(RequestError) as caught:
        client(DIGITS, signature, inputs)
    assert caught.value.status in range(400, 500) or caught.value.status in (
        "StatusCode.INVALID_ARGUMENT",
        "StatusCode.NOT_FOUND",
    )
    good = client(DIGITS, "log_prob", {"x": X, "context": LABELS})
    assert np.isfinite(good["log_prob"]).all()


def test_unknown_models_are_refused(client):
    with pytest.raises(RequestError):
        client("nothing", "log_prob", {"x": X})


GOOD_BODY = {
    "inputs": [
        {"name": "seed", "datatype": "INT64", "shape": [1, 2], "data": [1, 2]},
        {"name": "temperature", "datatype": "FP32", "shape": [1, 1], "data": [1.0]},
        {"name": "context", "datatype": "INT64", "shape": [1, 1], "data": [3]},
    ],
    "parameters": {"signature_name": "sample"},
}


def body_with(tensor, **changes):
    inputs = [{**i, **changes} if i["name"] == tensor else i for i in GOOD_BODY["inputs"]]
    return json.dumps({**GOOD_BODY, "inputs": inputs})


BAD_BODIES = {
    "empty": "",
    "cut off": json.dumps(GOOD_BODY)[:-9],
    "no json": "log_prob",
    "list": "[1, 2]",
    "no inputs": json.dumps({"inputs": []}),
    "fractional seed": body_with("seed", data=[1.5, 2]),
    "text": body_with("temperature", data=["warm"]),
    "null": body_with("temperature", data=[None]),
    "NaN": body_with("temperature", data=[float("nan")]),
    "Infinity": body_with("temperature", data=[float("inf")]),
    "too large for float32": body_with("temperature", data=[1e39]),
    "too large for int64": body_with("seed", data=[2**64, 2]),
    "fewer values": body_with("seed", data=[1]),
    "more values": body_with("seed", data=[1, 2, 3]),
    "negative shape": body_with("seed", shape=[-1, 2]),
    "huge shape": body_with("seed", shape=[2**20, 2]),
    "type": body_with("seed", datatype="FLOAT"),
    "signature as a number": json.dumps({**GOOD_BODY, "parameters": {"signature_name": 7}}),
}


@pytest.mark.parametrize("case", BAD_BODIES)
@pytest.mark.parametrize("server", ["triton", "mlserver"])
def test_bad_bodies_are_refused(request, server, case):
    client = HttpClient(request.getfixturevalue(server).http)
    assert client.post(DIGITS, json.dumps(GOOD_BODY))[0] == 200
    status, answer = client.post(DIGITS, BAD_BODIES[case])
    assert 400 <= status < 600 and answer, (status, answer)
    assert client.post(DIGITS, json.dumps(GOOD_BODY))[0] == 200
    client.close()


def test_triton_refuses_more_rows_than_its_configuration_allows(triton):
    client = HttpClient(triton.http)
    with pytest.raises(RequestError, match="batch-size"):
        client("realnvp_moons", "log_prob", {"x": np.zeros([65, 2], "float32")})
    client.close()
