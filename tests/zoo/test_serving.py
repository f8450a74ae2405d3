"""`zoo.export`: a model server's folder."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfflows
import zoo


@pytest.mark.slow
def test_layout_and_outputs(tiny, published, run, table, tmp_path):
    path = zoo.export(tiny, tmp_path / "models")
    assert path == tmp_path / "models" / "tiny" / "1"
    assert [p.name for p in (tmp_path / "models" / "tiny").iterdir()] == ["1"]
    assert (path / "saved_model.pb").is_file()
    assert (path / "assets.extra" / "card.md").read_text() == (published / "card.md").read_text()
    facts = json.loads((path / "assets.extra" / "card.json").read_text())
    assert facts == zoo.metadata(tiny)
    x = np.random.default_rng(5).normal(size=(6, 2)).astype("float32")
    served = tf.saved_model.load(path).signatures["log_prob"](x=tf.constant(x))["log_prob"]
    np.testing.assert_allclose(served, run[1].log_prob(x), rtol=1e-5)
    held_out = facts["held_out_log_probs"]
    expected = np.quantile(run[1].log_prob(tfflows.data.load(table).validation.x), [0, 0.5, 1])
    np.testing.assert_allclose([held_out[0], held_out[100], held_out[-1]], expected, rtol=1e-4)
    anomaly = tf.saved_model.load(path).signatures["anomaly"]
    assert anomaly(x=tf.fill([1, 2], 50.0))["p_value"].numpy() == pytest.approx(2 / 202)


def test_a_version_is_never_overwritten(tiny, tmp_path):
    (tmp_path / "tiny" / "3").mkdir(parents=True)
    (tmp_path / "tiny" / "3" / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError):
        zoo.export(tiny, tmp_path, version=3)
    assert [p.name for p in (tmp_path / "tiny" / "3").iterdir()] == ["mine.txt"]
    assert zoo.export(tiny, tmp_path, version=4).name == "4"
    assert sorted(p.name for p in (tmp_path / "tiny").iterdir()) == ["3", "4"]


@pytest.mark.parametrize("version", [0, -1, 1.5, "1", None])
def test_bad_version(tiny, tmp_path, version):
    with pytest.raises(ValueError, match=f"version .*found {version!r}"):
        zoo.export(tiny, tmp_path, version)
    assert list(tmp_path.iterdir()) == []


def test_unknown_entry_leaves_nothing_behind(tiny, tmp_path):
    with pytest.raises(ValueError, match="did you mean 'tiny'"):
        zoo.export("tinny", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written|Cannot write") as caught:
        zoo.export(tiny, tmp_path / "file")
    assert "\n" not in str(caught.value)
