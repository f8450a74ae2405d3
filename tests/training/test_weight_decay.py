"""What weight decay touches, from one step of training with and without it."""

import numpy as np
import pytest
from training_runs import silent, tiny_data, tiny_recipe

from tfflows.training import Recipe, train

RATE, DECAY = 0.02, 0.5


@pytest.mark.slow
def test_one_step_decays_kernels_alone(tmp_path, monkeypatch):
    build_flow = Recipe.build_flow

    def off_zero(self, data):
        # Biases start at zero, where decay could not be seen.
        flow = build_flow(self, data)
        flow.adapt(data.train.x)  # before, since changed weights count as trained ones
        for weight in flow.trainable_weights:
            weight.assign(weight + 0.25)
        return flow

    monkeypatch.setattr(Recipe, "build_flow", off_zero)
    data = tiny_data()
    recipe = tiny_recipe(
        flow="NICE", epochs=1, batch_size=len(data.train), learning_rate=RATE, seed=1
    )
    start = recipe.build_flow(data).trainable_weights
    plain = train(recipe, tmp_path / "plain", data, silent).trainable_weights
    decayed = train(
        recipe.replace(weight_decay=DECAY), tmp_path / "decayed", data, silent
    ).trainable_weights

    assert {w.name for w in start} == {"kernel", "bias", "log_scale"}
    for first, without, with_decay in zip(start, plain, decayed, strict=True):
        first, name = first.numpy(), first.name
        lost = RATE * DECAY * first if name == "kernel" else np.zeros_like(first)
        np.testing.assert_allclose(without - with_decay, lost, atol=1e-6, err_msg=name)
        # Adam's first step is the learning rate in each coordinate.
        assert np.max(np.abs(without - first)) < 1.01 * RATE
