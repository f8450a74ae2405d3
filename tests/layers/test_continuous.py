"""Continuous layers against closed forms, finite differences and the exact trace."""

import math

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import tensorflow as tf
from cases import max_difference, randomize

import tfflows
from tfflows.layers import Chain, ContinuousLayer, Costs, ExactTrace, Hutchinson, Pass
from tfflows.networks import TimeDependentConvNetwork, TimeDependentMLP
from tfflows.ode import DormandPrince, RungeKutta4

A = np.array([[0.3, -1.2, 0.1], [0.7, -0.5, 0.4], [-0.2, 0.6, 0.9]])


@keras.saving.register_keras_serializable(package="tests")
class Linear(keras.layers.Layer):
    """dz/dt = (1 + growth t) A z, whose flow is expm(A (T + growth T^2 / 2)) from 0 to T."""

    def __init__(self, growth=0.0, outputs=3, **kwargs):
        super().__init__(**kwargs)
        self.growth, self.outputs = growth, outputs

    def build(self, z_shape, context_shape=None):
        self.a = self.add_weight(shape=(self.outputs, 3), name="a", autocast=False)
        self.a.assign(A[: self.outputs])
        self.built = True

    def call(self, z, t, context=None):
        slope = tf.matmul(z, tf.convert_to_tensor(self.a), transpose_b=True)
        slope = (1 + self.growth * t) * slope
        return slope if context is None else slope + context

    def get_config(self):
        return {**super().get_config(), "growth": self.growth, "outputs": self.outputs}


def dormand_prince(tolerance, **settings):
    return DormandPrince(tolerance, tolerance, **settings)


def linear(growth=0.0, interval=(0.0, 1.0), dtype="float64", solver=None, **settings):
    solver = solver or dormand_prince(1e-8)
    return ContinuousLayer(Linear(growth, dtype=dtype), interval, solver, dtype=dtype, **settings)


def draw(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def graph(method):
    return tf.function(method, autograph=False)


def span_of(growth, interval):
    start, end = interval
    return end - start + growth * (end**2 - start**2) / 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("growth", "interval"), [(0.0, (0.0, 1.0)), (0.9, (-1.0, 0.4)), (0.9, (1.5, 0.7))]
)
@pytest.mark.parametrize("solver", [dormand_prince(1e-8), RungeKutta4(100)], ids=type)
def test_linear_equation_has_its_closed_form(growth, interval, solver):
    layer = linear(growth, interval, solver=solver)
    span = span_of(growth, interval)
    z = draw(4, 3)
    expected = z @ scipy.linalg.expm(A * span).T

    @graph
    def both(z, x):
        return *layer.forward_and_log_det(z), *layer.inverse_and_log_det(x)

    x, forward, back, inverse = both(z, expected)
    np.testing.assert_allclose(x, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(back, z, rtol=1e-6, atol=1e-6 * np.abs(z).max())
    np.testing.assert_allclose(forward, np.full(4, np.trace(A) * span), rtol=1e-6)
    np.testing.assert_allclose(inverse, np.full(4, -np.trace(A) * span), rtol=1e-6)


def finite_differences(loss, at, step=1e-5):
    """Central differences of a function of an array."""
    gradient = np.zeros_like(at)
    for i in np.ndindex(at.shape):
        change = np.zeros_like(at)
        change[i] = step
        gradient[i] = (loss(at + change) - loss(at - change)) / (2 * step)
    return gradient


def closed_nll(x, a, span):
    """Mean of -log N(expm(-A span) x; 0, I) + tr(A) span."""
    z = x @ scipy.linalg.expm(-a * span).T
    return np.mean(0.5 * np.sum(z**2, 1)) + 1.5 * math.log(2 * math.pi) + np.trace(a) * span


GRADIENT_SETTINGS = {"growth": 0.9, "interval": (1.0, 0.2), "solver": dormand_prince(1e-6)}
X = draw(5, 3, seed=1).numpy()
EXPECTED = finite_differences(lambda a: closed_nll(X, a, span_of(0.9, (1.0, 0.2))), A)


def assert_is_the_gradient(found):
    np.testing.assert_allclose(found, EXPECTED, rtol=0, atol=1e-4 * np.abs(EXPECTED).max())


def linear_flow():
    return tfflows.Flow(linear(**GRADIENT_SETTINGS), (3,), dtype="float64")


@pytest.mark.slow
def test_gradient_to_weights_in_eager_mode():
    flow = linear_flow()
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(flow.log_prob(X))
    assert_is_the_gradient(tape.gradient(loss, flow.trainable_variables)[0])


@pytest.mark.slow
def test_gradient_to_weights_in_fit():
    flow = linear_flow()
    flow.compile(keras.optimizers.SGD(1.0))
    flow.fit(X, batch_size=5, verbose=0)
    assert_is_the_gradient(A - flow.trainable_variables[0].numpy())


@pytest.mark.slow
def test_gradient_to_weights_after_a_saved_model_round_trip(tmp_path):
    flow = linear_flow()
    module = tf.Module()
    module.weights = [weight._value for weight in flow.trainable_variables]
    module.nll = tf.function(
        lambda x: -tf.reduce_mean(flow.log_prob(x)),
        input_signature=[tf.TensorSpec([None, 3], tf.float64)],
        autograph=False,
    )
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
    tf.saved_model.save(module, tmp_path, options=options)
    loaded = tf.saved_model.load(tmp_path)
    with tf.GradientTape() as tape:
        loss = loaded.nll(tf.constant(X))
    assert_is_the_gradient(tape.gradient(loss, loaded.weights)[0])


@pytest.mark.slow
def test_gradient_to_value_and_context():
    """z' = A z + c from 0 to 1 ends at expm(A) z + A^-1 (expm(A) - I) c."""
    layer = linear(solver=dormand_prince(1e-6))
    z, context, direction = draw(4, 3), draw(4, 3, seed=1), draw(4, 3, seed=2)
    with tf.GradientTape() as tape:
        tape.watch([z, context])
        x, _ = layer.forward_and_log_det(z, context)
        loss = tf.reduce_sum(direction * x)
    of_z, of_context = tape.gradient(loss, [z, context])
    flow = scipy.linalg.expm(A)
    of_source = np.linalg.inv(A) @ (flow - np.eye(3))
    np.testing.assert_allclose(x, z @ flow.T + context @ of_source.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_z, direction @ flow, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(of_context, direction @ of_source, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "shape"), [(TimeDependentMLP, (3,)), (TimeDependentConvNetwork, (4, 4, 2))]
)
def test_a_precise_chain_solves_in_float64(network, shape):
    """It is the layer in float64 with the same weights, whose results are rounded once."""

    def layer(dtype):
        function = network(shape[-1], hidden=(8,), dtype=dtype)
        made = ContinuousLayer(function, solver=RungeKutta4(3), trace=Hutchinson(), dtype=dtype)
        made.build((None, *shape), (None, 2))
        return made

    wide, narrow = layer("float64"), layer("float32")
    randomize(narrow)
    wide.set_weights(narrow.get_weights())
    chain = Chain([narrow], precise=True)
    chain.build((None, *shape), (None, 2))
    assert len(chain.weights) == len(wide.weights)
    value, context = tf.cast(draw(5, *shape), tf.float32), tf.cast(draw(5, 2, seed=1), tf.float32)

    def results(layer, direction):
        weights = [weight.value for weight in layer.trainable_weights]
        z, c = tf.cast(value, layer.dtype), tf.cast(context, layer.dtype)

        @graph
        def function():
            with tf.GradientTape() as tape:
                tape.watch([z, c])
                outputs = getattr(layer, direction)(z, c)
                loss = tf.reduce_sum(outputs[0] ** 2) + tf.reduce_sum(outputs[1])
            return [*outputs, *tape.gradient(loss, [z, c, *weights])]

        return function()

    for direction in ("forward_and_log_det", "inverse_and_log_det"):
        pairs = zip(results(chain, direction), results(wide, direction), strict=True)
        for found, expected in pairs:
            assert found.dtype == tf.float32
            assert max_difference(found, expected) <= 1e-7 * np.abs(expected).max()


def nonlinear(trace, seed=0, **settings):
    network = TimeDependentMLP(3, hidden=(8,), dtype="float64")
    layer = ContinuousLayer(
        network, solver=RungeKutta4(3), trace=trace, seed=seed, dtype="float64", **settings
    )
    layer.build((None, 3))
    randomize(layer)
    return layer


@pytest.mark.parametrize("trace", [Hutchinson(), Hutchinson("gaussian")], ids=str)
def test_hutchinsons_estimate_is_unbiased(trace):
    n = 1000
    z = tf.repeat(draw(1, 3), n, axis=0)
    costs = Costs(energies=True)
    x, estimates = nonlinear(trace).forward_pass(z, Pass(costs=costs))
    exact_x, exact = nonlinear(ExactTrace()).forward_pass(z[:1], Pass(costs=costs))
    np.testing.assert_allclose(x[0], exact_x[0], rtol=1e-12)
    for found, expected in [
        (estimates, exact),
        (costs.solves[0].jacobian_norm, costs.solves[1].jacobian_norm),
    ]:
        error = np.std(found) / math.sqrt(n)
        assert error > 1e-3 * abs(expected[0])
        assert abs(np.mean(found) - expected[0]) < 4 * error


def test_noise_is_drawn_once_a_solve():
    layer = linear(trace=Hutchinson(), solver=RungeKutta4(3))
    _, estimates = layer.forward_and_log_det(draw(50, 3))
    signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1)
    possible = np.einsum("is,ij,js->s", signs, A, signs)
    distance = np.abs(np.subtract.outer(estimates.numpy(), possible)).min(1)
    np.testing.assert_allclose(distance, np.zeros(50), atol=1e-12)
    assert len(np.unique(np.round(estimates, 6))) == 4  # the sign of all of e does not matter


@pytest.mark.slow
def test_seeds_decide_the_noise():
    layer, other, z = nonlinear(Hutchinson()), nonlinear(Hutchinson(), seed=1), draw(20, 3)
    estimate = graph(lambda layer, **keywords: layer.inverse_and_log_det(z, **keywords)[1])
    fixed = estimate(layer)
    np.testing.assert_array_equal(estimate(layer), fixed)
    assert max_difference(estimate(other), fixed) > 1e-2

    keras.utils.set_random_seed(5)
    first, second = estimate(layer, training=True), estimate(layer, training=True)
    assert max_difference(first, second) > 1e-2
    assert max_difference(first, fixed) > 1e-2

    for training in (False, True):
        seeded = layer.inverse_and_log_det(z, training=training, seed=7)[1]
        again = layer.inverse_and_log_det(z, training=training, seed=(7, 0))[1]
        np.testing.assert_array_equal(seeded, again)
        assert max_difference(seeded, fixed) > 1e-2


def test_replicas_and_steps_draw_different_noise_reproducibly(two_replicas):
    with two_replicas.scope():
        layer = nonlinear(ExactTrace(), training_trace=Hutchinson())
    z = draw(6, 3)
    keras.utils.set_random_seed(5)
    step = graph(lambda: layer.inverse_and_log_det(z, training=True)[1])
    runs = [two_replicas.experimental_local_results(two_replicas.run(step)) for _ in range(2)]
    draws = [draw.numpy() for run in runs for draw in run]
    assert min(max_difference(a, b) for i, a in enumerate(draws) for b in draws[:i]) > 1e-2


def ops_of(graph_def):
    """Names of all operations, also in functions and loops."""
    nodes = [*graph_def.node, *(n for f in graph_def.library.function for n in f.node_def)]
    return {node.op for node in nodes}


def test_graph_without_training_draws_no_stateful_noise():
    layer = linear(trace=Hutchinson())
    layer.build((None, 3))
    spec = tf.TensorSpec([None, 3], tf.float64)
    for training in (False, True):
        function = graph(lambda x, training=training: layer.inverse_and_log_det(x, None, training))
        ops = ops_of(function.get_concrete_function(spec).graph.as_graph_def())
        assert any(op.startswith("StatelessRandom") for op in ops)
        assert any(op.startswith("Random") for op in ops) == training


def test_training_trace_is_for_training_alone():
    layer, z = nonlinear(ExactTrace(), training_trace=Hutchinson()), draw(20, 3)
    exact = nonlinear(ExactTrace()).inverse_and_log_det(z)[1]
    np.testing.assert_array_equal(layer.inverse_and_log_det(z)[1], exact)
    assert max_difference(layer.inverse_and_log_det(z, training=True)[1], exact) > 1e-2


@pytest.mark.parametrize("solver", [dormand_prince(1e-4), RungeKutta4(5)], ids=type)
def test_recorded_evaluations_are_the_calls_of_the_network(solver, monkeypatch):
    layer, calls = linear(solver=solver), []
    call = Linear.call
    monkeypatch.setattr(Linear, "call", lambda *args, **k: [calls.append(1), call(*args, **k)][1])
    layer.build((None, 3))
    costs = Costs()
    layer.forward_pass(draw(2, 3), Pass(costs=costs))
    first = len(calls)
    layer.inverse_pass(draw(2, 3), Pass(costs=costs))
    assert [int(solve.num_evaluations) for solve in costs.solves] == [first, len(calls) - first]
    assert costs.solves[0].kinetic_energy is None


@pytest.mark.parametrize("interval", [(0.0, 1.0), (0.7, -0.3)])
def test_energies_are_integrals_along_the_path(interval):
    layer, z = linear(interval=interval, solver=RungeKutta4(20)), draw(4, 3)
    costs = Costs(energies=True)
    x, _ = layer.forward_pass(z, Pass(costs=costs))
    layer.inverse_pass(x, Pass(costs=costs))
    times = np.linspace(0, interval[1] - interval[0], 201)
    slopes = np.array([z @ scipy.linalg.expm(A * t).T @ A.T for t in times])
    kinetic = scipy.integrate.simpson(np.sum(slopes**2, -1), x=np.abs(times), axis=0)
    for solve in costs.solves:
        np.testing.assert_allclose(solve.kinetic_energy, kinetic, rtol=1e-5)
        np.testing.assert_allclose(solve.jacobian_norm, np.full(4, np.sum(A**2)), rtol=1e-5)


def test_values_without_log_dets_are_the_same():
    layer, z = nonlinear(ExactTrace()), draw(4, 3)
    x, _ = layer.forward_and_log_det(z)
    alone, log_det = layer.forward_pass(z, Pass(log_dets=False))
    np.testing.assert_allclose(alone, x, rtol=1e-12)
    np.testing.assert_array_equal(log_det, np.zeros(4))


@pytest.mark.parametrize("solver", [dormand_prince(1e-6), RungeKutta4(30)], ids=type)
def test_trajectory_is_the_path(solver):
    layer, z = linear(0.9, solver=solver), draw(4, 3)
    for times in ([0.1, 0.5, 0.8], [1.0, -0.2]):
        states = layer.trajectory(z, times)
        assert states.shape == (len(times), 4, 3)
        for state, t in zip(states, times, strict=True):
            expected = z @ scipy.linalg.expm(A * span_of(0.9, (times[0], t))).T
            np.testing.assert_allclose(state, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_solver_of_training_is_for_training():
    z = draw(4, 3)
    expected = z @ scipy.linalg.expm(A * span_of(0.9, (0.0, 1.0))).T
    errors, evaluations = {}, {}
    for training in (False, True):
        for rough in (None, 1e-2):
            own = None if rough is None else dormand_prince(rough)
            layer = linear(0.9, solver=dormand_prince(1e-8, training=own))
            adjoint = []
            costs = Costs(on_adjoint=lambda n, to=adjoint: to.append(int(n)))
            with tf.GradientTape() as tape:
                tape.watch(z)
                x, _ = layer.forward_pass(z, Pass(training=training, costs=costs))
            tape.gradient(x, z)
            errors[training, rough] = max_difference(x, expected)
            evaluations[training, rough] = (int(costs.solves[0].num_evaluations), *adjoint)
    assert evaluations[False, 1e-2] == evaluations[False, None] == evaluations[True, None]
    assert np.all(np.less(evaluations[True, 1e-2], evaluations[False, 1e-2]))
    assert max(errors[False, 1e-2], errors[True, None]) < 1e-6 < errors[True, 1e-2] < 1e-1


@pytest.mark.slow
def test_xla_computes_the_same():
    layer = linear(0.9, trace=Hutchinson(), solver=RungeKutta4(3))

    def value_and_gradient(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            x, log_det = layer.forward_and_log_det(z)
            loss = tf.reduce_sum(x**2) + tf.reduce_sum(log_det)
        return x, log_det, tape.gradient(loss, z)

    compiled = tf.function(value_and_gradient, jit_compile=True, autograph=False)(draw(4, 3))
    for found, expected in zip(compiled, value_and_gradient(draw(4, 3)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def stiff(**settings):
    layer = linear(**settings)
    layer.build((None, 3))
    layer.network.a.assign(-1e4 * np.eye(3))
    return layer


BAD_ARGUMENTS = {
    "empty_interval": ({"interval": (0.5, 0.5)}, ["length zero", "0.5"]),
    "endless_interval": ({"interval": (0, math.inf)}, ["two finite times", "inf"]),
    "three_times": ({"interval": (0, 1, 2)}, ["two finite times", "(0, 1, 2)"]),
    "solver": ({"solver": "rk4"}, ["solver is a tfflows.ode.Solver, such as", "'rk4'"]),
    "solver_class": ({"solver": RungeKutta4}, ["the class RungeKutta4", "RungeKutta4()"]),
    "solver_config": ({"solver": {"steps": 8}}, ["solver is a", "{'steps': 8}"]),
    "trace": ({"trace": "exact"}, ["trace is a tfflows.layers.Trace, such as", "'exact'"]),
    "training_trace": ({"training_trace": 3}, ["training_trace is a tfflows.layers.Trace", "3"]),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_named(name):
    settings, fragments = BAD_ARGUMENTS[name]
    with pytest.raises(ValueError, match=".") as error:
        linear(**settings)
    message = str(error.value)
    assert [fragment for fragment in fragments if fragment not in message] == [], message


def test_network_of_another_shape():
    layer = ContinuousLayer(Linear(outputs=2), name="c")
    with pytest.raises(
        ValueError, match=r"'c' expected .*\('batch', 3\), but found \('batch', 2\)"
    ):
        layer(np.ones([2, 3], "float32"))


def test_exact_trace_of_too_many_dimensions_is_refused_with_its_cost():
    network = TimeDependentMLP(784)
    for settings in ({}, {"trace": Hutchinson(), "training_trace": ExactTrace()}):
        with pytest.raises(
            ValueError, match=r"784 .* costs 784 evaluations .*trace=Hutchinson\(\)"
        ):
            ContinuousLayer(network, **settings).build((None, 784))
    ContinuousLayer(network, trace=Hutchinson("gaussian")).build((None, 784))


@pytest.mark.slow
def test_cap_on_evaluations():
    layer, z = stiff(solver=dormand_prince(1e-8, max_evaluations=50)), draw(2, 3)
    with pytest.raises(ValueError, match=r"its 50 evaluations of f .*stiff"):
        layer.forward_and_log_det(z)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"its 50 evaluations of f .*stiff"):
        graph(layer.forward_and_log_det)(z)
    layer.network.a.assign(np.full([3, 3], math.nan))
    with pytest.raises(ValueError, match="not finite"):
        layer.forward_and_log_det(z)


@pytest.mark.parametrize("times", [[0.0], [0.0, 0.0], [0.0, 1.0, 0.5]])
def test_times_that_neither_rise_nor_fall(times):
    with pytest.raises(ValueError, match="rising or falling"):
        linear().trajectory(draw(2, 3), times)
