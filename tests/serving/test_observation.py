"""What a server says of its requests, in Prometheus's own parser and in the log."""

import logging
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from served_flows import served_together

LINE = r"model=(\S+) signature=(\S+) batch=(\d+) status=(\d+) ms=(\d+\.\d)"
PREDICT, INFER = "/v1/models/points:predict", "/v2/models/points/infer"
X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1.0]}
# Path, request, and what is logged: model, signature, batch, status.
REQUESTS = [
    (PREDICT, {"inputs": [[0.5, 1.0]] * 3}, ("points", "serving_default", "3", "200")),
    (INFER, {"inputs": [X]}, ("points", "serving_default", "1", "200")),
    (PREDICT, {"signature_name": "encode", "inputs": [[1.0]]}, ("points", "encode", "1", "400")),
    (PREDICT, {"signature_name": "encode", "inputs": [["a"]]}, ("points", "encode", "0", "400")),
    (PREDICT, {"signature_name": "made up", "inputs": []}, ("points", "-", "0", "400")),
    (PREDICT, b"{", ("points", "-", "0", "400")),
    ("/v1/models/made_up:predict", {"inputs": []}, ("-", "-", "0", "404")),
]


@pytest.fixture
def observed(served, caplog):
    """A client of a server of its own, after `REQUESTS`."""
    caplog.set_level(logging.INFO, "tfflows.serving")
    with served_together({"points": served("points").model}) as client:
        for path, request, logged in REQUESTS:
            assert client.post(path, request)[0] == int(logged[-1])
        yield client


def test_a_line_of_log_for_each_request(observed, caplog):
    records = caplog.get_records("setup")
    lines = [record.message for record in records if record.name == "tfflows.serving"]
    found = [re.fullmatch(LINE, line).groups() for line in lines]
    assert [groups[:4] for groups in found] == [logged for _, _, logged in REQUESTS]
    assert all(0 <= float(groups[4]) < 60_000 for groups in found)


def test_metrics(observed):
    status, content = observed.request("GET", "/metrics")
    assert status == 200
    families = {f.name: f for f in text_string_to_metric_families(content.decode())}
    requests = {
        tuple(sample.labels[key] for key in ("model", "signature", "status")): sample.value
        for sample in families["tfflows_requests"].samples
        if sample.name.endswith("_total")
    }
    assert requests == {
        ("points", "serving_default", "200"): 2,
        ("points", "encode", "400"): 2,
        ("points", "", "400"): 2,
        ("", "", "404"): 1,
    }
    durations = families["tfflows_request_duration_seconds"].samples
    of_default = [s for s in durations if s.labels["signature"] == "serving_default"]
    counts = [s.value for s in of_default if s.name.endswith("_bucket")]
    assert counts == sorted(counts) and counts[-1] == 2  # up to +Inf
    (total,) = (s.value for s in of_default if s.name.endswith("_sum"))
    assert 0 < total < 60
    rows = [s for s in families["tfflows_rows"].samples if s.name.endswith("_total")]
    assert [(s.labels["signature"], s.value) for s in rows] == [("serving_default", 4)]
