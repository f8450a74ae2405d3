"""The files of examples/serving against the rules of the servers that they are for."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from google.protobuf import text_format
from manifests import INFERENCE_SERVICE, assert_fits

import zoo

FOLDER = Path(__file__).parents[2] / "examples" / "serving"
REQUESTS = FOLDER / "requests"
NAME = "realnvp_digits"


def request_of(name):
    return json.loads((REQUESTS / f"{name}.json").read_text(encoding="utf-8"))


def tensors_of(request, signature):
    """Inputs of a signature from a JSON request, by TensorFlow Serving's rules.

    Rows: a list of one value for each row, by name unless there is only one input. Columns: whole
    tensors by name, or the only one's.
    """
    specs = signature.structured_input_signature[1]
    if "instances" in request:
        rows = request["instances"]
        by_name = isinstance(rows[0], dict)
        assert by_name or len(specs) == 1
        columns = {k: [row[k] if by_name else row for row in rows] for k in specs}
        assert not by_name or all(set(row) == set(specs) for row in rows)
    else:
        columns = request["inputs"]
        if not isinstance(columns, dict):
            (name,) = specs
            columns = {name: columns}
    assert set(columns) == set(specs)
    return {name: tf.constant(value, specs[name].dtype) for name, value in columns.items()}


@pytest.fixture(scope="module")
def signatures(tmp_path_factory):
    loaded = tf.saved_model.load(zoo.export(NAME, tmp_path_factory.mktemp("models")))
    yield loaded.signatures


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.stem for path in REQUESTS.glob("*.json")])
def test_requests_are_answered_row_by_row(signatures, name):
    request = request_of(name)
    signature = signatures[request["signature_name"]]
    answer = signature(**tensors_of(request, signature))
    num_rows = len(request.get("instances", [])) or len(request["inputs"]["seed"])
    for value in answer.values():
        assert value.shape[0] == num_rows and np.all(np.isfinite(value))


@pytest.mark.slow
def test_rows_and_columns_are_the_same(signatures):
    columns = request_of("sample")
    seeds, temperatures = columns["inputs"]["seed"], columns["inputs"]["temperature"]
    rows = [{"seed": s, "temperature": t} for s, t in zip(seeds, temperatures, strict=True)]
    signature = signatures["sample"]
    by_column = signature(**tensors_of(columns, signature))
    by_row = signature(**tensors_of({"instances": rows}, signature))
    for key, value in by_column.items():
        np.testing.assert_array_equal(value, by_row[key])


def test_configuration_is_one_of_tensorflow_serving():
    from tensorflow_serving.config import model_server_config_pb2

    text = (FOLDER / "models.config").read_text(encoding="utf-8")
    parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (config,) = parsed.model_config_list.config
    assert config.name == NAME and config.base_path == f"/models/{NAME}"
    assert config.model_platform == "tensorflow" and dict(config.version_labels) == {"stable": 1}


def test_kserve_manifest_names_the_served_folder():
    service = yaml.safe_load((FOLDER / "kserve.yaml").read_text(encoding="utf-8"))
    assert_fits(service, INFERENCE_SERVICE)
    model = service["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "tensorflow"}
    assert model["storageUri"].endswith(f"/models/{NAME}")


class Server(BaseHTTPRequestHandler):
    """Answers /v1/models/NAME:predict with the request, and anything else with an error."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_known = self.path == f"/v1/models/{NAME}:predict"
        answer = {"outputs": body} if is_known else {"error": "Servable not found"}
        self.send_response(200 if is_known else 404)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture(scope="module")
def url():
    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/models/"
    server.shutdown()
    server.server_close()


def test_client_sends_the_request_and_shows_errors(url):
    def run(address):
        command = [sys.executable, REQUESTS / "client.py", "sample", address]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    result = run(f"{url}{NAME}:predict")
    assert result.returncode == 0
    assert json.loads(result.stdout) == {"outputs": request_of("sample")}
    result = run(f"{url}other:predict")
    assert result.returncode == 1 and result.stderr.startswith("404: ")
