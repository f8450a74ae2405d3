"""Missing values drawn from a flow, beside conditional distributions in closed form."""

import keras
import numpy as np
import pandas
import pytest
import scipy.stats
import tensorflow_probability as tfp

import tfflows
from tfflows.bijectors import BijectorLayer
from tfflows.data import Table, impute
from tfflows.layers import Column
from tfflows.layers.supports import Categories, Integers, Positive

tfb, tfd = tfp.bijectors, tfp.distributions

MEAN = np.array([1.0, -2.0, 3.0])
COVARIANCE = np.array([[1.0, 1.1, -0.3], [1.1, 2.0, 0.1], [-0.3, 0.1, 0.5]])


@keras.saving.register_keras_serializable(package="tests")
def correlated(event_shape):
    return tfb.Chain([tfb.Shift(MEAN), tfb.ScaleMatvecTriL(np.linalg.cholesky(COVARIANCE))])


def gaussian_flow():
    return tfflows.Flow(BijectorLayer(correlated, dtype="float64"), (3,), dtype="float64")


def conditional(missing, given):
    """Mean and covariance of some dimensions of the Gaussian given the others' values."""
    known = ~missing
    gain = COVARIANCE[np.ix_(missing, known)] @ np.linalg.inv(COVARIANCE[np.ix_(known, known)])
    mean = MEAN[missing] + gain @ (given - MEAN[known])
    return mean, COVARIANCE[np.ix_(missing, missing)] - gain @ COVARIANCE[np.ix_(known, missing)]


def test_draws_have_the_conditional_mean_and_covariance():
    """Rows of several patterns at once, 2000 chains of each."""
    patterns = [[np.nan, -1.0, 3.3], [2.0, np.nan, np.nan], [np.nan] * 3, [1.0, np.nan, 4.0]]
    x = np.tile(patterns, [2000, 1])
    result = impute(gaussian_flow(), x, num_sweeps=5, seed=0)
    np.testing.assert_array_equal(result.x[~np.isnan(x)], x[~np.isnan(x)])
    assert result.acceptance.mean() > 0.8  # the proposals are nearly the distribution itself
    for i, pattern in enumerate(np.array(patterns)):
        missing = np.isnan(pattern)
        mean, covariance = conditional(missing, pattern[~missing])
        found = result.x[i::4][:, missing]
        variances = np.diag(covariance)
        error = np.sqrt(variances / 2000)
        np.testing.assert_array_less(np.abs(found.mean(0) - mean), 4.5 * error)
        # That of a covariance of n samples: (s_ij^2 + s_ii s_jj) / n.
        error = np.sqrt((covariance**2 + np.outer(variances, variances)) / 2000)
        np.testing.assert_array_less(np.abs(np.cov(found.T) - covariance), 4.5 * error)


@keras.saving.register_keras_serializable(package="tests")
def two_clusters(event_shape):
    """At (-2, -2) and (2, 2), the second with a third of the mass and half the width."""
    places = np.array([[-2.0, -2.0], [2.0, 2.0]], "float32")
    scales = np.array([[1.0, 1.0], [0.5, 0.5]], "float32")
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=[2 / 3, 1 / 3]), tfd.MultivariateNormalDiag(places, scales)
    )


def test_clusters_have_their_shares():
    """Normal proposals are far from these, so that it is the rule of acceptance that counts."""
    base = tfflows.distributions.DistributionBase(two_clusters)
    flow = tfflows.Flow(tfflows.layers.Scale(), (2,), base=base)
    given = np.repeat([0.5, 1.0], 1500)
    x = np.stack([given, np.full(3000, np.nan)], 1)
    result = impute(flow, x, num_sweeps=30, seed=0)
    for value in (0.5, 1.0):
        first, second = 2 * scipy.stats.norm(-2, 1).pdf(value), scipy.stats.norm(2, 0.5).pdf(value)
        share = second / (first + second)
        upper, lower = (
            scipy.stats.norm(place, scale).sf(0) for place, scale in ((2, 0.5), (-2, 1))
        )
        expected = share * upper + (1 - share) * lower
        found = result.x[given == value, 1] > 0
        assert abs(found.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / 1500)
    assert 0.2 < result.acceptance.mean() < 0.8


CORRELATION = 0.9


@keras.saving.register_keras_serializable(package="tests")
def two_columns(event_shape):
    factor = np.array([[1, 0], [CORRELATION, np.sqrt(1 - CORRELATION**2)]], "float32")
    return tfb.ScaleMatvecTriL(factor)


def table_of_two(second):
    table = Table([Column("a", Positive()), Column("b", second)])
    return table, table.with_support(tfflows.Flow(BijectorLayer(two_columns), (2,)))


def test_a_given_integer_stands_for_its_cell():
    table, flow = table_of_two(Integers())
    frame = {"a": np.full(4000, np.nan), "b": np.full(4000, 1)}
    found = np.log(table.impute(flow, frame, num_sweeps=10, seed=0)["a"])
    cell = scipy.stats.truncnorm(1, 2)
    expected = CORRELATION * cell.mean()
    variance = 1 - CORRELATION**2 + CORRELATION**2 * cell.var()
    # From the middle of the cell it would be more than 8 standard errors away.
    assert abs(found.mean() - expected) < 4 * np.sqrt(variance / 4000)
    assert found.var() == pytest.approx(variance, rel=0.1)


def test_missing_categories_have_their_probabilities():
    table, flow = table_of_two(Categories(("low", "middle", "high")))
    frame = pandas.DataFrame(
        {"a": np.full(4000, 1.5), "b": np.array([None] * 4000, object), "more": np.arange(4000)},
        index=np.arange(4000) + 7,
    )
    frame.loc[8, "b"] = "high"
    found = table.impute(flow, frame, num_sweeps=20, seed=0)
    ends = scipy.special.logit(np.arange(4) / 3)
    spread = np.sqrt(1 - CORRELATION**2)
    expected = np.diff(scipy.stats.norm(CORRELATION * np.log(1.5), spread).cdf(ends))
    for value, share in zip(("low", "middle", "high"), expected, strict=True):
        error = np.sqrt(share * (1 - share) / 4000)
        assert abs((found["b"] == value).mean() - share) < 4 * error + 1 / 4000
    assert found.loc[8, "b"] == "high" and frame["b"].isna().sum() == 3999
    pandas.testing.assert_frame_equal(found[["a", "more"]], frame[["a", "more"]])


def test_seeds_and_rows_without_gaps():
    flow = gaussian_flow()
    x = np.array([[1.0, np.nan, 3.0], [0.1, 0.2, 0.3]])
    first, again, other = (impute(flow, x, num_sweeps=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.x, again.x)
    assert first.x[0, 1] != other.x[0, 1]
    np.testing.assert_array_equal(first.x[1], x[1])
    assert np.isnan(first.acceptance[1]) and not np.isnan(first.acceptance[0])


@pytest.mark.parametrize(
    ("x", "settings", "message"),
    [
        (np.zeros([2, 3]), {}, r"expected x of shape \('n', 2\), but found \(2, 3\)"),
        (np.full([2, 2], np.inf), {}, "expected numbers or NaN, but 4 are infinite"),
        (np.zeros([2, 2]), {"num_sweeps": 0}, "num_sweeps of at least 1, but found 0"),
        (np.array([[-3.0, np.nan]]), {}, r"outside of the flow's support: \[-3.0, nan\]"),
    ],
)
def test_rows_that_cannot_be_completed(x, settings, message):
    _, flow = table_of_two(Integers(0))
    with pytest.raises(ValueError, match=message):
        impute(flow, x, **settings)


def test_flows_of_other_things():
    image = tfflows.NICE((2, 2, 1), num_couplings=1, hidden=(2,), num_bits=3)
    with pytest.raises(ValueError, match=r"needs a flow of vectors, but .* shape \(2, 2, 1\)"):
        impute(image, np.zeros([1, 2, 2, 1]))
    conditional_flow = tfflows.RealNVP((2,), num_couplings=1, hidden=(2,), num_classes=2)
    with pytest.raises(ValueError, match="is conditional and needs a context"):
        impute(conditional_flow, np.full([1, 2], np.nan))
