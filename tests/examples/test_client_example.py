"""examples/serving/client.py against a server of a tiny flow, and the Dockerfile's commands."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tfflows
from tfflows import export
from tfflows.cli.main import _parser
from tfflows.serving.model import ServedModel

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "serving"
sys.path.append(str(ROOT / "tests" / "serving"))


@pytest.fixture(scope="module")
def flow():
    return tfflows.RealNVP((2,), num_couplings=1, hidden=(4,))


@pytest.fixture
def url(flow, tmp_path):
    from served_flows import served_together

    model = ServedModel(export.save(flow, tmp_path / "tiny" / "1"))
    with served_together({"tiny": model}) as client:
        yield f"http://127.0.0.1:{client.port}"


def test_the_client_prints_what_the_flow_computes(flow, url):
    command = [sys.executable, str(FOLDER / "client.py"), "tiny", url]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    words = result.stdout.split()
    assert words[:4] == ["shape", "5", "2", "log_prob"]
    from tfflows.random import counter

    seeds = np.stack([np.zeros(5, int), np.arange(5)], axis=1)
    x = flow.decode(0.8 * counter.normal(seeds, 2))
    expected = flow.log_prob(x).numpy()
    np.testing.assert_allclose(list(map(float, words[4:])), expected, atol=1e-3)


def instructions():
    """Instructions of the Dockerfile and what they are given, continued lines put together."""
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def test_the_dockerfile_runs_commands_that_there_are():
    found = dict(instructions())
    (exporting,) = [text for name, text in instructions() if text.startswith("tfflows export")]
    exported = _parser().parse_args(shlex.split(exporting)[1:])
    serving = [*json.loads(found["ENTRYPOINT"]), *json.loads(found["CMD"])]
    served = _parser().parse_args(serving[1:])
    assert served.names == [f"{exported.directory}/{exported.name}/1"]
    assert served.host == "0.0.0.0" and str(served.port) == found["EXPOSE"]
    assert found["USER"] != "root"
    check = json.loads(found["HEALTHCHECK"].split("CMD", 1)[1])
    compile(check[2], "healthcheck", "exec")
    assert f":{served.port}/v2/health/ready" in check[2]


@pytest.mark.skipif(sys.platform != "linux", reason="hadolint's package is for Linux here")
def test_the_dockerfile_is_linted():
    command = ["hadolint", "--failure-threshold", "style", str(FOLDER / "Dockerfile")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout


def test_what_the_image_is_made_of_is_in_the_checkout():
    lines = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    taken = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert all((ROOT / name).exists() for name in taken)
    assert {"pyproject.toml", "README.md", "LICENSE", "tfflows", "zoo"} <= set(taken)
