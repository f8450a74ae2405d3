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
    log = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\S+ model=points signature=\S+ batch=1 status=200 "
    assert len(re.findall(log, err)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["entry", "file"])
def test_names_are_exported_first(served, kind, tmp_path, monkeypatch, capsys):
    """What the server gets is a model of that name, exported once."""
    got = []
    monkeypatch.setattr(app, "serve", lambda models, listener: got.append(models))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if kind == "file":
        served("points").flow.save(tmp_path / "mine.keras")
    name = "realnvp_moons" if kind == "entry" else str(tmp_path / "mine.keras")
    for _ in range(2):
        assert main(["serve", name, "--port", "0"]) == 0
    (model,) = got[1].values()
    assert model.name == ("realnvp_moons" if kind == "entry" else "mine")
    assert bool(model.card) == (kind == "entry")
    assert ("anomaly" in model.signatures) == (kind == "entry")
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith(f"Exporting {name}")
    assert [line.split(" at ")[0] for line in lines] == [model.name] * 2


@pytest.mark.slow
def test_several_folders_and_a_host(served, monkeypatch, capsys):
    """All are handed over by name; others that can reach the server are warned of."""
    got = []
    monkeypatch.setattr(app, "serve", lambda models, listener: got.append((models, listener)))
    paths = [str(served(name).path) for name in ("points", "images")]
    assert main(["serve", *paths, "--port", "0", "--host", "0.0.0.0"]) == 0
    assert list(got[0][0]) == ["points", "images"]
    out, err = capsys.readouterr()
    assert out.startswith("points, images at http://0.0.0.0:")
    (line,) = err.splitlines()
    assert line.startswith("tfflows: warning: Anyone who can reach 0.0.0.0:")
    assert "there is no authentication" in line
    assert main(["serve", paths[0], "--port", "0", "--host", "localhost"]) == 0
    assert capsys.readouterr().err == ""


def test_who_listens_to_others_takes_any_name_of_its_own(served, monkeypatch):
    """A server of this machine alone refuses them: see the refusals."""
    found = []

    class Server:
        def run(self, sockets):
            pass

    monkeypatch.setattr(app, "server_of", lambda models, hosts: found.append(hosts) or Server())
    monkeypatch.setattr(app, "log_to_stderr", lambda: None)
    for host in ("127.0.0.1", "0.0.0.0"):
        with app.listen(0, host) as listener:
            app.serve({}, listener)
    assert found == [("127.0.0.1", "localhost"), ("*",)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["reallnvp_moons"], "did you mean 'realnvp_moons'"),
        (["none.keras"], "no saved flow none.keras"),
        (["."], "is not the folder of an exported flow"),
        (["realnvp_moons", "--port", "70000"], "Cannot listen on 127.0.0.1:70000"),
        (["realnvp_moons", "--host", "::1"], "Cannot listen on ::1:0"),
        (["a/1", "b/a"], "2 have the name 'a'"),
    ],
)
def test_refuses(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in ("a/1", "b/a"):
        (tmp_path / folder).mkdir(parents=True)
    port = [] if "--port" in arguments else ["--port", "0"]
    assert main(["serve", *arguments, *port]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tfflows: ") and sentence in line


@pytest.mark.parametrize(
    "library", ["PIL", "platformdirs", "prometheus_client", "starlette", "uvicorn"]
)
def test_a_missing_library_is_named(monkeypatch, capsys, library):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(app, "listen", lambda port, host: pytest.fail("It works before it looks."))
    assert main(["serve", "realnvp_moons"]) == 1
    assert capsys.readouterr().err == (
        f"tfflows: The server needs {library}, which is not installed: "
        "pip install tfflows[serve].\n"
    )
