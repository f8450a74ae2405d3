"""Weights over HTTP, from a server on this machine into a cache of the test."""

import functools
import http.server
import threading

import keras
import numpy as np
import pytest
from zoo_copies import WEIGHTS, copy_of, flip_byte, sha256

import zoo

X = np.random.default_rng(5).normal(size=(20, 2)).astype("float32")


class Handler(http.server.SimpleHTTPRequestHandler):
    requests = None

    def do_GET(self):
        self.requests.append(self.path)
        super().do_GET()

    def log_message(self, *args):
        """Keeps stderr clean."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of Keras's; its own one is chosen when it is imported."""
    folder = tmp_path / "keras"
    folder.mkdir()
    get_file = functools.partial(keras.utils.get_file, cache_dir=str(folder))
    monkeypatch.setattr(keras.utils, "get_file", get_file)
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
