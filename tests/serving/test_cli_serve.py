"""`tfflows serve`: from a name to an answer, and clear errors before any work."""

import re
import signal
import subprocess
import sys

import pytest
from http_client import Client

from tfflows.cli import main
from tfflows.serving import app


@pytest.mark.slow
def test_serve_an_exported_folder_until_interrupted(served):
    command = [sys.executable, "-m", "tfflows.cli", "serve", served("points").path, "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            line = process.stdout.readline()
            found = re.fullmatch(
                r"points at http://127\.0\.0\.1:(\d+)/ \(Ctrl\+C ends it\)\n", line
            )
            assert found, line + process.stderr.read()
            client = Client(int(found.group(1)))
            client.wait()
            x = [[0.5, -1.0]]
            answer = client.post("/v1/models/points:predict", {"inputs": x})
            assert answer == served("points").client.post(
                "/v1/models/points:predict", {"inputs": x}
            )
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0 and out == "" and "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["entry", "file"])
def test_names_are_exported_first(served, kind, tmp_path, monkeypatch, capsys):
    """What the server gets is a model of that name, and no file of it is left."""
    got = []
    monkeypatch.setattr(app, "serve", lambda model, listener: got.append(model))
    if kind == "file":
        served("points").flow.save(tmp_path / "mine.keras")
    name = "realnvp_moons" if kind == "entry" else str(tmp_path / "mine.keras")
    assert main(["serve", name, "--port", "0"]) == 0
    (model,) = got
    assert model.name == ("realnvp_moons" if kind == "entry" else "mine")
    assert bool(model.card) == (kind == "entry")
    assert ("anomaly" in model.signatures) == (kind == "entry")
    assert capsys.readouterr().out.startswith(f"Exporting {name}")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["reallnvp_moons"], "did you mean 'realnvp_moons'"),
        (["none.keras"], "no saved flow none.keras"),
        (["."], "is not the folder of an exported flow"),
        (["realnvp_moons", "--port", "70000"], "Cannot listen on 127.0.0.1:70000"),
    ],
)
def test_refuses(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    port = [] if "--port" in arguments else ["--port", "0"]
    assert main(["serve", *arguments, *port]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tfflows: ") and sentence in line


@pytest.mark.parametrize("library", ["PIL", "starlette", "uvicorn"])
def test_a_missing_library_is_named(monkeypatch, capsys, library):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(app, "listen", lambda port: pytest.fail("It works before it looks."))
    assert main(["serve", "realnvp_moons"]) == 1
    assert capsys.readouterr().err == (
        f"tfflows: The server needs {library}, which is not installed: "
        "pip install tfflows[serve].\n"
    )
