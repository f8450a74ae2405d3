"""What `tfflows evaluate` prints, line by line."""

import numpy as np
import pytest

import tfflows
from tfflows import evaluate
from tfflows.data import Dataset, Split
from tfflows.distributions.dequantization import VariationalDequantizer


def images(n, size=8, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    x = np.clip(rng.normal(6 + 4 * y[:, None, None, None], 2, size=(n, size, size, 3)), 0, 15)
    return Split(x.astype("uint8"), y)


DATA = Dataset("made", "", images(70), images(20, seed=1), images(40, seed=2), num_bits=4)


def glow(**settings):
    flow = tfflows.Glow(
        (8, 8, 3), levels=2, steps=1, width=8, prior_width=8, num_bits=4, **settings
    )
    flow.adapt(DATA.train.x[:30], DATA.train.y[:30] if flow.is_conditional else None)
    rng = np.random.default_rng(3)
    for weight in flow.trainable_weights:
        weight.assign_add(0.05 * rng.normal(size=weight.shape))
    return flow


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "classes", "variational"])
def test_lines_of_an_image_flow(kind):
    settings = {
        "plain": {},
        "classes": {"num_classes": 2},
        "variational": {"dequantizer": VariationalDequantizer(width=4)},
    }[kind]
    flow = glow(**settings)
    noise = "variational" if kind == "variational" else "uniform"
    lines = list(evaluate.report(flow, DATA, num_draws=2, num_samples=4, num_examples=25))
    context = DATA.test.y if kind == "classes" else None
    whole = evaluate.likelihood(flow, DATA.test.x, context, num_draws=2)
    rows = np.random.default_rng(0).permutation(40)[:25]
    x, context = DATA.test.x[rows], None if context is None else context[rows]
    bound = evaluate.likelihood(flow, x, context, num_draws=4)
    tighter = evaluate.importance_weighted_bound(flow, x, context, num_samples=4)
    assert tighter.nll < bound.nll
    assert lines[:3] == [
        f"nll, {noise} dequantisation bound, 2 per image: {whole}",
        f"nll, {noise} dequantisation bound, 4 per image: {bound}",
        f"nll, {noise} dequantisation bound, importance-weighted, 4 per image: {tighter}",
    ]
    assert "(40 examples)" in lines[0] and "(25 examples)" in lines[2]
    assert lines[3].startswith("round trip in float32: error at most ")
    assert float(lines[3].split()[7].rstrip(",")) < 1e-3
    samples, baseline = lines[4:]
    assert samples.startswith("sliced Wasserstein distance, samples to test split: ")
    assert baseline.startswith("sliced Wasserstein distance, train split to test split: ")
    assert "(8x8 " in samples and "; 25 images)" in samples and "; 25 images)" in baseline
    others = DATA.train.x[np.random.default_rng(0).permutation(70)[:25]]
    assert baseline.endswith(f": {evaluate.sliced_wasserstein(x, others)}")


@pytest.mark.slow
def test_samples_have_the_classes_of_the_images_that_they_are_compared_to(monkeypatch):
    flow = glow(num_classes=2)
    given = []
    sample = flow.sample

    def spy(n, temperature, seed, context):
        given.append(context)
        return sample(n, temperature, seed, context)

    monkeypatch.setattr(flow, "sample", spy)
    list(evaluate.report(flow, DATA, num_samples=1, num_examples=30, seed=5))
    rows = np.random.default_rng(5).permutation(40)[:30]
    np.testing.assert_array_equal(np.concatenate(given), DATA.test.y[rows])


@pytest.mark.slow
def test_the_train_split_is_compared_to_test_images():
    lines = list(evaluate.report(glow(), DATA, "train", num_samples=1))
    assert "(70 examples)" in lines[0]
    assert lines[-1].startswith("sliced Wasserstein distance, test split to train split: ")
    assert "; 40 images)" in lines[-1] and "; 40 images)" in lines[-2]


def test_lines_of_a_vector_flow():
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
    moons = tfflows.data.load("moons")
    likelihood, trip = evaluate.report(flow, moons, "validation", num_examples=30)
    assert likelihood == f"nll, exact: {evaluate.likelihood(flow, moons.validation.x)}"
    assert trip.startswith("round trip in float32: ") and "(30 examples)" in trip


@pytest.mark.parametrize("name", ["num_draws", "num_samples", "num_examples"])
def test_numbers_below_one(name):
    with pytest.raises(ValueError, match="at least 1, but found 0"):
        next(evaluate.report(glow(), DATA, **{name: 0}))
