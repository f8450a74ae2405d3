"""Weights over HTTP, from a server on this machine into a cache of the test."""

import functools
import http.server
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from zoo_copies import WEIGHTS, copy_of, flip_byte, sha256

import zoo
from zoo.loading import pretrained_weights

ROOT = Path(zoo.__file__).parents[1]

X = np.random.default_rng(5).normal(size=(20, 2)).astype("float32")


class Handler(http.server.SimpleHTTPRequestHandler):
    requests = None
    between = None  # what happens in the middle of the first answer

    def do_GET(self):
        self.requests.append(self.path)
        super().do_GET()

    def copyfile(self, source, outputfile):
        content = source.read()
        half = len(content) // 2
        outputfile.write(content[:half])
        outputfile.flush()
        if self.between and len(self.requests) == 1:
            self.between()
        outputfile.write(content[half:])

    def log_message(self, *args):
        """Keeps stderr clean."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    folder = tmp_path / "keras"
    folder.mkdir()
    monkeypatch.setenv("KERAS_HOME", str(folder))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return folder


@pytest.fixture
def served(published, tmp_path, monkeypatch, cache):
    """The served file of weights, which the entry "copy" lacks, and the paths asked for."""
    entry = copy_of(published, tmp_path)
    file = tmp_path / "served" / "copy" / WEIGHTS
    file.parent.mkdir(parents=True)
    (entry / WEIGHTS).rename(file)
    requests = []
    handler = type("Counted", (Handler,), {"requests": requests})
    root = str(tmp_path / "served")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=root)
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("TFFLOWS_ZOO_URL", f"http://127.0.0.1:{server.server_port}/")
    yield file, requests
    server.shutdown()
    thread.join()
    server.server_close()


def test_weights_are_downloaded_once(served, run, cache):
    file, requests = served
    checksum = sha256(file)
    for _ in range(2):
        np.testing.assert_allclose(zoo.load("copy").log_prob(X), run[1].log_prob(X), rtol=1e-6)
    assert requests == [f"/copy/{WEIGHTS}"]
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert [sha256(path) for path in kept] == [checksum]


def test_weights_in_the_folder_need_no_download(served, published):
    zoo.register("tiny", published)
    zoo.load("tiny")
    assert served[1] == []


def test_altered_download_is_refused_every_time(served):
    file, _ = served
    flip_byte(file)
    for _ in range(2):
        with pytest.raises(ValueError, match="(?i)sha-?256"):
            zoo.load("copy")


def test_a_good_download_replaces_a_bad_one(served, run):
    file, _ = served
    flip_byte(file)
    with pytest.raises(ValueError, match="(?i)sha-?256"):
        zoo.load("copy")
    flip_byte(file)
    np.testing.assert_allclose(zoo.load("copy").log_prob(X), run[1].log_prob(X), rtol=1e-6)


def test_a_download_while_another_is_half_done(served, cache, monkeypatch):
    file, requests = served
    found = []
    handler = staticmethod(lambda: found.append(pretrained_weights("copy")))
    monkeypatch.setattr(Handler, "between", handler)
    found.append(pretrained_weights("copy"))
    assert len(found) == len(requests) == 2 and found[0] == found[1]
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert kept == found[:1] and sha256(kept[0]) == sha256(file)


def test_what_was_altered_in_the_cache_is_downloaded_anew(served, cache):
    flip_byte(pretrained_weights("copy"))
    assert sha256(pretrained_weights("copy")) == sha256(served[0])
    assert len(served[1]) == 2


MANY = """
import os, pathlib, sys, time, zoo
from zoo.loading import pretrained_weights
me, other, root, entry = sys.argv[1:]
zoo.register("copy", entry)
root = pathlib.Path(root)
for i in range(100):
    (root / f"{i}").mkdir(exist_ok=True)
    os.environ["KERAS_HOME"] = str(root / f"{i}")
    (root / f"{i}.{me}").touch()
    while not (root / f"{i}.{other}").exists():
        time.sleep(0.001)
    weights = pretrained_weights("copy")
    assert weights.parent.parent == root / f"{i}"
zoo.load("copy")
"""


@pytest.mark.slow
def test_two_processes_download_at_once_a_hundred_times(served, tmp_path):
    entry, root = tmp_path / "copy", tmp_path / "rounds"
    root.mkdir()
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", MANY, me, other, str(root), str(entry)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for me, other in ("ab", "ba")
    ]
    try:
        errors = [run.communicate(timeout=120)[1] for run in runs]
    finally:
        for run in runs:
            run.kill()  # the other one waits where one has failed
    assert [run.returncode for run in runs] == [0, 0], errors
    kept = list(root.glob("*/tfflows/*"))
    assert len(kept) == 100 and {sha256(path) for path in kept} == {sha256(served[0])}


def test_not_on_the_server(served):
    file, _ = served
    file.unlink()
    with pytest.raises(OSError, match=f"/copy/{WEIGHTS}") as caught:
        zoo.load("copy")
    assert "\n" not in str(caught.value)


def test_no_server(published, tmp_path, monkeypatch, cache):
    (copy_of(published, tmp_path) / WEIGHTS).unlink()
    monkeypatch.setenv("TFFLOWS_ZOO_URL", "http://127.0.0.1:9/zoo")
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9/zoo") as caught:
        zoo.load("copy")
    assert "\n" not in str(caught.value)
