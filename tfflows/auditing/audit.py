"""All checks of one bijector, layer, flow, or pair of functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.auditing.calls import check_calls
from tfflows.auditing.densities import check_density
from tfflows.auditing.maps import check_gradients, check_log_dets, check_round_trips, check_values
from tfflows.auditing.measured import Points, Precision
from tfflows.auditing.report import OK, Report
from tfflows.auditing.subjects import subject_of


def audit(
    thing: Any,
    z: ArrayLike | None = None,
    *,
    event_shape: Sequence[int] | None = None,
    rtol: float = 0.0,
    n: int = 16,
    seed: int = 0,
) -> Report:
    """Check that a map, its inverse, its log-dets and its density belong together.

        inverse(forward(z)) = z,  forward(inverse(x)) = x
        log-dets = log|det J| of Jacobians by automatic differentiation, opposite to each other
        gradients = differences
        equal answers twice, row by row, with two batch dimensions, and under XLA
        integral of the density = 1, moments of samples = those of the density

    TFP's cache, which hands out an input instead of computing an inverse, is kept out of it. What
    is allowed follows from the dtype and the Jacobian's condition at each point: a thousand
    roundings. Log-dets are compared up to 256 dimensions, densities in one and two; a map alone
    gets the density of forward(z) for standard normal z.

    Args:
        thing: a `tfb.Bijector`, a `tfd.TransformedDistribution`, a built layer or flow of tfflows,
            or a pair of functions (forward, inverse) that return a value and a log-det each.
        z: `[n, *event_shape]`, an even number of inputs in the domain; `None` for standard normal
            ones.
        event_shape: of z, where neither z nor the thing tells it.
        rtol: relative error of a map that is numerical by itself (an ODE, a root search).
        n: how many inputs are drawn, an even number.
        seed: of what is drawn.

    Returns:
        A `Report`; `print(report)` shows it, `report.ok` is whether nothing wrong was found.

    Raises:
        ValueError: for something else, an odd number of inputs, or a shape that is not known.

    Example:
        >>> print(tfflows.auditing.audit(tfb.Softplus(), event_shape=(2,)))
        softplus: 18 ok
        16 inputs of shape (2,), float64, seed 0
        ...
    """
    if z is not None:
        z = tf.convert_to_tensor(z)
        event_shape = tuple(z.shape[1:])
    subject = subject_of(thing, event_shape, None if z is None else z.dtype)
    is_standard = z is None
    z = subject.standard(n, seed) if is_standard else tf.cast(z, subject.dtype)
    if len(z) < 2 or len(z) % 2 or tuple(z.shape[1:]) != subject.event_shape:
        raise ValueError(
            f"An audit of {subject.name} takes an even number of inputs z of shape "
            f"{subject.event_shape}, but found {tuple(z.shape)}."
        )
    points = Points(subject, z)
    precision = Precision(float(np.finfo(subject.dtype.as_numpy_dtype).eps), rtol)
    findings = [check_values(subject, points)]
    if findings[0].verdict == OK:
        findings += check_round_trips(subject, points, precision)
        findings += check_log_dets(subject, points, precision)
        findings += check_gradients(subject, points, precision)
        findings += check_calls(subject, points, precision)
        findings += check_density(subject, is_standard, precision, seed)
    settings = f"{len(z)} inputs of shape {subject.event_shape}, {subject.dtype.name}, seed {seed}"
    return Report(subject.name, settings, tuple(findings))
