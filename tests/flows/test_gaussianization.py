"""`Gaussianization`: a fit without training, and training that goes on from it."""

import keras
import numpy as np
import pytest
import scipy.stats

import tfflows


@pytest.mark.slow
def test_adapting_alone_is_a_fit():
    keras.utils.set_random_seed(0)
    moons = tfflows.data.load("moons")
    flow = tfflows.Gaussianization((2,), num_layers=20)
    flow.adapt(moons.train.x[:10_000])
    x = moons.test.x
    found = flow.log_prob(x).numpy().mean()
    gaussian = scipy.stats.multivariate_normal(x.mean(0), np.cov(x, rowvar=False))
    # Nats: the best flow of the zoo has -2.43.
    assert gaussian.logpdf(x).mean() < -3.2
    assert found > -2.65
    z = flow.encode(x).numpy()
    for direction in np.random.default_rng(0).normal(size=[5, 2]):
        projected = z @ direction / np.linalg.norm(direction)
        assert scipy.stats.kstest(projected, "norm").statistic < 0.03


@pytest.mark.slow
def test_training_goes_on_from_what_adapt_found():
    keras.utils.set_random_seed(0)
    x = tfflows.data.load("moons").train.x[:6000]
    flow = tfflows.Gaussianization((2,), num_layers=3, components=8)
    flow.adapt(x)
    before = flow.log_prob(x).numpy().mean()
    flow.compile(keras.optimizers.Adam(3e-3))
    flow.fit(x, batch_size=200, epochs=5, verbose=0)
    assert flow.log_prob(x).numpy().mean() > before + 0.1


def test_a_context_is_refused():
    with pytest.raises(ValueError, match=r"no layers that a context changes.*\['context_dim'\]"):
        tfflows.Gaussianization((2,), context_dim=3)


def test_one_dimension_is_a_density_of_its_own():
    mixture = np.random.default_rng(0).normal([[-3.0], [2.0]], [[1.0], [0.3]], [2, 5000])
    x = mixture.reshape(-1, 1).astype("float32")
    flow = tfflows.Gaussianization((1,), num_layers=1, components=32)
    flow.adapt(x)
    truth = np.log(
        0.5 * scipy.stats.norm.pdf(x, -3, 1) + 0.5 * scipy.stats.norm.pdf(x, 2, 0.3)
    ).mean()
    assert abs(flow.log_prob(x).numpy().mean() - truth) < 0.05
    samples = flow.sample(5000, seed=0).numpy()
    assert scipy.stats.ks_2samp(samples[:, 0], x[:, 0]).statistic < 0.03
