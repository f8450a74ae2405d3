"""Stacks of equal layers compute what chains of them do, and save what they save."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import cases_of, max_difference, num_operations, randomize

import tfflows
from tfflows.bijectors import BijectorLayer
from tfflows.layers import (
    ActNorm,
    AffineCoupling,
    Autoregressive,
    Chain,
    ContinuousLayer,
    Conv1x1,
    LearnedPrior,
    Pass,
    ResidualBlock,
    Reverse,
    Scale,
    Squeeze,
    Stack,
)
from tfflows.networks import MLP, ConvNetwork, LipschitzNetwork, MaskedMLP, TimeDependentMLP
from tfflows.ode import DormandPrince
from tfflows.transformers import Affine

STEPS = 3


def coupling_step(dropout=0.0):
    network = MLP(4, (6,), "tanh", dropout)
    return Chain([AffineCoupling(network, "half"), Conv1x1(), ActNorm()])


def image_step():
    network = ConvNetwork(4, width=4, activation="tanh")
    return Chain([AffineCoupling(network, "half"), Reverse()])


def residual_step():
    return ResidualBlock(LipschitzNetwork((8,), coefficient=0.7))


def autoregressive_step():
    network = MaskedMLP(2, (6,), activation="tanh")
    return Chain([Autoregressive(Affine(1.0), network), Reverse()])


def continuous_step():
    solver = DormandPrince(1e-6, 1e-6)
    return ContinuousLayer(TimeDependentMLP(3, hidden=(4,)), (0.0, 0.5), solver=solver)


STEP_OF = {
    "coupling": (coupling_step, (4,), None),
    "context": (coupling_step, (4,), 2),
    "image": (image_step, (2, 3, 4), None),
    "residual": (residual_step, (3,), None),
    "residual_context": (residual_step, (3,), 2),
    "autoregressive": (autoregressive_step, (3,), None),
    "autoregressive_context": (autoregressive_step, (3,), 2),
    "continuous": (continuous_step, (3,), None),
}
# Relative: those of an adjoint equation have the tolerance of its solver, 1e-5, at each step.
GRADIENTS = {"continuous": 1e-4}
every_step = pytest.mark.parametrize("name", cases_of(STEP_OF, slow={"continuous"}))


def stack_and_chain(name, memory="store"):
    """A stack and a chain with the same weights, and x and a context for them."""
    make, shape, context_dim = STEP_OF[name]
    stack, chain = Stack(make(), STEPS, memory), Chain([make() for _ in range(STEPS)])
    context_shape = None if context_dim is None else (None, context_dim)
    for layer in (stack, chain):
        layer.build((None, *shape), context_shape)
    randomize(stack)
    for k, step in enumerate(chain.layers):
        for weight, values in zip(step.weights, stack.stacked, strict=True):
            weight.assign(values.numpy()[k])
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(5, *shape)), tf.float32)
    context = None if context_dim is None else tf.constant(rng.normal(size=(5, 2)), tf.float32)
    return stack, chain, x, context


def loss_and_gradients(layer, x, context, jit_compile=False, method="inverse_and_log_det"):
    sources = [x, *([] if context is None else [context])]
    sources += [weight.value for weight in layer.trainable_variables]

    @tf.function(autograph=False, jit_compile=jit_compile)
    def compute(x, *_):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            result, log_det = getattr(layer, method)(sources[0], context)
            loss = tf.reduce_sum(result**2) - tf.reduce_sum(log_det)
        return loss, tape.gradient(loss, sources)

    return compute(x)


@every_step
def test_both_directions_are_those_of_a_chain(name):
    stack, chain, x, context = stack_and_chain(name)
    for method in ("inverse_and_log_det", "forward_and_log_det"):
        expected = getattr(chain, method)(x, context)
        for call in (getattr(stack, method), tf.function(getattr(stack, method), autograph=False)):
            for found, value in zip(call(x, context), expected, strict=True):
                # The same operations, but for the solver of a residual block.
                tolerance = 1e-5 if name in ("residual", "residual_context", "continuous") else 1e-6
                np.testing.assert_allclose(found, value, rtol=tolerance, atol=tolerance)


MODES = ["store", "checkpoint", "invert"]
# Of a solver's gradients, which take half a minute, one mode; those of samples are tested below.
CASES = [(name, mode) for name in STEP_OF for mode in MODES if name != "continuous"]
CASES.append(("continuous", "invert"))


@pytest.mark.slow
@pytest.mark.parametrize("name, memory", CASES)
def test_gradients_are_those_of_a_chain(name, memory):
    stack, chain, x, context = stack_and_chain(name, memory)
    # An inverted activation has the rounding of a round trip.
    tolerance = max(GRADIENTS.get(name, 1e-5), 1e-4 if memory == "invert" else 0)
    check_gradients(stack, chain, x, context, tolerance)


@pytest.mark.slow
@every_step
def test_gradients_of_samples_are_those_of_a_chain(name):
    # Steps that solve for their results have gradients of their own.
    stack, chain, x, context = stack_and_chain(name)
    tolerance = GRADIENTS.get(name, 1e-5)
    check_gradients(stack, chain, x, context, tolerance, method="forward_and_log_det")


def check_gradients(stack, chain, x, context, tolerance, **settings):
    loss, gradients = loss_and_gradients(stack, x, context, **settings)
    expected_loss, expected = loss_and_gradients(chain, x, context, **settings)
    assert float(loss) == pytest.approx(float(expected_loss), rel=1e-6)
    inputs = 1 if context is None else 2
    per_step = (len(expected) - inputs) // STEPS
    stacked = [tf.stack(expected[inputs + i :: per_step][:STEPS]) for i in range(per_step)]
    for found, wanted in zip(gradients, [*expected[:inputs], *stacked], strict=True):
        assert max_difference(found, wanted) <= tolerance * float(tf.reduce_max(tf.abs(wanted)))


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["store", "checkpoint", "invert"])
def test_xla_compiles_the_loop_and_its_gradient(memory):
    stack, _, x, context = stack_and_chain("coupling", memory)
    loss, gradients = loss_and_gradients(stack, x, context)
    found_loss, found = loss_and_gradients(stack, x, context, jit_compile=True)
    assert float(found_loss) == pytest.approx(float(loss), rel=1e-5)
    for a, b in zip(found, gradients, strict=True):
        assert max_difference(a, b) <= 1e-4 * float(tf.reduce_max(tf.abs(b)))


def test_a_trace_does_not_grow_with_the_steps():
    def operations(n):
        stack = Stack(coupling_step(), n)
        stack.build((None, 4))
        return num_operations(stack.inverse_and_log_det, tf.ones([2, 4]))

    assert operations(12) == operations(3)


# The file of a conditional flow has no other names.
@pytest.mark.parametrize(
    "name",
    cases_of([name for name, step in STEP_OF.items() if step[2] is None], slow={"continuous"}),
)
def test_weights_in_files_are_those_of_a_chain(name, tmp_path):
    def flow_of(layers, shape):
        return tfflows.Flow(Chain([LearnedPrior(), *layers, Scale()]), event_shape=shape)

    make, shape, _ = STEP_OF[name]
    stacked = flow_of([Stack(make(), STEPS)], shape)
    parts = [getattr(layer, "layers", [layer]) for layer in (make() for _ in range(STEPS))]
    chained = flow_of([layer for part in parts for layer in part], shape)
    randomize(chained)
    x = np.random.default_rng(0).normal(size=(5, *shape)).astype("float32")
    chained.save_weights(tmp_path / "chained.weights.h5")
    stacked.load_weights(tmp_path / "chained.weights.h5")
    np.testing.assert_allclose(stacked.log_prob(x), chained.log_prob(x), rtol=1e-5)

    randomize(stacked, seed=2)
    assert max_difference(stacked.log_prob(x), chained.log_prob(x)) > 1e-2
    stacked.save_weights(tmp_path / "stacked.weights.h5")
    chained.load_weights(tmp_path / "stacked.weights.h5")
    np.testing.assert_allclose(stacked.log_prob(x), chained.log_prob(x), rtol=1e-5)

    stacked.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras")
    np.testing.assert_array_equal(loaded.log_prob(x), stacked.log_prob(x))


def test_steps_start_differently():
    stack = Stack(coupling_step(), STEPS)
    stack.build((None, 4))
    kernel = stack.steps[0].layers[0].conditioner.hidden_0.kernel.numpy()
    assert kernel.shape == (2, 6)
    assert max_difference(kernel, stack.steps[1].layers[0].conditioner.hidden_0.kernel) > 1e-2
    matrices = [step.layers[1].matrix() for step in stack.steps]
    assert max_difference(matrices[0], matrices[1]) > 1e-2
    np.testing.assert_allclose(matrices[0] @ matrices[0].T, np.eye(4), atol=1e-5)


def test_adapt_sets_one_step_after_the_other():
    stack, chain, x, _ = stack_and_chain("coupling")
    for layer in (stack, chain):
        for weight in layer.weights:
            if weight.name == "adapted":
                weight.assign(tf.zeros_like(weight.value))
    assert stack.needs_adapt
    z = stack.adapt(3 * x + 2)
    np.testing.assert_allclose(z, chain.adapt(3 * x + 2), rtol=1e-5, atol=1e-5)
    assert not stack.needs_adapt
    for k, step in enumerate(stack.steps):
        expected = chain.layers[k].layers[2]
        np.testing.assert_allclose(step.layers[2].shift, expected.shift, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(step.layers[2].log_scale, expected.log_scale, atol=1e-5)


def test_training_keeps_the_state_of_each_step():
    """The vectors of power iterations, which only training moves on."""
    stack, chain, x, _ = stack_and_chain("residual")
    (place,) = [i for i, w in enumerate(stack.stacked) if w.name == "singular_vector"][:1]
    before = stack.stacked[place].numpy()
    stack.inverse_and_log_det(x)
    np.testing.assert_array_equal(stack.stacked[place], before)
    tf.function(stack.inverse_and_log_det, autograph=False)(x, training=True)
    chain.inverse_and_log_det(x, training=True)
    assert max_difference(stack.stacked[place], before) > 1e-3
    for k, block in enumerate(chain.layers):
        expected = block.network.layers[0].singular_vector
        np.testing.assert_allclose(stack.stacked[place].numpy()[k], expected, atol=1e-5)


def test_a_step_moves_its_own_state_alone():
    stack, chain, _, _ = stack_and_chain("residual")
    (place,) = [i for i, w in enumerate(stack.stacked) if w.name == "singular_vector"][:1]
    before = stack.stacked[place].numpy()
    for layer in (stack.steps[0], chain.layers[0]):
        layer.network.parameters(training=True)
    after = stack.stacked[place].numpy()
    assert max_difference(after[0], before[0]) > 1e-3
    np.testing.assert_allclose(after[0], chain.layers[0].network.layers[0].singular_vector)
    np.testing.assert_array_equal(after[1:], before[1:])


def test_a_setting_of_one_step_is_refused():
    stack = Stack(residual_step(), STEPS)
    with pytest.raises(AttributeError, match=r"Step 1 of Stack .* tolerance .* stack.template"):
        stack.steps[1].tolerance = 1e-3
    stack.template().tolerance = 1e-3
    assert [step.tolerance for step in stack.steps] == [1e-3] * STEPS


def test_dropout_is_new_in_each_step_and_pass():
    stack = Stack(Scaled(), 2)
    stack.build((None, 50))
    run = tf.function(lambda: stack.forward_and_log_det(tf.ones([1, 50]), training=True)[0])
    # A step multiplies by 0 or 2. Were their draws equal, half of the dimensions would be left.
    first, second = run().numpy(), run().numpy()
    assert set(np.unique(first)) == {0.0, 4.0} and 2 < np.count_nonzero(first) < 20
    assert np.any(first != second)


def test_dropout_is_new_in_each_step_of_a_stack_in_a_stack():
    stack = Stack(Chain([Stack(Scaled(), 2)]), 2)
    stack.build((None, 1000))
    run = tf.function(lambda: stack.forward_and_log_det(tf.ones([1, 1000]), training=True)[0])
    first, second = run().numpy(), run().numpy()
    # Of four draws that differ one in 16 dimensions is left, and one in 8 if two were equal.
    assert set(np.unique(first)) == {0.0, 16.0} and 30 < np.count_nonzero(first) < 95
    assert np.any(first != second)


@keras.saving.register_keras_serializable(package="tests")
class Scaled(tfflows.layers.InvertibleLayer):
    """Dropout, which is no invertible map: what is dropped shows."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = keras.layers.Dropout(0.5)

    def _forward(self, z, call):
        return self.dropout(z, training=call.training), tf.zeros([1])


def test_constants_are_written_out():
    stack, chain, x, _ = stack_and_chain("coupling")
    call = Pass(constants=True)
    graph = tf.function(lambda z: stack.forward_pass(z, call), autograph=False)
    concrete = graph.get_concrete_function(x)
    kinds = {operation.type for operation in concrete.graph.get_operations()}
    assert not kinds & {"While", "StatelessWhile", "MatrixTriangularSolve", "ReadVariableOp"}
    expected, _ = chain.forward_and_log_det(x)
    np.testing.assert_allclose(concrete(x)[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_fit_trains_a_stack_on_two_replicas_as_on_one(two_replicas):
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32") @ np.triu(np.ones([4, 4]))

    def fitted(scope):
        keras.utils.set_random_seed(3)
        with scope:
            stack = Stack(Chain([AffineCoupling(MLP(4, (8,), "tanh"), "half"), ActNorm()]), 3)
            flow = tfflows.Flow(stack, event_shape=(4,))
            flow.compile(keras.optimizers.SGD(0.05))
        history = flow.fit(x.astype("float32"), batch_size=32, epochs=4, shuffle=False, verbose=0)
        return history.history["nll"], [weight.numpy() for weight in flow.trainable_weights]

    one, weights = fitted(tf.distribute.get_strategy().scope())
    two, others = fitted(two_replicas.scope())
    assert one[-1] < one[0] - 0.05
    np.testing.assert_allclose(two, one, rtol=1e-5)
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


BAD = {
    "no layer": (lambda: Stack(keras.layers.Dense(2), 2), "takes an InvertibleLayer, but found"),
    "no steps": (lambda: Stack(Reverse(), 0), "n of at least 1, but found 0"),
    "memory": (lambda: Stack(Reverse(), 2, "keep"), "memory must be one of"),
    "a chain's own mode": (
        lambda: Stack(Chain([Reverse()], memory="invert"), 2),
        "takes the memory mode of its steps .* give it to the Stack",
    ),
    "dtype": (lambda: Stack(Reverse(dtype="float64"), 2), "float32, but its layer .* float64"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_refused(name):
    make, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        make()


def test_a_layer_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match=r"keep the shape .* maps \(2, 2, 4\) to \(4, 4, 1\)"):
        Stack(Squeeze(), 2).build((None, 2, 2, 4))


def test_variables_that_cannot_be_stacked_are_refused():
    layer = BijectorLayer(lambda shape: tfp.bijectors.Scale(tf.Variable(tf.ones(shape))))
    with pytest.raises(ValueError, match="Stack cannot replace .* BijectorLayers into a Chain"):
        Stack(layer, 2).build((None, 3))


def test_a_built_layer_is_refused():
    layer = Scale()
    layer.build((None, 2))
    with pytest.raises(ValueError, match="not built yet, which it builds 3 times"):
        Stack(layer, 3)
