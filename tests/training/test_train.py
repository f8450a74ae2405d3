"""`train` from start to end: what it writes, learns, returns and refuses."""

import re
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from training_runs import (
    bananas,
    mean_nll,
    read_log,
    read_summary,
    silent,
    tiny_data,
    tiny_images,
    tiny_recipe,
)

import tfflows
from tfflows.data import Dataset, Split
from tfflows.training import DriftMonitor, Progress, Recipe, train


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder, flow, data and lines of one run on points in the plane, loaded from a file."""
    folder = tmp_path_factory.mktemp("finished")
    x, y = bananas(400, 0, num_dims=2)
    np.savez(folder / "table.npz", x=x, y=y)
    recipe = tiny_recipe(data=str(folder / "table.npz"))
    lines = []
    flow = train(recipe, folder / "run", write=lines.append)
    return folder / "run", recipe, flow, tfflows.data.load(recipe.data), lines


@pytest.mark.slow
def test_files_of_a_run(finished):
    folder, recipe, _, _, lines = finished
    names = {path.name for path in folder.iterdir()}
    assert names - {"tensorboard"} == {
        "recipe.json",
        "log.csv",
        "samples.png",
        "best.weights.h5",
        "run.json",
        "report.md",
        "curves.png",
    }
    assert Recipe.from_file(folder / "recipe.json") == recipe
    with Image.open(folder / "samples.png") as picture:
        picture.load()
        assert picture.format == "PNG" and min(picture.size) > 100
    assert [f"epoch {i}/3" in line for i, line in enumerate(lines[-3:], 1)] == [True] * 3


@pytest.mark.slow
def test_backups_that_a_kill_at_the_end_left_are_deleted(finished):
    folder, recipe, flow, _, _ = finished
    (folder / "backup").mkdir()
    (folder / "backup" / "epoch_3.weights.h5").write_bytes(b"kept")
    again = train(recipe, folder, write=silent)
    assert not (folder / "backup").exists()
    for weight, expected in zip(again.get_weights(), flow.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.slow
def test_log_and_summary_agree(finished):
    folder, _, _, _, _ = finished
    lowest = [row["lowest_loss"] for row in read_log(folder)]
    assert lowest == sorted(lowest, reverse=True) and np.isfinite(lowest).all()
    log, summary = read_log(folder), read_summary(folder)
    assert [row["epoch"] for row in log] == [0, 1, 2]
    assert summary["epochs"] == 3
    losses = [row["val_nll"] for row in log]
    assert summary["validation_nll"] == min(losses)
    assert summary["best_epoch"] == 1 + int(np.argmin(losses))
    assert summary["seconds"] == pytest.approx(sum(row["seconds"] for row in log), abs=0.1)


def test_report(finished):
    folder, recipe, flow, _, _ = finished
    text = (folder / "report.md").read_text(encoding="utf-8")
    summary = read_summary(folder)
    assert f"| flow | RealNVP, {flow.count_params():,} parameters |" in text
    assert f"{summary['validation_nll']:.4f} nats (epoch {summary['best_epoch']} of 3)" in text
    error = re.search(r"\| round trip \| error at most (.*?),", text)[1]
    assert 0 < float(error) < 1e-4
    assert "(curves.png)" in text and "(samples.png)" in text
    assert recipe.to_json().rstrip() in text
    with Image.open(folder / "curves.png") as picture:
        picture.load()
        assert min(picture.size) > 200


def test_the_loss_falls(finished):
    folder, recipe, flow, data, _ = finished
    log = read_log(folder)
    assert log[-1]["nll"] < log[0]["nll"]
    untrained = recipe.build_flow(data)
    untrained.adapt(data.train.x)
    assert mean_nll(flow, data.validation) < mean_nll(untrained, data.validation) - 0.05


def test_the_best_epoch_is_returned_where_it_is_the_last(finished):
    folder, _, flow, data, _ = finished
    assert read_summary(folder)["best_epoch"] == 3
    assert mean_nll(flow, data.validation) == pytest.approx(
        read_log(folder)[-1]["val_nll"], abs=1e-4
    )


def test_a_second_call_only_loads(finished, monkeypatch):
    folder, recipe, flow, data, _ = finished

    def fit(*args, **kwargs):
        raise AssertionError("It trains again.")

    monkeypatch.setattr(tfflows.Flow, "fit", fit)
    log = (folder / "log.csv").read_bytes()
    again = train(recipe, folder, write=fit)
    np.testing.assert_array_equal(again.log_prob(data.test.x), flow.log_prob(data.test.x))
    assert (folder / "log.csv").read_bytes() == log


def test_another_recipe_in_the_same_folder_is_refused(finished):
    folder, recipe, _, _, _ = finished
    before = (folder / "recipe.json").read_bytes()
    changed = recipe.replace(learning_rate=0.5, config={**recipe.config, "num_couplings": 7})
    few, rate = recipe.config["num_couplings"], recipe.learning_rate
    expected = f"has config.num_couplings {few}, not 7, learning_rate {rate}, not 0.5: choose"
    with pytest.raises(ValueError, match=f"holds a run of another recipe, which {expected}"):
        train(changed, folder, write=silent)
    assert (folder / "recipe.json").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warmup_steps": 10**6}, "warmup_steps is 1000000, more than the"),
        ({"decay_epochs": 50}, "of decay do not fit into"),
        ({"batch_size": 10**6}, "has only"),
        ({"config": {"num_couplings": -1}}, "num_couplings"),
        ({"pretraining": {"warmup_steps": 10**6}}, "warmup_steps is 1000000"),
    ],
)
def test_what_does_not_fit_is_said_before_a_folder_is_made(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        train(tiny_recipe().replace(**changes), tmp_path / "run", tiny_data(), silent)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_best_epoch_is_returned_where_it_is_the_first(tmp_path):
    data = tiny_data(validation_bend=-1)
    flow = train(tiny_recipe(), tmp_path, data, silent)
    losses = [row["val_nll"] for row in read_log(tmp_path)]
    assert losses[0] + 0.02 < losses[1] < losses[2]
    assert read_summary(tmp_path)["best_epoch"] == 1
    assert mean_nll(flow, data.validation) == pytest.approx(losses[0], abs=1e-4)


@pytest.mark.parametrize("below", ["", "run", "a/b"])
def test_unwritable_folder(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Cannot write into the run folder") as caught:
        train(tiny_recipe(), tmp_path / "file" / below, tiny_data(), silent)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("source", ["file", "data"])
def test_data_that_is_not_finite_is_refused_before_training(tmp_path, monkeypatch, source, value):
    monkeypatch.setattr(tfflows.Flow, "fit", lambda *args, **kwargs: pytest.fail("It trains."))
    x = bananas(100, 0).x
    x[7, 1] = value
    np.savez(tmp_path / "table.npz", x=x)
    data = Dataset("bad", "", Split(x), Split(x), Split(x), None) if source == "data" else None
    with pytest.raises(ValueError, match="1 NaN and 0 inf|0 NaN and 1 inf|1 of 300 values are NaN"):
        train(tiny_recipe(data=str(tmp_path / "table.npz")), tmp_path / "run", data, silent)


def test_batch_larger_than_the_training_split(tmp_path):
    with pytest.raises(ValueError, match="batch_size.*1000|1000.*batch_size"):
        train(tiny_recipe(batch_size=1000), tmp_path, tiny_data(), silent)


@pytest.mark.slow
def test_conditional_recipe_learns_from_the_labels(tmp_path):
    data = tiny_data()
    flow = train(tiny_recipe(conditional=True, epochs=4), tmp_path, data, silent)
    assert flow.num_classes == 2
    x, y = data.test
    assert mean_nll(flow, data.test) + 0.1 < mean_nll(flow, Split(x, 1 - y))


def test_conditional_recipe_on_points_in_the_plane(tmp_path):
    flow = train(tiny_recipe(conditional=True, epochs=1), tmp_path, tiny_data(num_dims=2), silent)
    assert flow.num_classes == 2


@pytest.mark.slow
def test_conditional_images(tmp_path):
    recipe = tiny_recipe(flow="NICE", conditional=True, epochs=2, batch_size=48)
    flow = train(recipe, tmp_path, tiny_images(), silent)
    assert (flow.num_bits, flow.num_classes) == (4, 2)
    log = read_log(tmp_path)
    for row in log:
        assert row["val_bits_per_dim"] == pytest.approx(row["val_nll"] / 16 / np.log(2), rel=1e-4)
    assert log[1]["nll"] < log[0]["nll"]
    assert (tmp_path / "samples.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_that_diverges_is_not_taken_for_finished(tmp_path, jit_compile):
    recipe, lines = tiny_recipe(learning_rate=1e30, jit_compile=jit_compile), []
    with pytest.raises(ValueError, match="Training (diverged|stopped) in epoch 1, step") as caught:
        train(recipe, tmp_path / "run", tiny_data(), lines.append)
    assert "\n" not in str(caught.value)
    if not jit_compile:  # XLA leaves the checks out
        assert "The log_prob of real_nvp" in str(caught.value)
    assert "learning rate of 1.25e+29, after 3 rewinds" in str(caught.value)
    rates = [line.split("with a learning rate of ")[1] for line in lines if "Back to" in line]
    assert rates == ["5e+29.", "2.5e+29.", "1.25e+29."]
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("broken_epoch", [0, 1])
def test_a_loss_that_is_not_finite_rewinds(tmp_path, monkeypatch, broken_epoch):
    """A weight is spoilt in the middle of an epoch; the next start trains to the end."""
    spoilt = []

    class Spoiler(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if self.epoch == broken_epoch and batch == 1 and not spoilt:
                spoilt.append(self.model.trainable_weights[0])
                spoilt[0].assign(spoilt[0] * np.nan)

    module = sys.modules["tfflows.training.train"]
    callbacks = module._callbacks
    monkeypatch.setattr(module, "_callbacks", lambda *args: [Spoiler(), *callbacks(*args)])
    lines = []
    flow = train(tiny_recipe(), tmp_path / "run", tiny_data(), lines.append)
    (rewind,) = read_summary(tmp_path / "run")["rewinds"]
    assert rewind["after_epoch"] == broken_epoch
    assert f"in epoch {broken_epoch + 1}, step 3 (not finite: 1 of " in rewind["reason"]
    assert f"weights, first {spoilt[0].path})" in rewind["reason"]
    assert any(f"Back to the end of epoch {broken_epoch}, with" in line for line in lines)
    assert [row["epoch"] for row in read_log(tmp_path / "run")] == [0, 1, 2]
    assert all(np.all(np.isfinite(weight)) for weight in flow.get_weights())


@pytest.mark.slow
def test_an_epoch_of_several_passes_is_as_many_of_one(tmp_path):
    data = tiny_data()
    train(tiny_recipe(epochs=6), tmp_path / "short", data, silent)
    train(tiny_recipe(epochs=2, passes_per_epoch=3), tmp_path / "long", data, silent)
    short, long = read_log(tmp_path / "short"), read_log(tmp_path / "long")
    assert len(long) == 2
    expected = [short[2]["val_nll"], short[5]["val_nll"]]
    assert [row["val_nll"] for row in long] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_pretraining_hands_its_best_weights_on(tmp_path):
    recipe = tiny_recipe(
        flow="FFJORD",
        config={"hidden": [8], "solver": "rk4", "num_steps": 3},
        epochs=2,
        learning_rate=1e-9,
        pretraining={"loss": "flow_matching", "epochs": 4, "learning_rate": 0.02},
    )
    data, lines = tiny_data(), []
    flow = train(recipe, tmp_path / "run", data, lines.append)
    first, second = read_log(tmp_path / "run" / "pretraining"), read_log(tmp_path / "run")
    assert {"flow_matching", "val_nll"} <= set(first[0]) and "nll" not in first[0]
    untrained = recipe.build_flow(data)
    untrained.adapt(data.train.x)
    assert abs(mean_nll(untrained, data.validation) - second[0]["val_nll"]) > 2e-3
    # The second training hardly moves, so that it shows where it started.
    assert second[0]["val_nll"] == pytest.approx(min(row["val_nll"] for row in first), rel=1e-4)
    assert mean_nll(flow, data.validation) == pytest.approx(second[0]["val_nll"], rel=1e-4)
    summary = read_summary(tmp_path / "run")
    assert summary["pretraining"]["epochs"] == 4 and summary["epochs"] == 2
    seconds = sum(row["seconds"] for row in first + second)
    assert summary["seconds"] == pytest.approx(seconds, abs=0.2)
    assert "loss" in lines[1] and "validation nll" in lines[1]


@pytest.mark.slow
def test_a_batch_in_parts_leads_to_the_same_weights(tmp_path):
    settings = {"epochs": 2, "warmup_steps": 3, "ema_momentum": 0.9, "global_clipnorm": 1.0}
    weights, logs = [], []
    for parts in (1, 4):
        recipe = tiny_recipe(gradient_accumulation=parts, **settings)
        flow = train(recipe, tmp_path / str(parts), tiny_data(), silent)
        weights.append(flow.get_weights())
        logs.append([row["val_nll"] for row in read_log(tmp_path / str(parts))])
    np.testing.assert_allclose(*logs, rtol=1e-5)
    for whole, in_parts in zip(*weights, strict=True):
        np.testing.assert_allclose(in_parts, whole, rtol=1e-4, atol=1e-5)


def test_gradients_are_not_accumulated_on_several_replicas(tmp_path, two_replicas):
    recipe = tiny_recipe(gradient_accumulation=2)
    with pytest.raises(ValueError, match="accumulated on one device alone, and found 2 replicas"):
        train(recipe, tmp_path, tiny_data(), silent, two_replicas)


@pytest.mark.slow
def test_float16_networks_with_a_scaled_loss(tmp_path):
    recipe = tiny_recipe(precision="mixed_float16", ema_momentum=0.9, global_clipnorm=10.0)
    flow = train(recipe, tmp_path, tiny_data(), silent)
    assert isinstance(flow.optimizer, keras.optimizers.LossScaleOptimizer)
    log = read_log(tmp_path)
    exact = train(recipe.replace(precision="float32"), tmp_path / "exact", tiny_data(), silent)
    assert exact.compute_dtype == flow.compute_dtype == "float32"
    for row, expected in zip(log, read_log(tmp_path / "exact"), strict=True):
        assert row["val_nll"] == pytest.approx(expected["val_nll"], abs=0.02)


@pytest.mark.slow
def test_drift_of_inverted_activations_is_logged_and_ends_inversion(tmp_path, monkeypatch):
    recipe, lines = tiny_recipe(memory="invert"), []
    flow = train(recipe, tmp_path / "good", tiny_data(), lines.append)
    drift = [row["drift"] for row in read_log(tmp_path / "good")]
    assert flow.memory == "invert" and min(drift) > 0 and max(drift) < 1e-5
    assert not any("Inversion" in line for line in lines)

    monkeypatch.setattr(DriftMonitor, "tolerance", min(drift) / 2)
    modes = []
    monkeypatch.setattr(
        Progress,
        "on_train_batch_end",
        lambda self, batch, logs=None: modes.append(self.model.memory),
        raising=False,
    )
    train(recipe, tmp_path / "bad", tiny_data(), lines.append)
    assert {*modes} == {"checkpoint"}
    assert sum("on with memory='checkpoint'" in line for line in lines) == 1
    for row, expected in zip(read_log(tmp_path / "bad"), read_log(tmp_path / "good"), strict=True):
        assert row["nll"] == pytest.approx(expected["nll"], rel=1e-4)
