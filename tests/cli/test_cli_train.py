"""`tfflows init`, and `tfflows train` of a flow's name; of recipes: tests/cli/test_main.py."""

from pathlib import Path

import keras
import numpy as np
import pytest

import tfflows
from tfflows.cli import main, train
from tfflows.training import Recipe


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a table of 200 rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)
    x = np.random.default_rng(0).normal(size=(200, 2)) * [1e-3, 1e3] + [5, -100]
    np.savetxt("t.csv", x, delimiter=",", header="a,b", comments="")
    return tmp_path


def error_of(capsys, *arguments) -> str:
    assert main(list(arguments)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_init_writes_a_recipe(capsys, here):
    assert main(["init", "RealNVP", "--data", "t.csv"]) == 0
    assert str(here / "realnvp_t.json") in capsys.readouterr().out
    recipe = Recipe.from_file("realnvp_t.json")
    assert (recipe.flow, recipe.data, recipe.batch_size) == ("RealNVP", "t.csv", 16)
    expected = {"num_couplings": 8, "hidden": [128, 128], "dropout": 0.5}
    assert recipe.epochs == 200 and recipe.config == expected
    assert "realnvp_t.json exists" in error_of(capsys, "init", "RealNVP", "--data", "t.csv")


@pytest.mark.slow
def test_train_of_a_flows_name_resumes(capsys):
    command = ["train", "RealNVP", "--data", "t.csv", "--epochs", "2"]
    assert main(command) == 0
    flow = keras.models.load_model("runs/realnvp_t/flow.keras")
    data = tfflows.data.load("t.csv")
    entropy = -0.5 * np.log(2 * np.pi * np.e * np.var(data.test.x.astype(float), 0)).sum()
    assert abs(np.mean(flow.log_prob(data.test.x)) - entropy) < 1  # of a normal distribution
    recipe = Recipe.from_file("runs/realnvp_t/recipe.json")
    assert (recipe.data, recipe.epochs) == ("t.csv", 2)
    assert "epoch 2/2" in capsys.readouterr().out
    assert main(command) == 0
    assert "epoch" not in capsys.readouterr().out


def test_train_of_a_flows_name_is_init_and_train(monkeypatch):
    trained = []

    def note(recipe, folder, strategy):
        trained.append((recipe, str(folder)))
        return tfflows.RealNVP((2,), num_couplings=1, hidden=(4,))

    monkeypatch.setattr(tfflows.training, "train", note)
    Path("runs/realnvp_t").mkdir(parents=True)
    assert main(["init", "RealNVP", "--data", "t.csv", "-o", "mine.json"]) == 0
    assert main(["train", "RealNVP", "--data", "t.csv"]) == 0
    assert trained == [(Recipe.from_file("mine.json"), "runs/realnvp_t")]


@pytest.mark.parametrize("flow", sorted(set(tfflows.flows.FLOWS) - {"Flow"}))
def test_every_flow_has_a_recipe(flow):
    is_image = flow in ("Glow", "ImageRealNVP")
    if is_image:
        np.save("t.npy", np.zeros((20, 24, 8, 3), "uint8"))
    recipe, data = train._starting_recipe(flow, "t.npy" if is_image else "t.csv")
    assert recipe.build_flow(data).event_shape == ((24, 8, 3) if is_image else (2,))
    assert recipe.num_bits == (8 if is_image else None)
    assert recipe.config.get("levels") == (1 if is_image else None)


def test_levels_halve_both_sides():
    for shape, levels in (((64, 64), 4), ((28, 28), 2), ((32, 48), 3), ((7, 7), 1), ((8, 6), 1)):
        assert train._image_config((*shape, 3))["levels"] == levels


def test_settings_follow_the_number_of_examples():
    rng = np.random.default_rng(0)
    np.save("large.npy", rng.normal(size=(100_000, 2)))
    recipe, _ = train._starting_recipe("MAF", "large.npy")
    assert (recipe.batch_size, recipe.epochs, recipe.warmup_steps) == (256, 16, 100)
    np.save("small.npy", rng.normal(size=(12, 2)))
    recipe, _ = train._starting_recipe("MAF", "small.npy", epochs=3)
    assert (recipe.batch_size, recipe.epochs, recipe.warmup_steps) == (1, 3, 3)


def test_few_rows_are_not_learnt_by_heart():
    x = np.random.default_rng(0).normal(size=(20_000, 2))
    for n, dropout in ((400, 0.5), (4000, 0.2), (20_000, None)):
        np.save("table.npy", x[:n])
        recipe, _ = train._starting_recipe("RealNVP", "table.npy")
        assert recipe.config.get("dropout") == dropout
        assert recipe.patience == max(10, recipe.epochs // 10)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train RealNVP", "Which data should RealNVP be trained on? Give --data."),
        ("train realnvp --data t.csv", "no flow or zoo entry 'realnvp': did you mean 'RealNVP'"),
        ("train realnvp_digit", "did you mean 'realnvp_digits'"),
        ("init RealNvp --data t.csv", "no flow 'RealNvp': did you mean 'RealNVP'"),
        ("init Flow --data t.csv", "no flow 'Flow'"),
        ("init Glow --data t.csv", "for images"),
        ("init RealNVP --data none.csv", "no file or folder 'none.csv'"),
        ("init RealNVP --data t.csv -o none/a.json", "the folder none does not exist"),
    ],
)
def test_refused(capsys, here, command, message):
    assert message in error_of(capsys, *command.split())
    assert [path.name for path in here.iterdir()] == ["t.csv"]
