"""`tfflows sample` into files of rows; pictures: tests/cli/test_main.py."""

import csv
import json

import numpy as np
import pytest

import tfflows
from tfflows.cli import main

SIZES = {"num_couplings": 1, "hidden": (4,)}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)


def saved(flow, recipe=None):
    flow.save("flow.keras")
    if recipe:
        with open("recipe.json", "w") as file:
            json.dump(recipe, file)
    return flow


def test_a_csv_file_has_the_datas_columns_and_every_digit(capsys, tmp_path):
    flow = saved(tfflows.RealNVP((2,), **SIZES), {"flow": "RealNVP", "data": "t.csv"})
    rows = "".join(f"{i},{i % 3}\n" for i in range(20))
    (tmp_path / "t.csv").write_text(f'"height, cm",of\n{rows}')
    command = ["sample", "flow.keras", "--n", "30", "--temperature", "0.5", "--seed", "3"]
    assert main([*command, "-o", "rows.csv"]) == 0
    assert f"30 samples of flow.keras: {tmp_path / 'rows.csv'}" in capsys.readouterr().out
    with open("rows.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["height, cm", "of"]
    expected = flow.sample(30, 0.5, 3).numpy()
    np.testing.assert_array_equal(np.array(rows, "float32"), expected)
    found = tfflows.data.load("rows.csv")
    assert found.column_names == ("height, cm", "of") and len(found.train) == 24
    (tmp_path / "t.csv").unlink()
    assert main([*command, "-o", "rows.csv"]) == 0
    assert "without a header" in capsys.readouterr().out
    np.testing.assert_array_equal(np.loadtxt("rows.csv", "float32", delimiter=","), expected)


def test_a_numpy_file_of_vectors(capsys):
    flow = saved(tfflows.RealNVP((3,), num_classes=2, **SIZES))
    assert main(["sample", "flow.keras", "--label", "1", "-o", "rows.npy"]) == 0
    assert "header" not in capsys.readouterr().out
    np.testing.assert_array_equal(np.load("rows.npy"), flow.sample(1000, seed=0, context=1))


def test_a_numpy_file_of_images_has_pixels(capsys):
    flow = saved(tfflows.NICE((4, 4, 1), num_couplings=1, hidden=(4,), num_bits=3))
    assert main(["sample", "flow.keras", "--n", "20", "-o", "rows.npy"]) == 0
    rows = np.load("rows.npy")
    expected = np.clip(np.floor(flow.sample(20, seed=0)), 0, 7)
    np.testing.assert_array_equal(rows, expected)
    assert tfflows.data.load("rows.npy", num_bits=3).event_shape == (4, 4, 1)
    assert main(["sample", "flow.keras", "-o", "rows.csv"]) == 1
    assert "have shape (4, 4, 1): write them as .npy" in capsys.readouterr().err


def test_refused(capsys, tmp_path):
    assert main(["sample", "flow.keras", "-o", "rows.jpg"]) == 1  # before the flow is looked for
    assert "expected a name ending in .png, .csv or .npy" in capsys.readouterr().err
    saved(tfflows.RealNVP((2,), **SIZES))
    (tmp_path / "taken.npy").mkdir()
    assert main(["sample", "flow.keras", "-o", "taken.npy"]) == 1
    assert "Cannot write taken.npy" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flow.keras", "taken.npy"]
