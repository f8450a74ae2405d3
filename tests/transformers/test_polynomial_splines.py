"""Splines of lines, parabolas and cubics, against what NumPy and SciPy make of their knots."""

import numpy as np
import scipy.interpolate
import tensorflow as tf

from tfflows.transformers import CubicSpline, LinearSpline, QuadraticSpline

Z = np.linspace(-2.99, 2.99, 301)


def raw(spline):
    return np.random.default_rng(0).normal(size=spline.num_parameters)


def shares(logits, minimum):
    powers = np.exp(logits) / np.exp(logits).sum()
    return minimum + (1 - len(logits) * minimum) * powers


def knots(shares):
    return np.concatenate([[0], np.cumsum(shares)]) * 6 - 3


def assert_both_directions_are(spline, raw, x, slope):
    parameters = [tf.constant([p]) for p in raw]
    found, log_det = spline.forward(Z, parameters)
    np.testing.assert_allclose(found, x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(log_det, np.log(slope), rtol=0, atol=1e-11)
    back, log_det = spline.inverse(x, parameters)
    np.testing.assert_allclose(back, Z, rtol=0, atol=1e-11)
    np.testing.assert_allclose(log_det, -np.log(slope), rtol=0, atol=1e-10)


def test_linear():
    spline = LinearSpline(bins=5)
    x = knots(shares(raw(spline), 1e-3))
    z = np.linspace(-3, 3, 6)
    slope = (np.diff(x) / np.diff(z))[np.searchsorted(z, Z) - 1]
    assert_both_directions_are(spline, raw(spline), np.interp(Z, z, x), slope)


def test_a_knot_of_a_linear_spline_belongs_to_the_bin_above():
    spline = LinearSpline(bins=2)
    x, log_det = spline.forward(np.zeros(1), [[0.0], [1.0]])
    z, inverse_log_det = spline.inverse(x, [[0.0], [1.0]])
    upper = shares(np.array([0.0, 1.0]), 1e-3)[1] / 0.5
    np.testing.assert_allclose(log_det, np.log(upper), rtol=1e-12)
    np.testing.assert_allclose(inverse_log_det, -np.log(upper), rtol=1e-12)
    assert z.numpy() == 0


def test_quadratic():
    spline = QuadraticSpline(bins=5)
    widths = shares(raw(spline)[:5], 1e-3)
    inner = 0.01 + 0.99 / (1 + np.exp(-raw(spline)[5:]))
    # The one factor of the inner slopes with which trapezia of all slopes have an area of 1.
    trapezia = np.array([np.r_[1, factor * inner, 1] for factor in (0.0, 1.0)])
    areas = ((trapezia[:, 1:] + trapezia[:, :-1]) / 2 * widths).sum(1)
    factor = (1 - areas[0]) / (areas[1] - areas[0])
    slopes, z = np.r_[1, factor * inner, 1], knots(widths)
    # The integral of a linear interpolation.
    line = scipy.interpolate.make_interp_spline(z, slopes, k=1)
    x = line.antiderivative()(Z) - line.antiderivative()(-3.0) - 3
    assert_both_directions_are(spline, raw(spline), x, line(Z))


def test_cubic():
    spline = CubicSpline(bins=5)
    widths, heights = shares(raw(spline)[:5], 1e-3), shares(raw(spline)[5:10], 1e-3)
    s, w = heights / widths, widths
    p = [(s[i - 1] * w[i] + s[i] * w[i - 1]) / (w[i - 1] + w[i]) for i in range(1, 5)]
    inner = [2 * min(s[i - 1], s[i], p[i - 1] / 2) for i in range(1, 5)]
    odds = (1 / 3 - 1e-3) / (2 / 3) * np.exp(raw(spline)[10:])
    ends = 3 * s[[0, -1]] * (1e-3 + (1 - 1e-3) * odds / (1 + odds))
    derivatives = [ends[0], *inner, ends[1]]
    cubic = scipy.interpolate.CubicHermiteSpline(knots(widths), knots(heights), derivatives)
    assert_both_directions_are(spline, raw(spline), cubic(Z), cubic.derivative()(Z))


def test_a_cubic_spline_is_increasing_at_its_extremes():
    # Ends as steep as can be, or as flat, beside bins that are steep and flat.
    spline = CubicSpline(bins=4)
    z = np.linspace(-2.999, 2.999, 2001)
    for end in (-1e3, 1e3):
        for heights in ([9, 0, 9, 0], [0, 9, 0, 9]):
            parameters = [[p] for p in np.array([0.0] * 4 + heights + [end] * 2)]
            x, log_det = spline.forward(z, parameters)
            assert np.all(np.diff(x) > 0)
            assert np.all(np.isfinite(log_det))


def test_of_many_cubic_splines_each_is_inverted():
    spline, n = CubicSpline(), 20_000
    rng = np.random.default_rng(0)
    parameters = [tf.constant(rng.normal(size=n), tf.float32) for _ in range(18)]
    x = tf.constant(rng.uniform(-3, 3, n), tf.float32)
    z, log_det = spline.inverse(x, parameters)
    back, _ = spline.forward(z, parameters)
    # Roundings of x, and of z times the slope.
    tolerance = 20 * np.finfo("float32").eps * (3 + 3 * np.exp(-log_det))
    assert np.all(np.abs(back - x) <= tolerance)
