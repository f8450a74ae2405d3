"""Second derivatives: right, or refused by name."""

import numpy as np
import pytest
import tensorflow as tf
from cases import LAYERS, SAME_GRAPHS, cases_of, randomize

import tfflows
from tfflows.layers import ContinuousLayer, ResidualBlock, Roulette, Truncated
from tfflows.layers.second_order import once_differentiable
from tfflows.networks import TimeDependentMLP
from tfflows.ode import RungeKutta4

# Whose gradients come from an equation of their own, in which direction.
REFUSED = {
    ContinuousLayer: ("forward", "inverse"),
    ResidualBlock: ("forward",),
}
EAGER, GRAPH = "eager", "graph"


def summed(method, context=None):
    """A number that depends on value and log-det of a direction."""

    def function(value):
        result, log_det = method(value, context)
        return tf.reduce_sum(tf.sin(result)) + tf.reduce_sum(log_det)

    return function


def first(function, value):
    with tf.GradientTape() as tape:
        tape.watch(value)
        result = function(value)
    return tape.gradient(result, value)


def second(function, value, direction, sources=()):
    """Gradients of the derivative along a direction, by value and by the sources."""
    with tf.GradientTape() as tape:
        tape.watch(value)
        along = tf.reduce_sum(first(function, value) * direction)
    return tape.gradient(along, [value, *sources], unconnected_gradients="zero")


def require_right(function, value, weights, mode):
    """Compare second derivatives with differences of first ones."""
    rng = np.random.default_rng(0)
    direction = tf.constant(rng.normal(size=value.shape))
    sources = [weight.value for weight in weights]
    call = second if mode == EAGER else tf.function(second, autograph=False)
    found, *mixed = call(function, value, direction, sources)
    step = 1e-5

    def along(sign):
        return first(function, value + sign * step * direction)

    expected = (along(1) - along(-1)) / (2 * step)
    scale = max(1, np.max(np.abs(expected)))
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)

    moves = [tf.constant(rng.normal(size=weight.shape)) for weight in weights]

    def moved(sign):
        for weight, move in zip(weights, moves, strict=True):
            weight.assign_add(sign * step * move)
        result = tf.reduce_sum(first(function, value) * direction)
        for weight, move in zip(weights, moves, strict=True):
            weight.assign_sub(sign * step * move)
        return result

    expected = (moved(1) - moved(-1)) / (2 * step)
    found = sum(tf.reduce_sum(m * v) for m, v in zip(mixed, moves, strict=True))
    assert float(found) == pytest.approx(float(expected), rel=1e-4, abs=1e-4)


# A layer of each kind in every run of the tests, all of them in the slow ones.
FAST = ("affine_context", "residual", "continuous", "sylvester_context")


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize(
    "name", cases_of(sorted({*LAYERS} - SAME_GRAPHS), slow={*LAYERS} - {*FAST})
)
def test_hessians_of_layers(name, direction):
    case = LAYERS[name]
    layer = case.build("float64")
    value, context = case.draw("z" if direction == "forward" else "x", layer, 2)
    function = summed(getattr(layer, f"{direction}_and_log_det"), context)
    if direction in REFUSED.get(type(layer), ()):
        with pytest.raises(ValueError, match=f"{type(layer).__name__} .*first derivatives only"):
            second(function, value, tf.ones_like(value))
    else:
        # A contraction's bound moves with its weights as far as a power iteration has come.
        weights = [] if isinstance(layer, ResidualBlock) else layer.trainable_weights
        require_right(function, value, weights, EAGER)


def flow_of(memory="store", evaluation=None):
    if evaluation is None:
        settings = {"num_couplings": 4, "activation": "tanh", "memory": memory}
        flow = tfflows.RealNVP((2,), hidden=(4,), dtype="float64", **settings)
    else:
        settings = {"num_blocks": 2, "evaluation": evaluation}
        flow = tfflows.ResidualFlow((2,), hidden=(4,), dtype="float64", **settings)
    randomize(flow.transform, 0.3)
    return flow


@pytest.mark.slow
@pytest.mark.parametrize("mode", [EAGER, GRAPH])
@pytest.mark.parametrize("memory", ["store", "checkpoint", "invert"])
def test_hessians_of_stacks_in_all_memory_modes(memory, mode):
    flow = flow_of(memory)
    x = tf.constant(np.random.default_rng(1).normal(size=(3, 2)))
    function = summed(flow.transform.inverse_and_log_det)
    require_right(function, x, flow.trainable_weights, mode)


@pytest.mark.parametrize("evaluation", [Truncated(4), Roulette(2)], ids=str)
def test_estimated_log_dets_have_first_derivatives_only(evaluation):
    flow = flow_of(evaluation=evaluation)
    x = tf.ones([2, 2], tf.float64)
    function = summed(flow.transform.inverse_and_log_det)
    with pytest.raises(ValueError, match="estimated log-det, has first derivatives only"):
        second(function, x, tf.ones_like(x))


@pytest.mark.slow
def test_graphs_refuse_what_is_used():
    network = TimeDependentMLP(2, hidden=(3,))
    layer = ContinuousLayer(network, (0.0, 1.0), solver=RungeKutta4(1))
    x = tf.ones([2, 2])
    function = summed(layer.inverse_and_log_det)
    # A tape that only sees a gradient asks for none.
    with tf.GradientTape() as tape:
        tape.watch(x)
        gradient = tf.function(first, autograph=False)(function, x)
    assert np.all(np.isfinite(gradient))
    with pytest.raises(tf.errors.InvalidArgumentError, match="first derivatives only"):
        tf.function(second, autograph=False)(function, x, tf.ones_like(x))


def test_a_graph_raises_and_xla_has_no_number():
    x = tf.constant([1.0, 2.0])
    cubes = lambda x: tf.reduce_sum(once_differentiable(lambda x: x**3, [x], "This map"))  # noqa: E731
    with pytest.raises(tf.errors.InvalidArgumentError, match="This map has first derivatives only"):
        tf.function(second, autograph=False)(cubes, x, tf.ones_like(x))
    hessian = tf.function(second, autograph=False, jit_compile=True)
    np.testing.assert_array_equal(hessian(cubes, x, tf.ones_like(x))[0], [np.nan, np.nan])
    np.testing.assert_allclose(first(cubes, x), 3 * x**2)


def test_forward_mode_is_refused():
    """A product with the Jacobian is a gradient's gradient, which is refused, and never 0."""
    x = tf.constant([1.0, 2.0])
    cubes = lambda x: once_differentiable(lambda x: x**3, [x], "This map")  # noqa: E731

    def products(function):
        with tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)) as accumulator:
            result = function(x)
        return accumulator.jvp(result)

    with pytest.raises((tf.errors.OpError, TypeError, ValueError)):
        products(cubes)
    with pytest.raises(tf.errors.InvalidArgumentError, match="This map has first derivatives only"):
        products(tf.function(cubes, autograph=False))
