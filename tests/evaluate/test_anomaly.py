"""Anomaly scores, their p-values and thresholds, against closed forms of a normal density."""

import numpy as np
import pytest
import scipy.stats

import tfflows
from tfflows.evaluate import AnomalyDetector


def normal():
    return tfflows.RealNVP((2,), num_couplings=2, hidden=(4,))  # untrained, so N(0, 1)


def draws(n, seed, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(n, 2)).astype("float32")


LOG_2_PI = np.log(2 * np.pi)


def test_scores_have_their_closed_forms():
    x = draws(50, 1)
    square = np.sum(x**2, axis=1)
    reference = draws(99, 2)
    found = {
        kind: AnomalyDetector(normal(), reference, kind=kind).scores(x)
        for kind in ("density", "typicality", "score_norm")
    }
    np.testing.assert_allclose(found["density"], LOG_2_PI + square / 2, rtol=1e-5)
    np.testing.assert_allclose(found["score_norm"], np.sqrt(square), rtol=1e-4)
    # The mean of square / 2 is 1, and its deviation 1, over 2,000 samples.
    np.testing.assert_allclose(found["typicality"], np.abs(square / 2 - 1), atol=5 / 2000**0.5)

    wide = tfflows.Flow(tfflows.layers.Scale(), (2,))
    wide.transform.weight.assign([np.log(3.0)] * 2)
    detector = AnomalyDetector(normal(), reference, kind="ratio", background=wide)
    expected = square / 2 - square / 18 - 2 * np.log(3)
    np.testing.assert_allclose(detector.scores(x), expected, rtol=1e-4, atol=1e-5)


def test_p_values_count_the_reference():
    detector = AnomalyDetector(normal(), [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    scores = detector.scores([[0.0, 0.0], [0.0, 2.0], [2.5, 0.0], [9.0, 0.0]])
    np.testing.assert_allclose(detector.p_values(scores), [1, 3 / 4, 2 / 4, 1 / 4])
    threshold = detector.threshold(0.5)
    # Half of the four places that a new one may have among three are above it.
    np.testing.assert_array_equal(scores > threshold.value, detector.p_values(scores) <= 0.5)


def test_false_alarms_are_as_frequent_as_said():
    rate, n, new = 0.05, 199, 400
    detector = AnomalyDetector(normal(), draws(n, 0))
    scores = detector.scores(draws(200 * (n + new), 1)).reshape(200, n + new)
    rates, inside = [], 0
    for split in scores:
        detector.reference = np.sort(split[:n])
        threshold = detector.threshold(rate)
        rates.append(np.mean(split[n:] > threshold.value))
        # The exact rate of this reference: -log p exceeds it with probability exp(-square / 2).
        exact = np.exp(LOG_2_PI - threshold.value)
        inside += threshold.interval[0] <= exact <= threshold.interval[1]
    # Over splits the rate is 10 of 200, to four standard errors.
    error = np.std(rates, ddof=1) / 200**0.5
    assert abs(np.mean(rates) - rate) < 4 * error
    low, high = scipy.stats.binom.interval(0.9999, 200, 0.95)
    assert low <= inside <= high


def test_what_is_outside_of_the_support_is_the_most_unusual():
    layer = tfflows.layers.Logit(alpha=0.0)
    flow = tfflows.Flow(layer, (1,), base="logistic")  # uniform in [0, 1]
    detector = AnomalyDetector(flow, np.linspace(0.01, 0.99, 99)[:, np.newaxis])
    scores = detector.scores([[0.5], [1.5]])
    assert scores[0] == pytest.approx(0, abs=1e-5) and scores[1] == np.inf
    assert detector.p_values(scores)[1] == 0.01


def test_minus_infinity_is_no_number_that_is_only_large():
    x = np.full([1, 2], 1e30, "float32")  # whose square overflows
    assert AnomalyDetector(normal(), draws(9, 0)).scores(x)[0] == np.inf


def test_images_are_dequantised_by_the_seed():
    flow = tfflows.NICE((2, 2, 1), num_couplings=2, hidden=(4,), num_bits=4)
    x = np.random.default_rng(0).integers(16, size=(20, 2, 2, 1))
    first, again, other = (
        AnomalyDetector(flow, x, seed=seed, batch_size=7).reference for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"kind": "distance"}, "is one of density, .* but found 'distance'"),
        ({"kind": "ratio"}, "'ratio', and no other, needs a background flow"),
        ({"background": "a flow"}, "'ratio', and no other, needs a background flow"),
    ],
)
def test_wrong_settings_raise(settings, message):
    if "background" in settings:
        settings = {"background": normal()}
    with pytest.raises(ValueError, match=message):
        AnomalyDetector(normal(), draws(9, 0), **settings)


def test_rates_that_a_reference_cannot_tell():
    detector = AnomalyDetector(normal(), draws(9, 0))
    with pytest.raises(ValueError, match="9 reference examples tell those from 0.1 on"):
        detector.threshold(0.05)
