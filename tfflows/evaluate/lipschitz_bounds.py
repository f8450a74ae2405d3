"""Audit of residual flows: Lipschitz constants, and estimators of the log-det."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.flow import Flow
from tfflows.layers import (
    Costs,
    Exact,
    LogDetEstimator,
    Pass,
    ResidualBlock,
    Roulette,
    Truncated,
)
from tfflows.layers.parts import layers_of_kind

_ESTIMATORS = (
    Truncated(terms=5),
    Truncated(terms=10),
    Roulette(terms=2),
    Roulette(terms=10),
)
# Beyond, the exact log-det takes too much time and memory for a report.
_EXACT_DIMENSIONS = 256


@dataclass(frozen=True)
class LipschitzBounds:
    """The Lipschitz constant of a residual block's network, from both sides.

    Attributes:
        block: name of the layer.
        norm: in which it holds, 1, 2 or `"inf"`.
        certified: no two points are stretched by more.
        empirical: how much the most stretched pair of points that was found is stretched.
    """

    block: str
    norm: int | str
    certified: float
    empirical: float

    def __str__(self):
        return (
            f"{self.block}: at least {self.empirical:.4f}, at most {self.certified:.4f} "
            f"(norm {self.norm})"
        )


def lipschitz(
    flow: Flow, steps: int = 100, num_points: int = 64, seed: int = 0
) -> list[LipschitzBounds]:
    """Bounds of the Lipschitz constant of each residual block, base first.

    The certified bound is the product of the layers' norms from above, see
    `tfflows.networks.LipschitzDense` and `LipschitzConv2D`, since no activation has a slope beyond
    1. The empirical one is the largest |g(x + v) - g(x - v)| / |2 v| found, in float64: power
    iteration turns a short v into the direction that is stretched most (in the 2-norm) while x,
    which starts from a standard normal, goes uphill.

    Args:
        flow: one with `tfflows.layers.ResidualBlock`s.
        steps: of power iteration and ascent.
        num_points: pairs of points.
        seed: of the points, and of the contexts of a conditional flow, normal too.

    Raises:
        ValueError: if the flow has no residual block.

    Example:
        >>> flow = tfflows.ResidualFlow((2,), num_blocks=1, hidden=(16,), coefficient=0.9)
        >>> (bounds,) = tfflows.evaluate.lipschitz(flow, steps=5)
        >>> bounds.empirical <= bounds.certified < 0.91
        True
    """
    found = []
    for block in _require_blocks(flow):
        empirical = _largest_stretch(block, steps, num_points, seed)
        network = block.network
        found.append(
            LipschitzBounds(block.name, network.norm, network.lipschitz_bound(), empirical)
        )
    return found


def _require_blocks(flow):
    blocks = layers_of_kind(flow.transform, ResidualBlock)
    if not blocks:
        raise ValueError(f"{flow.name} has no ResidualBlock, to whom this audit applies.")
    return blocks


def _largest_stretch(block, steps, num_points, seed):
    network = block.network
    # In float64, so that rounding stretches no pair of close points.
    parameters = tf.nest.map_structure(
        lambda value: tf.cast(value, tf.float64), network.parameters()
    )
    g = network.function(parameters)
    generator = np.random.default_rng(seed)
    shape = (num_points, *block.latent_shape)
    x, v = (tf.constant(generator.normal(size=shape)) for _ in range(2))
    context = None
    if network.context_kernel is not None:
        size = network.context_kernel.shape[0]
        context = tf.constant(generator.normal(size=(num_points, size)))
    order = np.inf if network.norm == "inf" else network.norm
    to_column = [num_points] + [1] * len(block.latent_shape)

    def norm(value, order):
        return tf.norm(tf.reshape(value, [num_points, -1]), ord=order, axis=1)

    def unit(value):
        return tf.math.divide_no_nan(value, tf.reshape(norm(value, 2), to_column))

    @tf.function(autograph=False)
    def step(x, v, pace):
        v = 1e-3 * unit(v)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = g(x, context)
            image = g(x + v, context)
            image -= g(x - v, context)
            length = norm(image, order)
        stretch = tf.reduce_max(length / (2 * norm(v, order)))
        # J^T J v, but for a factor.
        return x + pace * unit(tape.gradient(length, x)), tape.gradient(y, x, image), stretch

    largest = 0.0
    for i in range(steps):
        x, v, stretch = step(x, v, tf.constant(0.3 * (1 - i / steps), tf.float64))
        largest = max(largest, float(stretch))
    return largest


@dataclass(frozen=True)
class EstimatorFigures:
    """How an estimator does for the log-det of a whole flow.

    Attributes:
        estimator: which.
        bias: mean error in nats, over draws and examples; NaN without the exact log-det.
        bias_error: its standard error, of the draws.
        stddev: standard deviation of an example's estimate, root mean square over examples, nats.
        products: vector-Jacobian products for an example and a block, in the mean.
        seconds: least time for the batch, all blocks, without a gradient.
    """

    estimator: LogDetEstimator
    bias: float
    bias_error: float
    stddev: float
    products: float
    seconds: float

    def __str__(self):
        return (
            f"{self.estimator}: bias {self.bias:.4f} +/- {self.bias_error:.4f}, standard deviation "
            f"{self.stddev:.4f} nats; {self.products:.1f} products, {1e3 * self.seconds:.1f} ms"
        )


def estimator_report(
    flow: Flow,
    x: ArrayLike,
    context: ArrayLike | None = None,
    estimators: Sequence[LogDetEstimator] = _ESTIMATORS,
    draws: int = 100,
    seed: int = 0,
) -> list[EstimatorFigures]:
    """Bias, variance and cost of estimators of a residual flow's log-det at some examples.

    Log-dets and errors are those of all residual blocks together. The exact log-det, with which
    they are compared, comes first; above 256 dimensions it is left out, and biases are NaN.

    Args:
        flow: one with `tfflows.layers.ResidualBlock`s.
        x: `[n, *event_shape]`, a few examples.
        context: `[n, ...]` for a conditional flow.
        estimators: to compare, at their own numbers of samples.
        draws: independent estimates of each example's log-det.
        seed: of TensorFlow's global generator, and of dequantisation for integer images.

    Raises:
        ValueError: if the flow has no residual block, or as `Flow.encode` does.

    Example:
        >>> flow = tfflows.IResNet((2,), num_blocks=1, hidden=(16,))
        >>> for figures in tfflows.evaluate.estimator_report(flow, np.ones([4, 2]), draws=10):
        ...     print(figures)
        exact: bias 0.0000 +/- 0.0000, ...
        truncated at 5 terms, 1 sample: bias ...
    """
    _require_blocks(flow)
    inputs = _inputs_of(flow, x, context, seed)
    tf.random.set_seed(seed)
    exact, found, num_dims = None, [], math.prod(flow.event_shape)
    if num_dims <= _EXACT_DIMENSIONS:
        estimator = Exact()
        (exact,), seconds = _draws(inputs, estimator, 1)
        products = estimator.num_products(num_dims)
        figures = EstimatorFigures(estimator, 0.0, 0.0, 0.0, products, seconds)
        found.append(figures)
    for estimator in estimators:
        values, seconds = _draws(inputs, estimator, draws)
        bias = bias_error = math.nan
        if exact is not None:
            errors = np.mean(values - exact, axis=1)
            bias, bias_error = float(errors.mean()), float(errors.std(ddof=1) / math.sqrt(draws))
        stddev = math.sqrt(np.mean(np.var(values, axis=0, ddof=1)))
        products = estimator.num_products(num_dims)
        found.append(EstimatorFigures(estimator, bias, bias_error, stddev, products, seconds))
    return found


def _inputs_of(flow, x, context, seed):
    """Pairs of g and what it is given on the way from x to z, one for each block."""
    x, _ = flow.continuous(x, seed)
    costs = Costs()
    flow.encode_pass(x, Pass(flow.layer_context(context, x), log_dets=False, costs=costs))
    return costs.contractions


def _draws(inputs, estimator, draws):
    """Estimates of the sum of the blocks' log-dets, `[draws, n]`, and the least time of one."""

    @tf.function(autograph=False)
    def draw():
        total = 0.0
        for g, x in inputs:
            total += estimator.log_det(g, x, *estimator.draw(x))[1]
        return total

    draw()
    values, seconds = [], []
    for _ in range(max(draws, 3)):
        start = time.perf_counter()
        values.append(draw().numpy())
        seconds.append(time.perf_counter() - start)
    return np.array(values[:draws], "float64"), min(seconds)
