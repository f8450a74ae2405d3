"""Signatures whose answers are estimates: unbiased, and of each row's own seed."""

import math

import numpy as np
import pytest
import tensorflow as tf

import tfflows
from tfflows import export
from tfflows.distributions.dequantization import VariationalDequantizer
from tfflows.export.signatures import Signatures
from tfflows.layers import Exact, ExactTrace, Hutchinson, Roulette, Truncated
from tfflows.random import counter

SERIES = Truncated(terms=12, samples=2)
ROULETTE = Roulette(terms=3, samples=2, tail=2.0)
RESIDUAL = {"num_blocks": 2, "hidden": (8,), "coefficient": 0.7}
CONTINUOUS = {"hidden": (8,), "solver": tfflows.ode.RungeKutta4(steps=2)}
# A flow that estimates, and the arguments with which the same flow does not.
FLOWS = {
    "truncated": (
        tfflows.ResidualFlow,
        {**RESIDUAL, "evaluation": SERIES},
        {"evaluation": Exact()},
    ),
    "roulette": (
        tfflows.ResidualFlow,
        {**RESIDUAL, "evaluation": ROULETTE},
        {"evaluation": Exact()},
    ),
    "rademacher": (
        tfflows.FFJORD,
        {**CONTINUOUS, "trace": Hutchinson("rademacher")},
        {"trace": ExactTrace()},
    ),
    "gaussian": (
        tfflows.FFJORD,
        {**CONTINUOUS, "trace": Hutchinson("gaussian")},
        {"trace": ExactTrace()},
    ),
}


def randomize(flow):
    rng = np.random.default_rng(1)
    flow.adapt(rng.normal(size=(100, *flow.event_shape)))
    for weight in flow.trainable_variables:
        weight.assign(rng.normal(0, 0.4, weight.shape))


def flows_of(name):
    """The flow that estimates, and the one that computes."""
    kind, config, exact = FLOWS[name]
    flows = [kind(event_shape=(3,), **config), kind(event_shape=(3,), **{**config, **exact})]
    randomize(flows[0])
    flows[1].set_weights(flows[0].get_weights())
    return flows


def random_seeds(n):
    return np.random.default_rng(2).integers(-(2**63), 2**63 - 1, (n, 2))


def answers(flow, signature):
    function, specs = Signatures(flow).functions()[signature]
    function = tf.function(function, input_signature=specs, autograph=False)
    return lambda **inputs: function(**{k: tf.constant(v) for k, v in inputs.items()})


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_estimates_are_unbiased_and_of_their_own_row(name):
    flow, exact = flows_of(name)
    x = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
    n = 2000
    inputs = {"x": np.repeat(x, n, axis=0), "seed": random_seeds(3 * n)}
    estimate = answers(flow, "log_prob_estimate")
    found = estimate(**inputs)["log_prob"].numpy()
    estimates = found.reshape(3, n)
    error = estimates.std(1) / math.sqrt(n)
    assert np.all(error > 1e-4)
    # Twelve terms leave a bias below 0.7**13 / 13 / 0.3 for each dimension and block.
    bias = 6 * 0.7**13 / 13 / 0.3 if name == "truncated" else 0
    np.testing.assert_array_less(np.abs(estimates.mean(1) - exact.log_prob(x)), 4 * error + bias)

    rows = np.random.default_rng(3).permutation(3 * n)[:50]
    part = estimate(**{key: value[rows] for key, value in inputs.items()})["log_prob"]
    np.testing.assert_allclose(part, found[rows], rtol=0, atol=1e-5)
    assert np.all(np.abs(np.corrcoef(estimates) - np.eye(3)) < 4.5 / math.sqrt(n))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["roulette", "rademacher"])
def test_log_prob_is_a_function_of_x(name):
    flow, _ = flows_of(name)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    log_prob = answers(flow, "log_prob")
    found = log_prob(x=x)["log_prob"].numpy()
    assert np.ptp(found) > 0.1
    for rows in ([4, 0, 2], [1]):
        np.testing.assert_allclose(log_prob(x=x[rows])["log_prob"], found[rows], rtol=0, atol=1e-5)
    zeros = answers(flow, "log_prob_estimate")(x=x, seed=np.zeros([5, 2], int))["log_prob"]
    np.testing.assert_allclose(zeros, found, rtol=0, atol=1e-5)
    drawn = answers(flow, "sample")(seed=random_seeds(5), temperature=np.ones(5, "float32"))
    again = log_prob(x=drawn["x"].numpy())["log_prob"]
    np.testing.assert_allclose(again, drawn["log_prob"], rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["roulette", "rademacher"])
def test_exports_have_both(name, tmp_path):
    flow, exact = flows_of(name)
    signatures = tf.saved_model.load(export.save(flow, tmp_path / "1")).signatures
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    live = Signatures(flow).functions()
    inputs = {"x": tf.constant(x), "seed": tf.constant(random_seeds(5))}
    expected = live["log_prob_estimate"][0](**inputs)["log_prob"]
    found = signatures["log_prob_estimate"](**inputs)["log_prob"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    expected = live["log_prob"][0](inputs["x"])["log_prob"]
    np.testing.assert_allclose(signatures["log_prob"](x=inputs["x"])["log_prob"], expected, 0, 1e-5)
    assert "log_prob_estimate" not in Signatures(exact).functions()


def test_bits_per_dim_with_learned_dequantisation():
    """Against the density of q, which goes the other way through its couplings."""
    noise = VariationalDequantizer(width=4, num_couplings=2)
    flow = tfflows.ImageRealNVP(
        (4, 4, 1), levels=1, width=4, num_blocks=1, num_bits=3, dequantizer=noise
    )
    flow.adapt(np.random.default_rng(0).integers(0, 8, (50, 4, 4, 1)))
    rng = np.random.default_rng(1)
    for weight in flow.trainable_variables:
        weight.assign(weight + rng.normal(0, 0.1, weight.shape))
    pixels, seed = rng.integers(0, 8, (6, 4, 4, 1)), random_seeds(6)
    found = answers(flow, "bits_per_dim")(pixels=pixels.astype("float32"), seed=seed)
    v = tf.reshape(counter.uniform(seed, 16), pixels.shape)
    x, _ = noise.dequantize_with(v, pixels, num_bits=3)
    log_q = noise.log_prob(x - pixels, pixels, num_bits=3)
    assert np.std(log_q) > 0.1
    expected = -(flow.log_prob(x) - log_q) / (16 * math.log(2))
    np.testing.assert_allclose(found["bits_per_dim"], expected, rtol=1e-5)
