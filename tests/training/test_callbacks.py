"""Progress, pictures and TensorBoard."""

import importlib.util
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_runs import read_log, read_summary, tiny_data, tiny_recipe

import tfflows
from tfflows.training import LatentHistogram, Patience, Progress, SampleGrid, train


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
    logs |= {"gradient_norm": 12.345, "nfe": 50.0, "lipschitz": 0.97, "drift": 1.23e-6}
    progress.on_epoch_end(3, logs)
    told = "gradient norm 12.3, evaluations 50, Lipschitz bound 0.97, inversion error 1.23e-06, "
    assert told in lines[3]


def test_sample_grid_draws_every_so_often_and_at_the_end(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        tfflows.plots, "save_samples", lambda flow, path, **settings: drawn.append(settings)
    )
    model = types.SimpleNamespace(stop_training=False)
    grid = called(SampleGrid(tmp_path / "s.png", every=3), 7, model)
    epochs = []
    for epoch in range(7):
        before = len(drawn)
        grid.on_epoch_end(epoch)
        if len(drawn) > before:
            epochs.append(epoch + 1)
    assert epochs == [3, 6, 7]
    assert all(settings == drawn[0] for settings in drawn)
    model.stop_training = True
    grid.on_epoch_end(0)
    assert len(drawn) == 4


@pytest.mark.parametrize(
    ("earlier", "values", "ends"),
    [
        ([], [3.0, 2.0, 2.5, 2.0, 1.0], [False, False, False, True, False]),  # as low is not lower
        ([3.0, 4.0], [5.0, 2.0], [True, False]),
        ([1.0, 4.0, 5.0], [], []),
    ],
)
def test_patience_counts_epochs_since_the_best(earlier, values, ends):
    model = types.SimpleNamespace(stop_training=False)
    patience, endless = (called(Patience(epochs, earlier), 9, model) for epochs in (2, None))
    assert patience.is_over == (len(earlier) == 3)
    found = []
    for epoch, value in enumerate(values):
        patience.on_epoch_end(epoch, {"val_nll": value})
        found.append(model.stop_training)
        endless.on_epoch_end(epoch, {"val_nll": value})
        assert not model.stop_training
    assert found == ends


@pytest.mark.slow
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


def test_tensorboard_gets_histograms_of_latents(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    flow = tfflows.NICE((4, 4, 1), num_bits=4)
    x = np.random.default_rng(0).integers(16, size=(20, 4, 4, 1)).astype("uint8")
    histogram = called(LatentHistogram(x, None, tmp_path), 1, flow)
    histogram.on_epoch_end(2)
    (event,) = EventAccumulator(str(tmp_path), {"tensors": 0}).Reload().Tensors("z")
    buckets = tf.make_ndarray(event.tensor_proto)
    z = flow.encode(x + 0.5).numpy()
    assert event.step == 2 and buckets[:, 2].sum() == z.size
    assert (buckets[0, 0], buckets[-1, 1]) == pytest.approx((z.min(), z.max()), rel=1e-5)


@pytest.mark.slow
def test_a_residual_flow_tells_its_bound(tmp_path):
    recipe = tiny_recipe(flow="ResidualFlow", config={"num_blocks": 2, "hidden": [8]}, epochs=2)
    flow = train(recipe, tmp_path, tiny_data(), lambda line: None)
    for row in read_log(tmp_path):
        assert 0.1 < row["lipschitz"] < 1
    assert read_log(tmp_path)[-1]["gradient_norm"] > 0
    bounds = [bounds.certified for bounds in tfflows.evaluate.lipschitz(flow)]
    assert read_log(tmp_path)[-1]["lipschitz"] == pytest.approx(max(bounds), rel=1e-3)


@pytest.mark.slow
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
