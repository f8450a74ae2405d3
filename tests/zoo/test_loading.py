"""`zoo.load`: the flow that was trained, or a sentence that says why not."""

import numpy as np
import pytest
from zoo_copies import WEIGHTS, copy_of, cut, edit_metadata, flip_byte

import zoo

X = np.random.default_rng(5).normal(size=(20, 2)).astype("float32")


def test_loaded_flow_is_the_trained_one(tiny, run):
    loaded, trained = zoo.load(tiny), run[1]
    assert type(loaded) is type(trained)
    np.testing.assert_allclose(loaded.log_prob(X), trained.log_prob(X), rtol=1e-6)
    np.testing.assert_allclose(loaded.sample(9, seed=2), trained.sample(9, seed=2), rtol=1e-5)


def test_without_weights_it_is_another_flow(tiny, run):
    trained, fresh = run[1], zoo.load(tiny, weights=None)
    assert fresh.event_shape == trained.event_shape
    assert [w.shape for w in fresh.weights] == [w.shape for w in trained.weights]
    assert np.max(np.abs(fresh.log_prob(X) - trained.log_prob(X))) > 0.01


def test_weights_from_a_path(tiny, run, tmp_path):
    other = zoo.load(tiny, weights=None)
    for weight in other.trainable_weights:
        weight.assign(weight + 0.1)
    path = tmp_path / "mine.weights.h5"
    other.save_weights(path)
    for given in (path, str(path)):
        loaded = zoo.load(tiny, weights=given)
        np.testing.assert_allclose(loaded.log_prob(X), other.log_prob(X), rtol=1e-6)


def test_missing_path(tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights file .*none\.weights\.h5"):
        zoo.load(tiny, weights=tmp_path / "none.weights.h5")


@pytest.mark.parametrize("kind", ["text", "truncated", "another_flow"])
def test_path_to_what_does_not_fit(tiny, published, tmp_path, kind):
    path = tmp_path / "bad.weights.h5"
    if kind == "text":
        path.write_text("no weights")
    elif kind == "truncated":
        path.write_bytes((published / WEIGHTS).read_bytes())
        cut(path)
    else:
        import tfflows

        tfflows.RealNVP((2,), num_couplings=2, hidden=(9,)).save_weights(path)
    with pytest.raises(ValueError, match="bad.weights.h5 do not fit the entry 'tiny'"):
        zoo.load(tiny, weights=path)


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [cut, flip_byte])
def test_spoilt_weights_are_refused(published, tmp_path, spoil):
    entry = copy_of(published, tmp_path)
    spoil(entry / WEIGHTS)
    with pytest.raises(ValueError, match="truncated or altered: their SHA-256 is [0-9a-f]{64}"):
        zoo.load("copy")
    with pytest.raises(ValueError, match="SHA-256"):
        zoo.verify("copy")


def test_weights_from_a_folder_of_ones_own(published, run, tmp_path, monkeypatch):
    entry = copy_of(published, tmp_path)
    place = tmp_path / "weights" / "copy"
    place.mkdir(parents=True)
    (entry / WEIGHTS).rename(place / WEIGHTS)
    with pytest.raises(FileNotFoundError, match="set TFFLOWS_ZOO to"):
        zoo.load("copy")
    monkeypatch.setenv("TFFLOWS_ZOO", str(tmp_path / "weights"))
    np.testing.assert_allclose(zoo.load("copy").log_prob(X), run[1].log_prob(X), rtol=1e-6)
    flip_byte(place / WEIGHTS)
    with pytest.raises(ValueError, match="SHA-256"):
        zoo.load("copy")


def test_missing_in_both_folders(published, tmp_path, monkeypatch):
    (copy_of(published, tmp_path) / WEIGHTS).unlink()
    monkeypatch.setenv("TFFLOWS_ZOO", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="'copy' are in none of .*nowhere.*TFFLOWS_ZOO_URL"):
        zoo.load("copy")


def test_no_weights_were_published(published, tmp_path):
    entry = copy_of(published, tmp_path)
    (entry / WEIGHTS).unlink()
    edit_metadata(entry, weights={})
    with pytest.raises(FileNotFoundError, match="No weights are published for 'copy'"):
        zoo.load("copy")
    assert zoo.load("copy", weights=None).event_shape == (2,)
