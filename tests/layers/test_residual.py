"""Residual blocks: estimators of the log-det, the inverse and its gradient, bad input."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import max_difference, randomize

from tfflows.layers import ActNorm, Chain, Exact, Rescaling, ResidualBlock, Roulette, Truncated
from tfflows.layers.log_det import exact_log_det, series_log_det
from tfflows.networks import LipschitzNetwork

SHAPES = {"D=2": (2,), "D=8": (8,), "4x4x3": (4, 4, 3)}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def stretching_block(shape, coefficient, dtype="float64", activation="elu", **settings):
    """A block with eigenvalues near -c: the network's matrices fit, and its slopes are near 1."""
    rng = np.random.default_rng(0)
    size = shape[-1]
    sizes = None if len(shape) == 1 else [1, 3]
    network = LipschitzNetwork((size,), sizes, activation, coefficient, tolerance=1e-6, dtype=dtype)
    network.build((None, *shape), (None, 1))
    first, last = network.layers
    rotation = np.linalg.qr(rng.normal(size=(size, size)))[0]
    first.kernel.assign(np.reshape(rotation, first.kernel.shape) * 2)
    kernel = 0.1 * rng.normal(size=last.kernel.shape)
    center = kernel if sizes is None else kernel[1, 1]
    center -= 2 * rotation.T
    last.kernel.assign(kernel)
    first.bias.assign(rng.uniform(0.0, 1.0, size))
    last.bias.assign(rng.normal(size=size))
    layer = ResidualBlock(network, dtype=dtype, **settings)
    layer.build((None, *shape), (None, 1))
    return layer


def draw(shape, n, dtype="float64", seed=1):
    """x and a context."""
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=(n, *shape)), dtype), tf.constant(rng.normal(size=(n, 1)))


def jacobian(layer, x, context):
    """That of g at one x, by autodiff."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = layer.network(x, context)
    size = math.prod(layer.latent_shape)
    return tf.reshape(tape.jacobian(y, x, experimental_use_pfor=False), [size, size]).numpy()


def draws_of(layer, x, context, estimator):
    """Independent estimates of the log-det at one x, and of two of its derivatives, `[3, draws]`.

    The derivatives are those along the context, which moves the first bias, and along all of x.
    """
    parameters = layer.network.parameters()
    n = estimator.samples

    @tf.function(autograph=False)
    def run():
        signs, tails = estimator.draw(x)
        shifts, moves = tf.repeat(context, n, axis=0), tf.zeros([n, *x.shape[1:]], x.dtype)
        with tf.GradientTape() as tape:
            tape.watch([shifts, moves])
            g = lambda x, _: layer.network.function(parameters)(x + moves, shifts)  # noqa: E731
            _, log_dets = series_log_det(g, x, estimator, signs, tails)
        along_context, along_x = tape.gradient(log_dets, [shifts, moves])
        along_x = tf.reduce_sum(along_x, list(range(1, x.shape.rank)))
        return tf.stack([log_dets[:, 0], along_context[:, 0], along_x])

    return run().numpy()


def exact_values(layer, x, context, of_jacobian):
    """A function of the Jacobian, and its derivatives as above by finite differences."""

    def value(shift, move):
        return of_jacobian(jacobian(layer, x + move, context + shift))

    step = 1e-5
    along_context = (value(step, 0.0) - value(-step, 0.0)) / (2 * step)
    along_x = (value(0.0, step) - value(0.0, -step)) / (2 * step)
    return np.array([value(0.0, 0.0), along_context, along_x])


def log_det_of(matrix):
    return np.linalg.slogdet(np.eye(len(matrix)) + matrix)[1]


def series_of(matrix, terms):
    powers = [np.linalg.matrix_power(matrix, k) for k in range(1, terms + 1)]
    return sum((-1) ** k / (k + 1) * np.trace(power) for k, power in enumerate(powers))


def standard_errors_off(found, expected):
    """Distance of the means from what is expected, in their standard errors."""
    return np.abs(found.mean(1) - expected) / (found.std(1, ddof=1) / math.sqrt(found.shape[1]))


@pytest.mark.slow
@every_shape
def test_roulette_is_unbiased_and_so_is_its_gradient(shape):
    layer = stretching_block(shape, 0.65)
    x, context = draw(shape, 1)
    keras.utils.set_random_seed(1)
    found = draws_of(layer, x, context, Roulette(terms=2, samples=4000))
    expected = exact_values(layer, x, context, log_det_of)
    assert np.all(standard_errors_off(found, expected) < 4)
    # The errors are small beside what a wrong series would be off by.
    wrong = exact_values(layer, x, context, lambda matrix: series_of(matrix, 2))
    assert np.sum(standard_errors_off(found, wrong) > 4) >= 2


@pytest.mark.slow
@every_shape
def test_truncated_series_has_the_bias_of_its_terms(shape):
    layer = stretching_block(shape, 0.65)
    x, context = draw(shape, 1)
    keras.utils.set_random_seed(2)
    estimator = Truncated(terms=3, samples=4000)
    found = draws_of(layer, x, context, estimator)
    truncated = exact_values(layer, x, context, lambda matrix: series_of(matrix, 3))
    exact = exact_values(layer, x, context, log_det_of)
    assert np.all(standard_errors_off(found, truncated) < 4)
    assert standard_errors_off(found, exact)[0] > 10
    assert abs(truncated[0] - exact[0]) < estimator.bias_bound(math.prod(shape), 0.65)


@pytest.mark.slow
@every_shape
def test_exact_log_det_and_its_gradient(shape):
    layer = stretching_block(shape, 0.9)
    x, context = draw(shape, 1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, context])
        log_det = layer.inverse_and_log_det(x, context)[1]
    found = [log_det[0], tape.gradient(log_det, context)[0, 0]]
    found.append(tf.reduce_sum(tape.gradient(log_det, x)))
    expected = exact_values(layer, x, context, log_det_of)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)


def test_gradient_of_the_weights_is_in_the_mean_that_of_the_exact_log_det():
    layer = stretching_block((3,), 0.65)
    x, context = draw((3,), 1)
    weights = [weight._value for weight in layer.network.trainable_weights]
    samples = 300

    def gradient(estimator):
        layer.estimator = estimator
        with tf.GradientTape() as tape:
            log_det = layer.inverse_and_log_det(x, context, training=True)[1]
        found = tape.gradient(log_det, weights, unconnected_gradients="zero")
        return tf.concat([tf.reshape(g, [-1]) for g in found], 0)

    expected = gradient(Exact())
    run = tf.function(lambda: gradient(Roulette(terms=4, samples=40)), autograph=False)
    keras.utils.set_random_seed(3)
    found = np.stack([run().numpy() for _ in range(samples)], 1)
    moving = found.std(1) > 0
    assert np.sum(moving) > 15
    # Some twenty numbers: one of them may be off by a little more than four errors.
    assert np.all(standard_errors_off(found[moving], expected.numpy()[moving]) < 4.5)
    np.testing.assert_allclose(found[~moving].mean(1), expected.numpy()[~moving], atol=1e-9)


def test_samples_are_averaged():
    layer = stretching_block((3,), 0.6, evaluation=Roulette(2, 7), seed=5)
    x, context = draw((3,), 4)
    signs, tails = layer.evaluation.draw_constants(x, 5)
    g = layer._residual(layer.network.parameters(), context, x.dtype)
    _, log_dets = series_log_det(g, x, layer.evaluation, signs, tails)
    assert log_dets.shape == (7, 4)
    # Each sample alone, with its own signs and tail.
    for i in range(7):
        alone = Roulette(2)
        _, log_det = series_log_det(g, x, alone, signs[i : i + 1], tails[i : i + 1])
        np.testing.assert_allclose(log_det[0], log_dets[i], rtol=1e-10)
    found = layer.inverse_and_log_det(x, context)[1]
    np.testing.assert_allclose(found, np.mean(log_dets, 0), rtol=1e-10)


def test_tails_are_geometric():
    estimator = Roulette(samples=40000, tail=2.0)
    for seed in (None, 0):
        keras.utils.set_random_seed(0)
        _, tails = estimator.draw_constants(tf.zeros([1, 1]), seed)
        for j in range(6):
            expected = (2 / 3) ** j
            error = math.sqrt(expected * (1 - expected) / 40000)
            assert abs(np.mean(tails.numpy() >= j) - expected) <= 4 * error


@pytest.mark.parametrize("evaluation", [Truncated(terms=2), Roulette()], ids=str)
def test_evaluation_is_a_function_of_x(evaluation):
    layer = stretching_block((8,), 0.6, evaluation=evaluation, seed=1)
    x, context = draw((8,), 5)
    z, log_det = layer.inverse_and_log_det(x, context)
    order = [3, 0, 4]
    again = layer.inverse_and_log_det(tf.gather(x, order), tf.gather(context, order))[1]
    np.testing.assert_allclose(again, tf.gather(log_det, order), rtol=1e-12)
    _, forward = layer.forward_and_log_det(z, context)
    np.testing.assert_allclose(forward, -log_det, atol=1e-9)
    layer.seed = 2
    assert max_difference(layer.inverse_and_log_det(x, context)[1], log_det) > 1e-3


def test_training_draws_anew_and_follows_the_global_seed():
    layer = stretching_block((3,), 0.6)
    x, context = draw((3,), 5)
    run = tf.function(lambda: layer.inverse_and_log_det(x, context, True)[1], autograph=False)
    keras.utils.set_random_seed(7)
    first, second = run().numpy(), run().numpy()
    assert max_difference(first, second) > 1e-3
    run = tf.function(run.python_function, autograph=False)
    keras.utils.set_random_seed(7)
    np.testing.assert_allclose(run(), first, rtol=1e-9)
    # Examples have signs of their own: equal ones get different log-dets.
    x = tf.tile(x[:1], [5, 1])
    assert np.std(layer.inverse_and_log_det(x, context * 0, True)[1]) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "coefficient", "error"),
    [
        ("float32", 0.9, 1e-5),
        # Near the limit, 1 / (1 - c) times the rounding of z; in float32 alone it is 8e-5.
        ("float32", 0.97, 1e-5),
        ("float64", 0.9, 1e-12),
        ("float64", 0.97, 1e-11),
    ],
)
@pytest.mark.parametrize("shape", [(8,), (4, 4, 3)], ids=["8", "4x4x3"])
def test_inverse_is_exact(shape, dtype, coefficient, error):
    layer = stretching_block(shape, coefficient, dtype)
    x, context = draw(shape, 20, dtype)
    context = tf.cast(context, dtype)
    radius = max(abs(np.linalg.eigvals(jacobian(layer, x[:1], context[:1]))))
    assert radius > 0.85 * coefficient  # a slow iteration
    layer.evaluation = Truncated(terms=2)
    inverse = tf.function(layer.inverse_and_log_det, autograph=False)
    forward = tf.function(layer.forward_and_log_det, autograph=False)
    z, _ = inverse(x, context)
    found, _ = forward(z, context)
    assert max_difference(found, x) <= error
    assert max_difference(inverse(found, context)[0], z) <= 0.2 * error


def widened(values):
    return tf.nest.map_structure(lambda value: tf.cast(value, tf.float64), values)


def test_a_precise_chain_hands_on_float64():
    chain, twin = (
        Chain(
            [
                stretching_block((8,), 0.5, dtype),
                Rescaling(1.0, 300.0, dtype=dtype),  # where float32 has few digits
                ActNorm(dtype=dtype),
                Rescaling(1.0, -300.0, dtype=dtype),
                stretching_block((8,), 0.5, dtype),
            ],
            dtype=dtype,
        )
        for dtype in ("float32", "float64")
    )
    chain.build((None, 8), (None, 1))
    twin.build((None, 8), (None, 1))
    randomize(chain.layers[2])
    twin.set_weights(chain.get_weights())
    x, context = draw((8,), 20, "float32")
    narrow = tf.cast(context, tf.float32)
    errors = []
    for chain.precise in (False, True):
        z, log_det = chain.inverse_and_log_det(x, narrow)
        found, inverse_log_det = chain.forward_and_log_det(z, narrow)
        assert {t.dtype for t in (z, log_det, found, inverse_log_det)} == {tf.float32}
        errors.append(max_difference(found, x))
    assert errors[0] > 1e-5
    assert errors[1] < 2e-6
    # Kernels are normalised in float32, where every processor rounds a little differently, and a z
    # of that size shows it. With the same kernels and context only the rounding of z is left.
    for block, other in zip(chain.layers, twin.layers, strict=True):
        if isinstance(block, ResidualBlock):
            values = widened(block.network.parameters())
            other.network.parameters = lambda training, values=values: values
    exact_z, exact_log_det = twin.inverse_and_log_det(*widened((x, narrow)))
    np.testing.assert_allclose(z, exact_z, rtol=2**-24, atol=1e-12)
    np.testing.assert_allclose(log_det, exact_log_det, rtol=1e-4)
    np.testing.assert_allclose(inverse_log_det, -exact_log_det, rtol=1e-4)
    z, _ = chain.inverse_and_log_det(x, narrow, training=True)
    found, _ = chain.forward_and_log_det(z, narrow, training=True)
    assert max_difference(found, x) > 1e-5


@pytest.mark.slow
def test_gradients_through_a_precise_chain():
    blocks = [stretching_block((3,), 0.9, "float32") for _ in range(2)]
    chain = Chain(blocks, precise=True)
    x, context = draw((3,), 4, "float32")
    context = tf.cast(context, tf.float32)
    kernel = blocks[0].network.layers[1].kernel._value
    results = []
    for chain.precise in (False, True):
        for direction in (chain.inverse_and_log_det, chain.forward_and_log_det):
            with tf.GradientTape() as tape:
                tape.watch([x, context])
                value, log_det = direction(x, context)
                loss = tf.reduce_sum(tf.sin(value)) + tf.reduce_sum(log_det)
            results.append(tape.gradient(loss, [x, context, kernel]))
    for plain, precise in zip(results[:2], results[2:], strict=True):
        for expected, found in zip(plain, precise, strict=True):
            assert found.dtype == tf.float32
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("activation", ["elu", "lipswish"])
def test_gradient_of_the_forward_map_is_that_of_finite_differences(activation):
    layer = stretching_block((3,), 0.9, activation=activation)
    z, context = draw((3,), 4)
    kernel = layer.network.layers[1].kernel
    forward = tf.function(layer.forward_and_log_det, autograph=False)
    weights = tf.constant(np.random.default_rng(2).normal(size=(4, 3)))

    def loss(z, context):
        x, log_det = forward(z, context)
        return tf.reduce_sum(weights * tf.sin(x)) + tf.reduce_sum(tf.cos(log_det))

    with tf.GradientTape() as tape:
        tape.watch([z, context])
        value = loss(z, context)
    in_z, in_context, in_kernel = tape.gradient(value, [z, context, kernel._value])
    step = 1e-5
    direction = np.cos(np.arange(12.0)).reshape(4, 3)
    for found, move in [
        (tf.reduce_sum(in_z * direction), lambda t: loss(z + t * direction, context)),
        (tf.reduce_sum(in_context), lambda t: loss(z, context + t)),
    ]:
        expected = (move(step) - move(-step)) / (2 * step)
        assert float(found) == pytest.approx(float(expected), rel=1e-6)
    start = kernel.numpy()
    values = []
    for sign in (1, -1):
        kernel.assign(start + sign * step * direction[:3])
        values.append(float(loss(z, context)))
    expected = (values[0] - values[1]) / (2 * step)
    # The kernel's norm is that of power iteration, to its tolerance.
    found = float(tf.reduce_sum(in_kernel * direction[:3]))
    assert found == pytest.approx(expected, rel=1e-3)


def test_inverse_that_does_not_converge_is_an_error():
    layer = stretching_block((3,), 0.97, max_iterations=5, name="block")
    z, context = draw((3,), 4)
    message = (
        r"inverse of ResidualBlock 'block' did not converge: the residual.* is "
        r"\d\.\de[+-]0\d, .* at most 1.0e-13 within 5 iterations\."
    )
    with pytest.raises(ValueError, match=message):
        layer.forward_and_log_det(z, context)
    with pytest.raises(tf.errors.InvalidArgumentError, match="did not converge"):
        tf.function(layer.forward_and_log_det, autograph=False)(z, context)
    layer = stretching_block((3,), 0.97, name="block")
    with pytest.raises(ValueError, match="is nan"):
        layer.forward_and_log_det(z * np.nan, context)


def test_tolerance_is_that_of_the_residual():
    errors = []
    for tolerance in (1e-2, 1e-4, None):
        layer = stretching_block((30,), 0.97, tolerance=tolerance)
        z, context = draw((30,), 4)
        x, _ = layer.forward_and_log_det(z, context)
        scale = np.maximum(1, np.abs(z).max(1, keepdims=True))
        errors.append(np.max(np.abs(layer.inverse_and_log_det(x, context)[0] - z) / scale))
    # Not much smaller either: that would be another tolerance.
    assert 1e-3 < errors[0] <= 1e-2
    assert 1e-5 < errors[1] <= 1e-4
    assert errors[2] <= 1e-13


def test_adapt_maps_on():
    layer = stretching_block((3,), 0.9)
    x, context = draw((3,), 4)
    np.testing.assert_array_equal(layer.adapt(x, context), layer.inverse_and_log_det(x, context)[0])


ERRORS = {
    "network": (lambda: ResidualBlock(keras.layers.Dense(2)), "LipschitzNetwork, .* found <Dense"),
    "dtype": (lambda: ResidualBlock(LipschitzNetwork(), dtype="float64"), "float64.* float32"),
    "tolerance": (lambda: ResidualBlock(LipschitzNetwork(), tolerance=0.0), "tolerance, .* 0.0"),
    "cap": (lambda: ResidualBlock(LipschitzNetwork(), max_iterations=0), "at least 1, .* found 0"),
    "kind": (
        lambda: ResidualBlock(LipschitzNetwork(), "exact"),
        r"estimator is a tfflows.layers.LogDetEstimator, such as Roulette\(\), but found 'exact'",
    ),
    "class": (
        lambda: ResidualBlock(LipschitzNetwork(), evaluation=Exact),
        r"evaluation is .* but found the class Exact; make one: Exact\(\)",
    ),
    "terms": (lambda: Truncated(terms=0), "Truncated .* positive integer terms, but found 0"),
    "samples": (lambda: Roulette(samples=0.5), "positive integer samples, but found 0.5"),
    "tail": (lambda: Roulette(tail=0.0), "Roulette .* positive finite tail, but found 0.0"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_is_an_error(name):
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        action()


def test_exact_log_det_of_xla_equals_eager():
    layer = stretching_block((3,), 0.9)
    x, context = draw((3,), 4)
    g = layer._residual(layer.network.parameters(), context, x.dtype)
    compiled = tf.function(lambda x: exact_log_det(g, x), jit_compile=True, autograph=False)
    for found, expected in zip(compiled(x), exact_log_det(g, x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
