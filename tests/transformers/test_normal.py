"""The normal distribution's function under a logit, against SciPy's."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfflows.transformers.normal import logit_of_normal, normal_of_logit


@pytest.mark.slow
@pytest.mark.parametrize("with_xla", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_tails(dtype, with_xla):
    # Across the places where one formula takes the other's turn.
    z = np.concatenate([np.linspace(-45, 45, 9001), [-1e4, 1e4]])
    expected = scipy.stats.norm.logcdf(z) - scipy.stats.norm.logsf(z)
    value = tf.constant(z, dtype)

    @tf.function(autograph=False, jit_compile=with_xla)
    def measure(value):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(value)
            logit, log_slope = logit_of_normal(value)
            back, back_log_slope = normal_of_logit(logit)
        return (
            logit,
            log_slope,
            back,
            back_log_slope,
            *(tape.gradient(result, value) for result in (logit, back)),
        )

    logit, log_slope, back, back_log_slope, slope, unit = measure(value)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(logit, expected, rtol=100 * eps, atol=100 * eps)
    np.testing.assert_allclose(back, z, rtol=100 * eps, atol=100 * eps)
    near = np.abs(z) < 1e3
    # Exponents of this size are rounded.
    tolerance = 100 * eps * (1 + z[near] ** 2)
    assert np.all(np.abs(np.log(slope)[near] - log_slope[near]) <= tolerance)
    assert np.all(np.abs(log_slope + back_log_slope)[near] <= tolerance)
    np.testing.assert_allclose(unit, np.ones_like(z), rtol=1e-4)
