"""Properties that every transformer has, over the registry in `tfflows.transformers`."""

import dataclasses
import functools
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import cases_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tfflows.transformers import (
    TRANSFORMERS,
    Affine,
    BernsteinPolynomial,
    CubicSpline,
    DenseSigmoid,
    LinearSpline,
    LogisticMixture,
    MonotonicMLP,
    QuadraticSpline,
    RationalQuadraticSpline,
    SinhArcsinh,
    SumOfSquares,
    Transformer,
    as_transformer,
)
from tfflows.transformers.knots import Spline


@dataclasses.dataclass(frozen=True)
class Case:
    """A transformer, the largest parameter that it is given, and what makes its rounding errors.

    Attributes:
        operations: of a direction, one after the other. Library functions (exp, tanh, sinh, asinh,
            softplus) count as one.
        size: of what values are sums of, however small they are themselves.
        condition: how many times larger the relative error of a slope is than that of a value.
    """

    transformer: Transformer
    largest: float = 1000.0
    operations: int = 8
    size: float = 0.0
    condition: float = 1.0

    @property
    def roundings(self):
        """Of a round trip, or of two results that differ, in units of the last place."""
        return 2 * self.operations * UNITS_PER_OPERATION


# Library functions are good to that.
UNITS_PER_OPERATION = 2


def case(transformer):
    """As the properties that it has by itself."""
    if isinstance(transformer, Spline):
        # Knots are sums of shares of the box, and slopes quotients of differences of knots.
        names = [field.name for field in dataclasses.fields(transformer)]
        least = min(getattr(transformer, name) for name in names if name.startswith("min_bin"))
        operations, condition = transformer.bins + 20, 1 / (2 * least)
        return Case(transformer, 1000.0, operations, transformer.bound, condition)
    if isinstance(transformer, LogisticMixture):
        # Means are subtracted, and logarithms of F and S from each other.
        return Case(transformer, operations=transformer.components + 10, size=transformer.bound)
    if isinstance(transformer, DenseSigmoid):
        # As those of mixtures, one after the other.
        layers = len(transformer.hidden)
        operations = sum(transformer.hidden) + 15 * layers
        return Case(transformer, operations=operations, size=layers * transformer.bound)
    if isinstance(transformer, BernsteinPolynomial):
        return Case(transformer, operations=2 * transformer.degree + 10, size=transformer.bound)
    if isinstance(transformer, SumOfSquares):
        # What is squared is a sum of numbers of this size, and may be as small as min_slope's root.
        size = 1 + 20.0 * (transformer.degree + 1)
        operations = int(size / transformer.min_slope**0.5)
        return Case(transformer, largest=20.0, operations=operations, size=20.0)
    if isinstance(transformer, MonotonicMLP):
        operations = transformer.hidden + 30
        return Case(transformer, largest=20.0, operations=operations, size=20.0)
    return Case(transformer)


# Graphs of the default sizes take long to trace; couplings are tested with those.
SMALL = {
    "BernsteinPolynomial": BernsteinPolynomial(degree=3, bound=1.0),
    "CubicSpline": CubicSpline(bins=3, bound=1.0, min_bin_width=0.1),
    "DenseSigmoid": DenseSigmoid(hidden=(3, 2)),
    "LogisticMixture": LogisticMixture(components=3, log_scale_bound=1.0),
    "MonotonicMLP": MonotonicMLP(hidden=2, bound=1.0, log_slope_bound=2.0),
    "SumOfSquares": SumOfSquares(degree=1, bound=5.0, min_slope=0.1),
}
CASES = {
    **{name: case(SMALL.get(name) or kind()) for name, kind in TRANSFORMERS.items()},
    "RationalQuadraticSpline of 2 bins": case(
        RationalQuadraticSpline(bins=2, bound=1.0, min_bin_width=0.1)
    ),
    "LinearSpline of 3 bins": case(LinearSpline(bins=3, bound=2.0, min_bin_height=0.2)),
    "QuadraticSpline of 3 bins": case(QuadraticSpline(bins=3, bound=4.0, min_slope=0.5)),
    # exp(20) times the largest z is still far from the largest float32.
    "Affine, not bounded": Case(Affine(bound=None), largest=20.0),
    "SinhArcsinh, bound 0.5": Case(SinhArcsinh(bound=0.5)),
}
DIRECTIONS = ["forward", "inverse"]
SHAPE = (4, 2)

# Other settings of the same maps, for round trips and log-dets alone.
VARIANTS = [name for name in CASES if " of " in name]
# What takes seconds to trace.
SLOW = [
    *VARIANTS,
    "BernsteinPolynomial",
    "CircularSpline",
    "CubicSpline",
    "DenseSigmoid",
    "LinearSpline",
    "LogisticMixture",
    "MonotonicMLP",
    "QuadraticSpline",
    "SumOfSquares",
]
every_setting = pytest.mark.parametrize("name", cases_of(CASES, SLOW))
KINDS = [name for name in CASES if name not in VARIANTS]
every_case = pytest.mark.parametrize("name", cases_of(KINDS, SLOW))
both_directions = pytest.mark.parametrize("direction", DIRECTIONS)
examples = settings(max_examples=15, derandomize=True, deadline=None, database=None)


class Measured(NamedTuple):
    """What a direction makes of a value, and how it depends on its inputs."""

    value: tf.Tensor
    result: tf.Tensor
    log_det: tf.Tensor
    slope: tf.Tensor  # of the result, in float64: in float32 a small one may round to less than 0
    bend: tf.Tensor  # slope of the log-det, in float64
    gradients: list  # of both, with respect to the value and each parameter
    case: Case

    def error(self):
        """Relative error of one side: rounding of an exponent is multiplied by its size."""
        exponents = np.log1p(np.abs(self.value)) + np.log1p(np.abs(self.result))
        eps = np.finfo(self.result.dtype).eps
        return self.case.roundings * eps * (1 + exponents + np.abs(self.log_det))

    def value_tolerance(self):
        """Errors relative to the value, and those relative to the result, taken back."""
        value, result = (np.abs(part) + self.case.size for part in (self.value, self.result))
        return self.error() * (value + result / self.slope)

    def result_tolerance(self):
        return self.value_tolerance() * self.slope

    def log_det_tolerance(self):
        own = self.case.condition * self.error()
        return own + self.value_tolerance() * np.abs(self.bend)


@functools.cache
def traced(transformer, direction):
    """What `Measured` says, but for the case, as one graph, traced once per dtype.

    Slope and bend are of float64, and None for float32.
    """

    @tf.function(autograph=False)
    def measure(value, parameters):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([value, *parameters])
            result, log_det = getattr(transformer, direction)(value, parameters)
            both = [tf.reduce_sum(result), tf.reduce_sum(log_det)]
        gradients = tape.gradient(both, [value, *parameters])
        slope = bend = None
        if value.dtype == tf.float64:
            zero = tf.UnconnectedGradients.ZERO
            slope = tape.gradient(result, value, unconnected_gradients=zero)
            bend = tape.gradient(log_det, value, unconnected_gradients=zero)
        return value, result, log_det, slope, bend, gradients

    return measure


def measure(name, direction, value, parameters) -> Measured:
    run = traced(CASES[name].transformer, direction)
    value, result, log_det, slope, bend, gradients = run(value, parameters)
    if slope is None:
        exact = tf.nest.map_structure(lambda part: tf.cast(part, tf.float64), (value, parameters))
        _, _, _, slope, bend, _ = run(*exact)
    parts = (part.numpy() for part in (value, result, log_det, slope, bend))
    return Measured(*parts, gradients, CASES[name])


@functools.cache
def compiled(transformer, direction, with_xla):
    method = getattr(transformer, direction)
    return tf.function(method, autograph=False, jit_compile=with_xla)


def grid(largest):
    """Numbers that both dtypes hold, zero among them, and none that an operation underflows."""
    return st.integers(-(2**20), 2**20).map(lambda n: n * largest / 2**20)


# The bulk of N(0, 1), and tails.
VALUES = grid(4.0) | st.sampled_from([-1e4, -100.0, -10.0, 10.0, 100.0, 1e4])
SUPPORTS = {
    "real": (lambda y: y, lambda x: np.isfinite(x)),
    "positive": (lambda y: np.logaddexp(0.0, y) + 1e-3, lambda x: x > 0),
    "unit": (lambda y: 0.5 + 0.499 * np.tanh(y), lambda x: (x > 0) & (x < 1)),
}


def supports(transformer, direction):
    """Those of what the direction takes, and of what it returns."""
    ends = [SUPPORTS[transformer.domain], SUPPORTS[transformer.range]]
    return ends if direction == "forward" else ends[::-1]


def draw(data, name, direction):
    """A value and parameters, ordinary ones and tails, in each dtype."""
    transformer, largest = CASES[name].transformer, CASES[name].largest
    to_support = supports(transformer, direction)[0][0]
    value = to_support(data.draw(arrays("float64", SHAPE, elements=VALUES)))
    elements = grid(4.0) | st.sampled_from([-largest, -10.0, 10.0, largest])
    shape = (transformer.num_parameters, *SHAPE)
    parameters = data.draw(arrays("float64", shape, elements=elements))
    for dtype in ("float32", "float64"):
        yield tf.constant(value, dtype), [tf.constant(p, dtype) for p in parameters]


def assert_within(found, expected, tolerance):
    found, expected = np.asarray(found), np.asarray(expected)
    excess = np.broadcast_to(np.abs(found - expected) - tolerance, found.shape)
    worst = np.unravel_index(np.argmax(excess), found.shape)
    assert excess[worst] <= 0, (
        f"{found[worst]!r} is not {np.broadcast_to(expected, found.shape)[worst]!r} to within "
        f"{np.broadcast_to(tolerance, found.shape)[worst]}."
    )


@every_case
@both_directions
@given(data=st.data())
@examples
def test_finite_and_of_the_right_shape_dtype_and_support(name, direction, data):
    transformer = CASES[name].transformer
    for value, parameters in draw(data, name, direction):
        measured = measure(name, direction, value, parameters)
        # Gradients with respect to the value and every parameter, too.
        for part in (measured.result, measured.log_det, *measured.gradients):
            assert part.shape == SHAPE
            assert part.dtype == value.dtype
            assert np.all(np.isfinite(part))
        is_inside = supports(transformer, direction)[1][1]
        assert np.all(is_inside(measured.result))


@every_setting
@both_directions
@given(data=st.data())
@examples
def test_round_trip(name, direction, data):
    way_back = DIRECTIONS[direction == "forward"]
    for value, parameters in draw(data, name, direction):
        there = measure(name, direction, value, parameters)
        back = measure(name, way_back, tf.constant(there.result), parameters)
        assert_within(back.result, there.value, there.value_tolerance())
        # The log-det back is taken at the rounded result.
        assert_within(back.log_det, -there.log_det, there.log_det_tolerance())


@every_setting
@both_directions
@given(data=st.data())
@examples
def test_log_det_is_that_of_the_derivative(name, direction, data):
    for value, parameters in draw(data, name, direction):
        measured = measure(name, direction, value, parameters)
        assert np.all(measured.slope > 0)
        assert_within(measured.log_det, np.log(measured.slope), measured.log_det_tolerance())


@every_case
@both_directions
@given(data=st.data())
@examples
def test_increasing(name, direction, data):
    for value, parameters in draw(data, name, direction):
        # All rows have the parameters of the first.
        parameters = [tf.broadcast_to(p[:1], SHAPE) for p in parameters]
        measured = measure(name, direction, tf.sort(value, axis=0), parameters)
        tolerance = measured.result_tolerance()
        assert np.all(np.diff(measured.result, axis=0) >= -tolerance[:-1] - tolerance[1:])


@every_case
@both_directions
@given(data=st.data())
@examples
def test_eager_graph_and_xla_agree(name, direction, data):
    transformer = CASES[name].transformer
    for value, parameters in draw(data, name, direction):
        measured = measure(name, direction, value, parameters)
        runs = [getattr(transformer, direction), compiled(transformer, direction, False)]
        if value.dtype == tf.float32:  # for one dtype XLA may take half a minute
            runs.append(compiled(transformer, direction, True))
        for run in runs:
            result, log_det = run(value, parameters)
            assert_within(result, measured.result, measured.result_tolerance())
            assert_within(log_det, measured.log_det, measured.log_det_tolerance())


@every_case
@both_directions
@given(data=st.data())
@examples
def test_zeros_are_the_identity_where_the_class_says_so(name, direction, data):
    for value, parameters in draw(data, name, direction):
        zeros = [tf.zeros_like(p) for p in parameters]
        measured = measure(name, direction, value, zeros)
        if CASES[name].transformer.zeros_are_identity:
            assert_within(measured.result, measured.value, measured.value_tolerance())
            assert_within(measured.log_det, 0.0, measured.log_det_tolerance())
        else:
            assert np.any(np.abs(measured.log_det) > 1e-3)


def ordinary(name, direction):
    """A value and parameters that no bound flattens."""
    transformer = CASES[name].transformer
    rng = np.random.default_rng(0)
    value = supports(transformer, direction)[0][0](rng.uniform(0.5, 1.0, SHAPE))
    parameters = rng.uniform(0.2, 0.4, (transformer.num_parameters, *SHAPE))
    return tf.constant(value), [tf.constant(p) for p in parameters]


@every_case
@both_directions
def test_every_parameter_has_an_effect(name, direction):
    # Parameters that all values have, of which a spline has some in each of its bins.
    _, parameters = ordinary(name, direction)
    parameters = [tf.fill(SHAPE, p[0, 0]) for p in parameters]
    to_support = supports(CASES[name].transformer, direction)[0][0]
    value = tf.constant(to_support(np.linspace(-2.85, 2.9, 8).reshape(SHAPE)))
    for gradient in measure(name, direction, value, parameters).gradients:
        assert np.max(np.abs(gradient)) > 1e-3


@every_case
@both_directions
@pytest.mark.parametrize("part", [np.s_[0, 0], np.s_[0], np.s_[:1], np.s_[:, :1]])
def test_parameters_broadcast(name, direction, part):
    value, parameters = ordinary(name, direction)
    parameters = [p[part] for p in parameters]
    method = getattr(CASES[name].transformer, direction)
    for found, expected in zip(
        method(value, parameters),
        method(value, [tf.broadcast_to(p, SHAPE) for p in parameters]),
        strict=True,
    ):
        assert found.shape == SHAPE
        # Sums of the same terms may have another order.
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-14 * CASES[name].size)


@every_case
@both_directions
def test_graph_of_unknown_batch_size(name, direction):
    transformer = CASES[name].transformer
    spec = tf.TensorSpec([None, 3])
    graph = tf.function(getattr(transformer, direction), autograph=False)
    graph = graph.get_concrete_function(spec, [spec] * transformer.num_parameters)
    assert [output.shape.as_list() for output in graph.structured_outputs] == [[None, 3]] * 2


@every_case
def test_config_makes_an_equal_transformer(name):
    transformer = CASES[name].transformer
    config = keras.saving.serialize_keras_object(transformer)
    for copy in (keras.saving.deserialize_keras_object(config), as_transformer(config)):
        assert copy == transformer
        assert hash(copy) == hash(transformer)
        assert copy is not transformer
    assert all(copy != case.transformer for other, case in CASES.items() if other != name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        transformer.num_parameters = 7


@every_case
@both_directions
def test_wrong_parameters_raise(name, direction):
    transformer = CASES[name].transformer
    run = functools.partial(getattr(transformer, direction), tf.fill(SHAPE, 0.5))
    n = transformer.num_parameters
    kind = type(transformer).__name__
    with pytest.raises(ValueError, match=f"{kind} takes {n} parameters .* found {n + 1}"):
        run([tf.zeros(SHAPE)] * (n + 1))
    with pytest.raises(ValueError, match=rf"{kind} .* broadcasts to .*\(4, 2\), .* \(4, 3\)"):
        run([tf.zeros([4, 3])] * n)
    with pytest.raises(ValueError, match=r"values' \(4, 2\), but found \(1, 4, 2\)"):
        run([tf.zeros([1, *SHAPE])] * n)
    with pytest.raises(ValueError, match=f"{kind} .* float32, but found float64"):
        run([tf.zeros(SHAPE, "float64")] * n)
