"""The verbs that take entries and saved flows alike, and wrong usage; the others: tests/zoo."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfflows
import zoo
from tfflows.cli import main
from zoo import catalog
from zoo.publishing import round_weights


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder with table.npz, wide.npz, recipe.json, the run of `tfflows train`, and its entry."""
    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)).astype("float32")
    np.savez(folder / "table.npz", x=x)
    np.savez(folder / "wide.npz", x=rng.normal(size=(300, 3)))
    np.savez(folder / "huge.npz", x=1e30 * x)
    recipe = {
        "flow": "RealNVP",
        "data": str(folder / "table.npz"),
        "config": {"num_couplings": 2, "hidden": [8]},
        "epochs": 2,
        "batch_size": 60,
    }
    (folder / "recipe.json").write_text(json.dumps(recipe))
    assert main(["train", str(folder / "recipe.json"), "--output", str(folder / "run")]) == 0
    zoo.publish(folder / "run", "tiny", "A tiny flow.", folder=folder / "entry")
    flow = keras.models.load_model(folder / "run" / "flow.keras")
    round_weights(flow)  # as the entry's are
    flow.save(folder / "run" / "flow.keras")
    return folder


@pytest.fixture(autouse=True)
def registered(made, monkeypatch, tmp_path):
    """The entry is known as "tiny", and relative paths are the test's own."""
    monkeypatch.setattr(catalog, "_registered", {})
    zoo.register("tiny", made / "entry")
    monkeypatch.chdir(tmp_path)


def name_of(made, kind) -> str:
    return "tiny" if kind == "entry" else str(made / "run" / "flow.keras")


def error_of(capsys, *arguments) -> str:
    """The one line on stderr of a command that fails."""
    assert main([str(argument) for argument in arguments]) == 1
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("tfflows: ") and printed.out == ""
    return line


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["entry", "file"])
def test_sample(capsys, made, tmp_path, kind):
    command = ["sample", name_of(made, kind), "--n", "5", "--temperature", "0.5", "--seed", "3"]
    assert main([*command, "--output", "mine.png"]) == 0
    assert str(tmp_path / "mine.png") in capsys.readouterr().out
    expected = tfflows.plots.save_samples(
        zoo.load("tiny"), tmp_path / "expected.png", n=5, temperature=0.5, seed=3
    )
    assert (tmp_path / "mine.png").read_bytes() == expected.read_bytes()
    assert main(command) == 0
    default = tmp_path / ("tiny.png" if kind == "entry" else "flow.png")
    with Image.open(default) as picture:
        picture.load()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n", "0"], "n of at least 1, but found 0"),
        (["--temperature", "-1"], "at least 0, but found -1"),
        (["--label", "1"], "not conditional"),
        (["--output", "."], "Cannot write"),
    ],
)
def test_sample_refuses(capsys, tmp_path, arguments, message):
    assert message in error_of(capsys, "sample", "tiny", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_output_in_a_missing_folder_is_refused_before_any_work(capsys, monkeypatch):
    monkeypatch.setattr(zoo, "load", lambda name: pytest.fail("It loads."))
    line = error_of(capsys, "sample", "tiny", "--output", "missing/s.png")
    assert "the folder missing does not exist" in line


def test_train_wrote_a_flow_and_resumes_to_it(capsys, made):
    flow = keras.models.load_model(made / "run" / "flow.keras")
    x = np.random.default_rng(1).normal(size=(5, 2)).astype("float32")
    expected = zoo.load("tiny").log_prob(x)
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-6)
    log = (made / "run" / "log.csv").read_text()
    arguments = ["train", str(made / "recipe.json"), "--output", str(made / "run")]
    assert main(arguments) == 0
    assert str(made / "run" / "flow.keras") in capsys.readouterr().out
    assert (made / "run" / "log.csv").read_text() == log
    assert "another recipe" in error_of(capsys, *arguments, "--epochs", "3")


def test_train_an_entrys_recipe_anew_on_other_data(capsys, made, tmp_path):
    data = str(made / "wide.npz")
    assert main(["train", "tiny", "--epochs", "1", "--data", data]) == 0
    recipe = json.loads((tmp_path / "runs" / "tiny" / "recipe.json").read_text())
    assert (recipe["data"], recipe["epochs"], recipe["batch_size"]) == (data, 1, 60)
    assert "epoch 1/1" in capsys.readouterr().out
    assert (tmp_path / "runs" / "tiny" / "flow.keras").is_file()


@pytest.mark.parametrize("text", ["{", "3", '{"flow": "RealNVP", "data": "moons", "x": 1}'])
def test_train_refuses_bad_recipes(capsys, text, tmp_path):
    (tmp_path / "bad.json").write_text(text)
    assert "bad.json" in error_of(capsys, "train", "bad.json")
    assert "no recipe at none.json" in error_of(capsys, "train", "none.json")


def test_train_refuses_a_folder_that_cannot_be_written(capsys, made, tmp_path):
    (tmp_path / "file").write_text("")
    line = error_of(capsys, "train", made / "recipe.json", "--output", "file/run")
    assert "Cannot write into the run folder" in line


@pytest.mark.parametrize("kind", ["entry", "file"])
def test_evaluate(capsys, made, kind):
    for split, n in (("test", 30), ("validation", 30)):
        assert main(["evaluate", name_of(made, kind), "--split", split]) == 0
        line, round_trip = capsys.readouterr().out.splitlines()
        line = line.removeprefix("nll, exact: ")
        x = getattr(tfflows.data.load(made / "table.npz"), split).x
        nll = -zoo.load("tiny").log_prob(x).numpy()
        assert float(line.split()[0]) == pytest.approx(nll.mean(), abs=2e-4)
        assert float(line.split()[2]) == pytest.approx(nll.std(ddof=1) / n**0.5, abs=2e-4)
        assert line.endswith(f"({n} examples)")
        assert round_trip.startswith("round trip in float32: error at most ")


def test_evaluate_settings(capsys, made):
    x = np.random.default_rng(0).integers(4, size=(60, 8, 8, 1)).astype("uint8")
    np.savez("images.npz", x=x)
    tfflows.NICE((8, 8, 1), num_couplings=2, hidden=(4,), num_bits=2).save("flow.keras")
    options = ["--draws", "3", "--num-samples", "2", "--examples", "5", "--seed", "7"]
    assert main(["evaluate", "flow.keras", "--data", "images.npz", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    flow, data = keras.models.load_model("flow.keras"), tfflows.data.load("images.npz", num_bits=2)
    assert lines == list(tfflows.evaluate.report(flow, data, "test", 3, 2, 5, 7))
    assert "3 per image" in lines[0] and "2 per image" in lines[1] and "(5 " in lines[1]
    assert "must be at least 1, but found 0" in error_of(
        capsys, "evaluate", "flow.keras", "--data", "images.npz", "--num-samples", "0"
    )


def test_evaluate_refuses(capsys, made):
    assert "no saved flow none.keras" in error_of(capsys, "evaluate", "none.keras", "--data", "x")
    assert "no data set 'moon' (did" in error_of(capsys, "evaluate", "tiny", "--data", "moon")


def test_evaluate_data_of_another_shape(capsys, made):
    data = str(made / "wide.npz")
    assert "found (30, 3)" in error_of(capsys, "evaluate", "tiny", "--data", data)


def test_evaluate_data_whose_density_vanishes(capsys, made):
    data = str(made / "huge.npz")
    assert "finite" in error_of(capsys, "evaluate", "tiny", "--data", data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["entry", "file"])
def test_export(capsys, made, tmp_path, kind):
    assert main(["export", name_of(made, kind), "models", "--version", "2"]) == 0
    path = tmp_path / "models" / ("tiny" if kind == "entry" else "flow") / "2"
    assert str(path) in capsys.readouterr().out
    x = tf.constant([[0.5, -1.0]])
    served = tf.saved_model.load(path).signatures["serving_default"](x=x)["log_prob"]
    np.testing.assert_allclose(served, zoo.load("tiny").log_prob(x), rtol=1e-5)


@pytest.mark.slow
def test_export_of_another_format(capsys, made, tmp_path):
    arguments = ["models", "--format", "litert"]
    assert main(["export", name_of(made, "file"), *arguments]) == 0
    path = tmp_path / "models" / "flow" / "1"
    assert f"litert): {path}" in capsys.readouterr().out
    assert (path / "model.tflite").stat().st_size > 1000
    assert "exists" in error_of(capsys, "export", name_of(made, "file"), *arguments)


@pytest.mark.parametrize("kind", ["entry", "file"])
def test_export_refuses(capsys, made, tmp_path, kind):
    name = name_of(made, kind)
    assert "version" in error_of(capsys, "export", name, "models", "--version", "0")
    (tmp_path / "file").write_text("")
    assert "file" in error_of(capsys, "export", name, "file")
    taken = tmp_path / "models" / ("tiny" if kind == "entry" else "flow") / "1"
    taken.mkdir(parents=True)
    assert "exists" in error_of(capsys, "export", name, "models")
    assert list(taken.iterdir()) == []


def test_a_file_that_is_no_flow(capsys, tmp_path):
    (tmp_path / "text.keras").write_text("no flow")
    assert "text.keras" in error_of(capsys, "sample", "text.keras")
    model = keras.Sequential([tf.keras.layers.Dense(2)])
    model.build((None, 3))
    model.save(tmp_path / "dense.keras")
    assert "holds a Sequential, not a flow" in error_of(capsys, "sample", "dense.keras")


@pytest.mark.parametrize(
    "arguments", [[], ["paint"], ["sample"], ["sample", "tiny", "--n", "many"], ["card", "a", "b"]]
)
def test_wrong_usage(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: tfflows" in capsys.readouterr().err


def test_interrupted(capsys, made, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(tfflows.training, "train", interrupt)
    assert main(["train", str(made / "recipe.json"), "--output", "run"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_shell_completes_commands_and_options(capsys):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    for words, expected in (
        (["tfflows", "tra"], "train"),
        (["tfflows", "train", "--wor"], "--workers"),
    ):
        ask = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _shtab_tfflows"
        shell = subprocess.run(
            ["bash", "-c", f"{script}\n{ask}\necho ${{COMPREPLY[@]}}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert shell.stdout.split() == [expected]


def test_completion_names_what_it_needs(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "zsh"]) == 1
    assert "needs shtab: pip install shtab" in capsys.readouterr().err
