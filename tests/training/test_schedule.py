"""The learning rate, the moving average of the weights, and flips."""

import sys

import keras
import numpy as np
import pytest
from training_runs import read_log, silent, tiny_data, tiny_images, tiny_recipe

from tfflows.data import Dataset
from tfflows.training import Progress, WarmupHoldDecay, train


@pytest.mark.parametrize("warmup", [0, 30])
def test_without_a_constant_stretch_it_is_kerass_cosine(warmup):
    ours = WarmupHoldDecay(2.0, 100, warmup)
    start = 0.0 if warmup else 2.0
    theirs = keras.optimizers.schedules.CosineDecay(
        start, 100 - warmup, warmup_target=2.0 if warmup else None, warmup_steps=warmup
    )
    steps = np.arange(0, 120, 7)
    expected = [float(theirs(step)) for step in steps]
    np.testing.assert_allclose([float(ours(step)) for step in steps], expected, atol=1e-5)


def test_constant_stretch():
    rate = WarmupHoldDecay(3.0, 100, warmup_steps=10, decay_steps=40)
    np.testing.assert_allclose([rate(s) for s in (1, 10, 60, 70, 80)][:3], [0.3, 3, 3], rtol=1e-6)
    np.testing.assert_allclose(rate(80), 1.5, rtol=1e-5)
    assert WarmupHoldDecay.from_config(rate.get_config()).get_config() == rate.get_config()


@pytest.mark.parametrize("steps", [(60, 50), (-1, 10), (0, 101)])
def test_stretches_that_do_not_fit(steps):
    with pytest.raises(ValueError, match=f"{steps[0]} steps of warm-up and {steps[1]} of decay"):
        WarmupHoldDecay(1.0, 100, *steps)


@pytest.mark.slow
def test_the_moving_average_is_what_is_kept(tmp_path, monkeypatch):
    raw = []

    def on_train_batch_end(self, batch, logs=None):
        raw.append([w.numpy() for w in self.model.trainable_weights])

    monkeypatch.setattr(Progress, "on_train_batch_end", on_train_batch_end, raising=False)
    recipe = tiny_recipe(ema_momentum=0.8, epochs=2)
    data = tiny_data()
    flow = train(recipe, tmp_path, data, silent)
    average = raw[0]
    for step, weights in enumerate(raw):
        momentum = min(0.8, step / (step + 9))
        average = [momentum * a + (1 - momentum) * w for a, w in zip(average, weights, strict=True)]
    for found, expected, last in zip(flow.trainable_weights, average, raw[-1], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert np.abs(found - last).max() > 1e-5
    # What the log says of validation is said of the average, too.
    found = flow.evaluate(data.validation.x, batch_size=64, verbose=0, return_dict=True)["nll"]
    assert read_log(tmp_path)[-1]["val_nll"] == pytest.approx(found, abs=1e-4)


@pytest.mark.slow
def test_the_moving_average_has_singular_vectors_of_its_own(tmp_path):
    config = {"num_blocks": 2, "hidden": [8]}
    settings = {"ema_momentum": 0.99, "learning_rate": 0.1, "epochs": 2}
    recipe = tiny_recipe(flow="ResidualFlow", config=config, **settings)
    flow = train(recipe, tmp_path, tiny_data(), silent)
    layers = [layer for block in flow.blocks for layer in block.network.layers]
    assert len(layers) == 4
    for layer in layers:
        kernel = layer.kernel.numpy()
        vector = layer.singular_vector.numpy()[0]
        image = kernel @ (kernel.T @ vector)
        # Another step changes the unit vector by no more than the tolerance.
        assert np.linalg.norm(image / np.linalg.norm(image) - vector) <= layer.tolerance


@pytest.mark.slow
def test_only_training_images_are_flipped(tmp_path, monkeypatch):
    asked = {}
    module = sys.modules["tfflows.training.train"]
    make, dataset = module.training_batches, Dataset.dataset

    def batches(split, batch_size, seed, first_pass, flip):
        asked["train"] = flip
        return make(split, batch_size, seed, first_pass, flip)

    def spy(self, split, *args, flip=False, **kwargs):
        asked[split] = flip
        return dataset(self, split, *args, flip=flip, **kwargs)

    monkeypatch.setattr(module, "training_batches", batches)
    monkeypatch.setattr(Dataset, "dataset", spy)
    recipe = tiny_recipe(flow="NICE", epochs=1, flip=True)
    train(recipe, tmp_path, tiny_images(), silent)
    assert asked == {"train": True, "validation": False}
