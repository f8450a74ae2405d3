"""Progress, pictures and TensorBoard."""

import importlib.util

import keras
import pytest
from training_runs import read_summary, tiny_data, tiny_recipe

import tfflows
from tfflows.training import Progress, SampleGrid, train


def called(callback, epochs, model=None):
    callback.set_params({"epochs": epochs, "steps": 5})
    callback.set_model(model)
    return callback


def test_progress_lines():
    lines = []
    progress = called(Progress(64, lines.append), 4)
    for epoch in range(2):
        logs = {"nll": 2.0, "val_nll": 3.25}
        progress.on_epoch_begin(epoch)
        progress.on_epoch_end(epoch, logs)
        assert 0 <= logs["seconds"] < 60
        assert logs["examples_per_second"] == pytest.approx(5 * 64 / logs["seconds"])
    progress.on_epoch_begin(3)
    progress.on_epoch_end(
        3, {"nll": 2.0, "val_nll": 3.25, "bits_per_dim": 1.5, "val_bits_per_dim": 1.75}
    )
    assert lines[0].startswith("[#####...............] epoch 1/4  nll 2.0000  validation 3.2500")
    assert lines[1].startswith("[##########..........] epoch 2/4")
    assert lines[2].startswith(f"[{'#' * 20}] epoch 4/4  bits_per_dim 1.5000  validation 1.7500")
    assert lines[2].endswith("about 0 s left")


def test_sample_grid_draws_every_so_often_and_at_the_end(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        tfflows.plots, "save_samples", lambda flow, path, **settings: drawn.append(settings)
    )
    grid = called(SampleGrid(tmp_path / "s.png", every=3), 7)
    epochs = []
    for epoch in range(7):
        before = len(drawn)
        grid.on_epoch_end(epoch)
        if len(drawn) > before:
            epochs.append(epoch + 1)
    assert epochs == [3, 6, 7]
    assert all(settings == drawn[0] for settings in drawn)


def test_tensorboard_gets_curves_and_pictures(tmp_path):
    pytest.importorskip("tensorboard")
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
    flow.compile("adam")
    x = tiny_data(num_dims=2).train.x
    grid = SampleGrid(tmp_path / "samples.png", log_dir=tmp_path / "tensorboard")
    flow.fit(x, batch_size=320, epochs=2, callbacks=[grid], verbose=0)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"), {"tensors": 0}).Reload()
    assert [event.step for event in events.Tensors("samples")] == [0, 1]
    picture = events.Tensors("samples")[-1].tensor_proto.string_val[2]
    assert picture.startswith(b"\x89PNG")


def test_without_tensorboard_it_says_so_and_trains(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec

    def without(name, *args):
        return None if name.split(".")[0] == "tensorboard" else find_spec(name, *args)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    # It would be made in vain.
    monkeypatch.setattr(keras.callbacks, "TensorBoard", None)
    lines = []
    train(tiny_recipe(epochs=1), tmp_path, tiny_data(), lines.append)
    assert "TensorBoard is not installed" in lines[0] and "pip install" in lines[0]
    assert read_summary(tmp_path)["epochs"] == 1
    assert not (tmp_path / "tensorboard").exists()
