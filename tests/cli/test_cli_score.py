"""`tfflows score`: a file of scores, written to its end or gone on with."""

import numpy as np
import pytest

import tfflows
from tfflows.cli import main
from tfflows.evaluate import AnomalyDetector


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """flow.keras, N(0, 1); ordinary.npz, of it; examples.csv, of which the last are not."""
    path = tmp_path_factory.mktemp("score")
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,))
    flow.save(path / "flow.keras")
    rng = np.random.default_rng(0)
    np.savez(path / "ordinary.npz", x=rng.normal(size=(3000, 2)).astype("float32"))
    examples = np.concatenate([rng.normal(size=(50, 2)), 9 + rng.normal(size=(5, 2))])
    np.savetxt(path / "examples.csv", examples, delimiter=",", header="a,b", comments="")
    return path


def run(folder, output, *options):
    files = [str(folder / "flow.keras"), str(folder / "examples.csv")]
    options = ["--reference", str(folder / "ordinary.npz"), "--batch-size", "20", *options]
    return main(["score", *files, *options, "-o", str(output)])


def test_each_example_has_a_row(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "scores.csv") == 0
    assert "alarms in 55 examples" in capsys.readouterr().out
    rows = np.genfromtxt(tmp_path / "scores.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(rows["row"], np.arange(1, 56))
    x = np.loadtxt(folder / "examples.csv", delimiter=",", skiprows=1)
    expected = np.log(2 * np.pi) + np.sum(x**2, axis=1) / 2
    np.testing.assert_allclose(rows["score"], expected, rtol=1e-5)
    assert np.all(rows["alarm"][50:] == 1) and rows["alarm"][:50].mean() < 0.1
    np.testing.assert_array_equal(rows["alarm"], rows["p_value"] <= 0.01)
    assert [file.name for file in tmp_path.iterdir()] == ["scores.csv"]


def interrupted_run(folder, output, monkeypatch):
    """What stays of a run that is interrupted after 20 rows."""
    scores, calls = AnomalyDetector.scores, []

    def interrupted(self, x, context=None):
        calls.append(len(x))
        if len(calls) == 3:  # the reference's, and those of the first batch
            raise KeyboardInterrupt
        return scores(self, x, context)

    monkeypatch.setattr(AnomalyDetector, "scores", interrupted)
    assert run(folder, output) == 130
    monkeypatch.undo()


def test_an_interrupted_run_goes_on(folder, tmp_path, monkeypatch, capsys):
    run(folder, tmp_path / "whole.csv")
    interrupted_run(folder, tmp_path / "scores.csv", monkeypatch)
    with open(tmp_path / "unfinished.scores.csv", "a") as file:
        file.write("21,3.")  # half a row
    assert not (tmp_path / "scores.csv").exists()
    capsys.readouterr()
    assert run(folder, tmp_path / "scores.csv") == 0
    assert "Going on after row 20." in capsys.readouterr().out
    assert (tmp_path / "scores.csv").read_text() == (tmp_path / "whole.csv").read_text()
    assert len(list(tmp_path.iterdir())) == 2


def test_another_file_of_the_same_name_starts_anew(folder, tmp_path, monkeypatch, capsys):
    interrupted_run(folder, tmp_path / "scores.csv", monkeypatch)
    examples = folder / "examples.csv"
    examples.write_bytes(examples.read_bytes())
    capsys.readouterr()
    assert run(folder, tmp_path / "scores.csv") == 0
    assert "Going on" not in capsys.readouterr().out


def test_other_settings_start_anew(folder, tmp_path, capsys):
    (tmp_path / "unfinished.scores.csv").write_text("row,score,p_value,alarm\n1,2,3,0\n")
    (tmp_path / "unfinished.scores.csv.json").write_text("{}")
    assert run(folder, tmp_path / "scores.csv", "--kind", "score_norm") == 0
    assert "Going on" not in capsys.readouterr().out
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 56


def test_bad_input_ends_in_a_sentence(folder, tmp_path, capsys):
    for options, message in (
        (["--kind", "loudness"], "An anomaly score is one of density"),
        (["--rate", "1e-9"], "reference examples tell those from"),
        (["--kind", "ratio"], "needs a background flow"),
    ):
        assert run(folder, tmp_path / "scores.csv", *options) == 1
        assert message in capsys.readouterr().err
    assert main(["score", str(folder / "flow.keras"), "nowhere.csv"]) == 1
    assert "There is no file nowhere.csv." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
