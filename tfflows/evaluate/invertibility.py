"""How exactly a flow inverts itself, and its log-det against autodiff."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import as_dtype
from tfflows.flow import Flow


@dataclass(frozen=True)
class RoundTrip:
    """Absolute errors of `decode(encode(x))`, in the units of x.

    Attributes:
        max: the largest error of any dimension of any example.
        mean: over all dimensions and examples.
        num_examples: number of examples.
        dtype: in which the flow computes.
    """

    max: float
    mean: float
    num_examples: int
    dtype: str

    def __str__(self):
        return (
            f"error at most {self.max:.1e}, on average {self.mean:.1e}, in units of x "
            f"({self.num_examples} examples)"
        )


def round_trip(
    flow: Flow, x: ArrayLike, context: ArrayLike | None = None, batch_size: int = 64
) -> RoundTrip:
    """Errors of `decode(encode(x))` over some examples.

    Args:
        flow: the flow.
        x: `[n, *event_shape]`, continuous values also for images: whole numbers are taken as they
            are, at the lower end of their pixel's values.
        context: `[n, ...]` for a conditional flow.
        batch_size: examples at a time.

    Raises:
        ValueError: as `Flow.encode` and `Flow.decode` do.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        >>> tfflows.evaluate.round_trip(flow, np.ones([10, 2])).max < 1e-5
        True
    """
    largest, means = [], []
    for start in range(0, max(len(x), 1), batch_size):
        batch = slice(start, start + batch_size)
        conditions = None if context is None else context[batch]
        points = as_dtype(x[batch], flow.compute_dtype)
        decoded = flow.decode(flow.encode(points, conditions), conditions)
        errors = np.abs(decoded.numpy().astype("float64") - points.numpy())
        largest.append(errors.max())
        means.append(errors.reshape(len(errors), -1).mean(1))
    mean = np.mean(np.concatenate(means))
    return RoundTrip(float(np.max(largest)), float(mean), len(x), flow.compute_dtype)


def round_trip_error(flow: Flow, x: ArrayLike, context: ArrayLike | None = None) -> float:
    """Largest `|decode(encode(x)) - x|` over a batch, in the units of x."""
    return round_trip(flow, x, context, batch_size=max(len(x), 1)).max


def log_det_error(flow: Flow, x: ArrayLike, context: ArrayLike | None = None) -> float:
    """Largest difference between the inverse log-det and that of the autodiff Jacobian, in nats.

    The Jacobian costs D gradients: meant for a few examples of moderate size.
    """
    x = as_dtype(x, flow.compute_dtype)
    context = flow.layer_context(context, x)
    num_dims = math.prod(flow.event_shape)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z, log_det = flow.transform.inverse_and_log_det(x, context)
        z = tf.reshape(z, [-1, num_dims])
    jacobian = tf.reshape(tape.batch_jacobian(z, x), [-1, num_dims, num_dims])
    expected = np.linalg.slogdet(jacobian.numpy().astype("float64"))[1]
    return float(np.max(np.abs(log_det.numpy() - expected)))
