"""Measured figures against closed forms."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

import tfflows
from tfflows import evaluate
from tfflows.layers import Chain, InvertibleLayer, Logit, Rescaling, Standardize


def gaussian_flow(event_shape=(3,), **settings):
    """N(1, 2^2) in every dimension."""
    return tfflows.Flow(Rescaling(2.0, 1.0), event_shape, **settings)


def test_likelihood_of_an_affine_gaussian_is_exact():
    x = np.random.default_rng(0).normal(0.5, 3.0, size=(70, 3)).astype("float32")
    found = evaluate.likelihood(gaussian_flow(), x)
    nll = -scipy.stats.norm(1.0, 2.0).logpdf(x.astype("float64")).sum(1)
    assert found.nll == pytest.approx(nll.mean(), rel=1e-6)
    error = np.sqrt(np.sum((nll - nll.mean()) ** 2) / 69) / np.sqrt(70)
    assert found.standard_error == pytest.approx(error, rel=1e-5)
    assert (found.num_examples, found.num_draws) == (70, 0)
    assert found.bits_per_dim is None and found.bits_per_dim_standard_error is None
    assert str(found) == f"{nll.mean():.4f} +/- {error:.4f} nats (70 examples)"
    assert found.estimator == "exact"


@pytest.mark.parametrize("batch_size", [1, 7, 70, 1000])
def test_batch_size_and_draws_do_not_matter_for_continuous_data(batch_size):
    x = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
    flow = gaussian_flow()
    expected = evaluate.likelihood(flow, x)
    found = evaluate.likelihood(flow, x, num_draws=3, seed=8, batch_size=batch_size)
    assert found.nll == pytest.approx(expected.nll, rel=1e-6)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-5)
    assert found.num_draws == 0


def test_context_goes_with_its_example():
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,), num_classes=3)
    for weight in flow.trainable_weights:
        weight.assign(weight + 0.3)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(11, 2)).astype("float32"), rng.integers(3, size=11)
    one_by_one = [-float(flow.log_prob(x[i : i + 1], y[i : i + 1])[0]) for i in range(11)]
    found = evaluate.likelihood(flow, x, y, batch_size=4)
    assert found.nll == pytest.approx(np.mean(one_by_one), rel=1e-5)
    assert evaluate.likelihood(flow, x, 2 - y).nll != pytest.approx(found.nll, rel=1e-3)


@pytest.mark.parametrize("num_bits", [1, 4, 8])
def test_bits_per_dim_of_the_uniform_density_are_the_pixels_bits(num_bits):
    # The logistic distribution function of a logistic variable is uniform.
    layers = Chain([Logit(alpha=0.0), Rescaling(2.0**num_bits)])
    flow = tfflows.Flow(layers, (3, 2, 1), base="logistic", num_bits=num_bits)
    x = np.random.default_rng(0).integers(2**num_bits, size=(40, 3, 2, 1))
    found = evaluate.likelihood(flow, x, num_draws=2)
    assert found.bits_per_dim == pytest.approx(num_bits, abs=1e-5)
    assert found.nll == pytest.approx(6 * num_bits * np.log(2), rel=1e-5)
    assert found.bits_per_dim_standard_error < 1e-5
    assert f"{num_bits:.4f} +/- 0.0000 bits/dim (40 examples)" in str(found)


def test_dequantised_likelihood_of_a_gaussian_is_the_integral_over_the_noise():
    flow = tfflows.Flow(Rescaling(4.0, 6.0), (2, 1, 1), num_bits=4)
    x = np.random.default_rng(0).integers(16, size=(50, 2, 1, 1))
    found = evaluate.likelihood(flow, x, num_draws=200, batch_size=20)
    # E (x - 6 + u)^2 = (x - 6)^2 + (x - 6) + 1/3 for u uniform on [0, 1).
    d = x.reshape(50, 2) - 6.0
    expected = np.log(4 * np.sqrt(2 * np.pi)) + (d**2 + d + 1 / 3) / (2 * 16)
    nll = expected.sum(1)
    # Of one draw the noise has a variance of at most (2 |d| + 1)^2 / 12 / 32^2 a pixel.
    noise = np.sqrt(np.mean((2 * np.abs(d) + 1) ** 2 / 12 / 32**2) * 2 / (50 * 200))
    assert abs(found.nll - nll.mean()) < 4 * noise
    assert found.standard_error == pytest.approx(nll.std(ddof=1) / np.sqrt(50), rel=0.02)
    assert found.bits_per_dim == pytest.approx(found.nll / 2 / np.log(2))
    bits_error = found.standard_error / 2 / np.log(2)
    assert found.bits_per_dim_standard_error == pytest.approx(bits_error)
    assert found.num_draws == 200
    assert found.estimator == "uniform dequantisation bound"


def test_the_seed_decides_the_noise():
    flow = tfflows.Flow(Rescaling(4.0, 6.0), (2, 1, 1), num_bits=4)
    x = np.random.default_rng(0).integers(16, size=(30, 2, 1, 1))
    first = evaluate.likelihood(flow, x, seed=3)
    keras.utils.set_random_seed(99)
    assert evaluate.likelihood(flow, x, seed=3) == first
    assert evaluate.likelihood(flow, x, seed=4).nll != first.nll


@pytest.mark.parametrize("num_draws", [0, -2])
def test_images_need_a_draw(num_draws):
    flow = tfflows.Flow(Rescaling(4.0, 6.0), (2, 1, 1), num_bits=4)
    with pytest.raises(ValueError, match="draws"):
        evaluate.likelihood(flow, np.zeros([3, 2, 1, 1], int), num_draws=num_draws)


def test_importance_weighted_is_the_mean_of_the_weights():
    flow = tfflows.Flow(Rescaling(0.02, 6.0), (2, 1, 1), num_bits=4)
    x = np.random.default_rng(0).integers(16, size=(30, 2, 1, 1))
    weights = evaluate.log_weights(flow, x, num_draws=5, seed=3, batch_size=7)
    assert weights.shape == (5, 30) and weights.dtype == "float64"
    assert weights.min() < -1000  # exp of it is zero
    top = weights.max(0)
    nll = -top - np.log(np.mean(np.exp(weights - top), axis=0))
    found = evaluate.importance_weighted_bound(flow, x, num_samples=5, seed=3, batch_size=7)
    assert found.nll == pytest.approx(nll.mean(), rel=1e-12)
    assert found.standard_error == pytest.approx(nll.std(ddof=1) / np.sqrt(30), rel=1e-9)
    assert found.bits_per_dim == pytest.approx(found.nll / 2 / np.log(2))
    assert (found.num_examples, found.num_draws) == (30, 5)
    assert found.estimator == "uniform dequantisation bound, importance-weighted"
    plain = evaluate.likelihood(flow, x, num_draws=5, seed=3, batch_size=7)
    assert plain.nll == pytest.approx(-weights.mean(), rel=1e-12)
    one = evaluate.importance_weighted_bound(flow, x, num_samples=1)
    assert one.nll == pytest.approx(evaluate.likelihood(flow, x).nll, rel=1e-12)


def test_importance_weighted_is_for_images():
    with pytest.raises(ValueError, match="its likelihood is exact"):
        evaluate.importance_weighted_bound(gaussian_flow(), np.zeros([5, 3]))
    flow = tfflows.Flow(Rescaling(4.0, 6.0), (2, 1, 1), num_bits=4)
    with pytest.raises(ValueError, match="at least 1, but found 0"):
        evaluate.importance_weighted_bound(flow, np.zeros([3, 2, 1, 1], int), num_samples=0)


def test_empty_array():
    with pytest.raises(ValueError, match=r"empty batch, of shape \(0, 3\)"):
        evaluate.likelihood(gaussian_flow(), np.zeros([0, 3]))


def test_one_example_has_no_standard_error():
    found = evaluate.likelihood(gaussian_flow(), np.ones([1, 3]))
    assert np.isnan(found.standard_error) and np.isfinite(found.nll)


def test_wrong_shape_is_one_sentence():
    with pytest.raises(ValueError, match=r"expected x of shape .*found \(5, 4\)") as caught:
        evaluate.likelihood(gaussian_flow(), np.zeros([5, 4]))
    assert "\n" not in str(caught.value).strip()


def test_gaussian_likelihood_is_scipys():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(4, 4))
    train, test = rng.normal(size=(300, 4)) @ mixing + 2, rng.normal(size=(80, 4)) @ mixing + 2
    fitted = scipy.stats.multivariate_normal(train.mean(0), np.cov(train.T, ddof=0))
    found = evaluate.gaussian_likelihood(train, test)
    nll = -fitted.logpdf(test)
    assert found.nll == pytest.approx(nll.mean(), rel=1e-6)
    assert found.standard_error == pytest.approx(nll.std(ddof=1) / np.sqrt(80), rel=1e-6)
    assert found.bits_per_dim is None and found.num_draws == 0
    shaped = evaluate.gaussian_likelihood(train.reshape(-1, 2, 2), test.reshape(-1, 2, 2))
    assert shaped.nll == pytest.approx(found.nll)


def test_gaussian_likelihood_of_images_dequantises_both_splits():
    rng = np.random.default_rng(0)
    train, test = rng.integers(16, size=(2, 4000, 1, 2, 1)).astype("uint8")
    found = evaluate.gaussian_likelihood(train, test, num_bits=4)
    # A dequantised uniform pixel is uniform on [0, 16), of variance 16^2 / 12.
    exact = 2 * (0.5 * np.log(2 * np.pi * 16**2 / 12) + 0.5)
    assert abs(found.nll - exact) < 4 * found.standard_error
    assert found.bits_per_dim == pytest.approx(found.nll / 2 / np.log(2))
    assert (found.num_examples, found.num_draws) == (4000, 1)
    assert evaluate.gaussian_likelihood(train, test, 4) == found
    assert evaluate.gaussian_likelihood(train, test, 4, seed=1).nll != found.nll


class Broken(InvertibleLayer):
    """x = 2 z, but an inverse that is off by one, and no log-det."""

    def _forward(self, z, call):
        return 2 * z, 0 * z[:, 0]

    def _inverse(self, x, call):
        return x / 2 + 1, 0 * x[:, 0]


def test_errors_of_a_broken_layer_are_what_is_wrong_with_it():
    flow = tfflows.Flow(Broken(), (3,))
    x = np.random.default_rng(0).normal(size=(5, 3))
    assert evaluate.round_trip_error(flow, x) == pytest.approx(2.0, abs=1e-5)
    assert evaluate.log_det_error(flow, x) == pytest.approx(3 * np.log(2), abs=1e-5)


@pytest.mark.parametrize("batch_size", [2, 100])
def test_round_trip_over_batches(batch_size):
    class Rough(Broken):
        """The inverse is off by 1 where x is positive."""

        def _inverse(self, x, call):
            return x / 2 + tf.cast(x > 0, x.dtype), 0 * x[:, 0]

    flow = tfflows.Flow(Rough(), (3,))
    x = -np.ones([5, 3])
    x[3, :2] = 1
    found = evaluate.round_trip(flow, x, batch_size=batch_size)
    assert found == evaluate.RoundTrip(2.0, pytest.approx(2 * 2 / 15), 5, "float32")
    assert str(found) == "error at most 2.0e+00, on average 2.7e-01, in units of x (5 examples)"
    with pytest.raises(ValueError, match="empty batch"):
        evaluate.round_trip(flow, x[:0])


def test_errors_of_a_good_flow_are_small():
    flow = tfflows.RealNVP((4,), num_couplings=3, hidden=(8,), num_classes=2)
    for weight in flow.trainable_weights:
        weight.assign(weight + 0.2)
    (standardize,) = [layer for layer in flow.transform.layers if isinstance(layer, Standardize)]
    standardize.stddev.assign([0.1, 1.0, 3.0, 10.0])
    x, y = np.random.default_rng(0).normal(size=(6, 4)), [0, 1, 0, 1, 1, 0]
    assert evaluate.round_trip_error(flow, x, y) < 1e-5
    assert evaluate.log_det_error(flow, x, y) < 1e-5


@pytest.mark.slow
def test_estimated_log_dets_are_named_and_give_no_importance_weighted_bound():
    flow = tfflows.ResidualFlow(
        (2, 2, 1),
        num_blocks=1,
        hidden=(8,),
        num_bits=2,
        evaluation=tfflows.layers.Roulette(terms=3),
    )
    x = np.random.default_rng(0).integers(4, size=(6, 2, 2, 1))
    assert evaluate.likelihood(flow, x).estimator == (
        "uniform dequantisation bound, log-det by roulette of 3 terms and a tail of mean 1, 1 "
        "sample"
    )
    with pytest.raises(ValueError, match="needs computed log-dets, but .* roulette of 3 terms"):
        evaluate.importance_weighted_bound(flow, x)
    continuous = tfflows.FFJORD(
        (2,),
        hidden=(4,),
        solver=tfflows.ode.RungeKutta4(),
        trace=tfflows.layers.Hutchinson("gaussian"),
    )
    found = evaluate.likelihood(continuous, np.zeros([3, 2]))
    assert found.estimator == "log-det by Hutchinson's trace with one gaussian draw"


def test_kernel_density_takes_the_width_that_suits_the_validation_points():
    rng = np.random.default_rng(0)
    train, validation, test = (rng.normal(size=(n, 2)) for n in (300, 200, 50))
    found = evaluate.kernel_density_likelihood(train, validation, test)
    deviation = train.std(axis=0).max()
    scores = {}
    for width in np.geomspace(deviation / 200, deviation / 5, 12):
        for name, points in {"validation": validation, "test": test}.items():
            squares = np.sum((points[:, None] - train) ** 2, axis=2) / width**2
            log_kernels = -0.5 * squares - np.log(2 * np.pi * width**2)
            density = scipy.special.logsumexp(log_kernels, axis=1) - np.log(300)
            scores[name, width] = -density.mean()
    best = min((width for name, width in scores), key=lambda width: scores["validation", width])
    assert found.nll == pytest.approx(scores["test", best], rel=1e-3)
    assert (found.num_examples, found.bits_per_dim) == (50, None)
