"""Properties of the density and the sampler of every flow, over the registry in `cases.py`."""

import math

import numpy as np
import pytest
import tensorflow as tf
from cases import (
    ERRORS,
    FLOWS,
    build_flow,
    cases_of,
    context_matrix,
    draw_context,
    draw_data,
    draw_points,
    max_difference,
)

import tfflows

every_flow = pytest.mark.parametrize("name", cases_of(FLOWS))


def test_every_flow_that_is_known_has_a_case():
    assert set(tfflows.flows.FLOWS.values()) == {type(build_flow(name)) for name in FLOWS}


@every_flow
def test_log_prob_is_base_plus_log_det_of_the_jacobian_of_encode(name):
    flow = build_flow(name, "float64")
    x, context = draw_points(flow, 4), draw_context(flow, 4)
    size = math.prod(flow.event_shape)
    flat = tf.constant(x.reshape(-1, size))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(flat)
        z = tf.reshape(flow.encode(tf.reshape(flat, x.shape), context), [-1, size])
    jacobian = tape.batch_jacobian(z, flat, experimental_use_pfor=False)
    z = z.numpy()
    log_base = {
        "Normal": -0.5 * z**2 - 0.5 * math.log(2 * math.pi),
        "Logistic": -z - 2 * np.log1p(np.exp(-z)),
    }[type(flow.base_layer).__name__].sum(1)
    expected = log_base + np.linalg.slogdet(jacobian)[1]
    assert max_difference(flow.log_prob(x, context), expected) < ERRORS.get(name, 1e-9)


@every_flow
def test_encode_and_decode_are_inverse(name):
    flow = build_flow(name)
    x, context = draw_points(flow, 9), draw_context(flow, 9)
    z = flow.encode(x, context)
    assert z.shape == (9, *flow.transform.latent_shape)
    error = ERRORS.get(name, 1e-5)
    assert max_difference(flow.decode(z, context), x) < error * max(1, np.abs(x).max())


TWO_DIMENSIONAL = [
    *("nice_normal", "nice_image"),
    *("realnvp", "realnvp_logistic", "realnvp_image", "realnvp_context", "residual_flow"),
]


@pytest.mark.parametrize("name", TWO_DIMENSIONAL)
def test_two_dimensional_densities_integrate_to_one(name):
    flow = build_flow(name)
    one = draw_context(flow, 1)
    context = None if one is None else one[0]
    # A grid of midpoints that holds nearly all the mass: where many samples lie, and a margin.
    samples = flow.sample(20000, seed=0, context=context).numpy().reshape(-1, 2)
    low, high = samples.min(0), samples.max(0)
    low, high = low - 0.2 * (high - low), high + 0.2 * (high - low)
    if name == "realnvp_image":  # the logit's support ends within the margin
        low, high = np.full(2, -16 * 0.05 / 0.9), np.full(2, 16 + 16 * 0.05 / 0.9)
    n = 600
    axes = (low + (high - low) * (np.arange(n)[:, np.newaxis] + 0.5) / n).T
    x = np.stack(np.meshgrid(*axes), -1).reshape(-1, *flow.event_shape).astype("float32")
    context = None if one is None else np.repeat(one, len(x), axis=0)
    density = np.exp(flow.log_prob(x, context).numpy().astype("float64"))
    assert np.mean(density) * np.prod(high - low) == pytest.approx(1, abs=3e-3)


@every_flow
def test_samples_follow_log_prob(name):
    """E[q(x) / p(x)] = 1 over samples x of p, for a density q narrower than p."""
    n = 4000
    flow = build_flow(name)
    context = draw_context(flow, 1)
    context = None if context is None else np.repeat(context, n, axis=0)
    x = flow.sample(n, seed=3, context=context)
    assert x.shape == (n, *flow.event_shape)
    z = flow.encode(x, context).numpy()
    assert max_difference(z.mean(0), 0) < 5 * z.std() / math.sqrt(n)
    # q: x = decode(z), but with z ~ N(0, 0.8^2) instead of the base.
    q = tf.reduce_sum(-0.5 * (z / 0.8) ** 2 - math.log(0.8 * math.sqrt(2 * math.pi)), 1)
    z = tf.constant(z)
    _, log_det = flow.transform.forward_and_log_det(z, flow.layer_context(context, z))
    ratio = np.exp(q - log_det - flow.log_prob(x, context))
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(n)


@every_flow
def test_distribution_agrees(name):
    flow = build_flow(name)
    x, context = draw_points(flow, 5), draw_context(flow, 5)
    keywords = {}
    if context is not None:
        keywords["bijector_kwargs"] = {"context": context_matrix(flow, context)}
    log_prob = flow.distribution.log_prob(x, **keywords)
    np.testing.assert_allclose(log_prob, flow.log_prob(x, context), rtol=1e-5, atol=1e-5)
    assert flow.distribution.event_shape == flow.event_shape
    sample = flow.distribution.sample(5, seed=1, **keywords)
    assert sample.shape == (5, *flow.event_shape)
    assert np.all(np.isfinite(flow.log_prob(sample, context)))


@pytest.mark.parametrize("name", ["nice", "nice_image_classes", "realnvp_image", "generic"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_log_prob_and_sample_agree_with_eager(name, jit_compile):
    flow = build_flow(name)
    x, context = draw_points(flow, 7), draw_context(flow, 7)

    @tf.function(jit_compile=jit_compile)
    def compiled(x, context):
        return flow.log_prob(x, context), flow.sample(7, 0.7, seed=5, context=context)

    log_prob, sample = compiled(x, context)
    np.testing.assert_allclose(log_prob, flow.log_prob(x, context), rtol=1e-4, atol=1e-4)
    eager = flow.sample(7, 0.7, seed=5, context=context)
    np.testing.assert_allclose(sample, eager, rtol=1e-4, atol=1e-4 * np.abs(eager).max())


@every_flow
def test_log_prob_of_unknown_batch_size(name):
    flow = build_flow(name)
    x, context = draw_data(flow, 7), draw_context(flow, 7)
    arguments = [x] if context is None else [x, context]
    spec = [tf.TensorSpec([None, *value.shape[1:]], value.dtype) for value in arguments]
    graph = tf.function(
        lambda *args: flow.log_prob(*args, seed=2), input_signature=spec, autograph=False
    )
    assert graph.get_concrete_function().output_shapes == tf.TensorShape([None])
    expected = flow.log_prob(*arguments, seed=2)
    np.testing.assert_allclose(graph(*arguments), expected, rtol=1e-4, atol=1e-4)
    assert graph(*[value[:1] for value in arguments]).shape == (1,)


@every_flow
@pytest.mark.parametrize("direction", ["log_prob", "sample"])
def test_every_weight_gets_a_gradient(name, direction):
    flow = build_flow(name)
    x, context = draw_points(flow, 16), draw_context(flow, 16)
    with tf.GradientTape() as tape:
        if direction == "log_prob":
            loss = tf.reduce_mean(flow.log_prob(x, context))
        else:
            loss = tf.reduce_mean(flow.sample(16, seed=0, context=context) ** 2)
    weights = flow.trainable_weights
    assert weights
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None, weight.path
        assert np.all(np.isfinite(gradient)), weight.path
        assert np.any(gradient), weight.path


@pytest.mark.parametrize("scale", [10.0, 1000.0])
@pytest.mark.parametrize("name", ["nice", "realnvp", "generic"])
def test_log_prob_is_finite_far_out(name, scale):
    flow = build_flow(name)
    assert np.all(np.isfinite(flow.log_prob(scale * draw_points(flow, 9))))


@pytest.mark.parametrize("name", ["nice_image", "realnvp_image"])
def test_log_prob_is_finite_for_black_and_white(name):
    flow = build_flow(name)
    x = np.array([0, 15], "uint8")[:, None, None, None] * np.ones([1, *flow.event_shape], "uint8")
    assert np.all(np.isfinite(flow.log_prob(x, seed=0)))


def test_float64_flow_computes_in_float64():
    flow = build_flow("realnvp", "float64")
    x = draw_points(flow, 5)
    z = flow.encode(x)
    assert (x.dtype, z.dtype, flow.log_prob(x).dtype) == ("float64", tf.float64, tf.float64)
    assert flow.sample(2, seed=0).dtype == tf.float64
    assert max_difference(flow.decode(z), x) < 1e-10
