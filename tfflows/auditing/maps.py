"""Checks of a map at single points: values, round trips, log-dets and gradients."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfflows.auditing.measured import (
    Points,
    Precision,
    difference,
    finding,
    jacobian,
    largest,
    rows_of,
)
from tfflows.auditing.report import OK, OPEN, WRONG, Finding
from tfflows.auditing.subjects import Subject


def check_values(subject: Subject, points: Points) -> Finding:
    """Shapes, dtypes, and whether all values are finite."""
    check = "values are finite, of the input's dtype, with a log-det for each"
    if points.x.dtype != subject.dtype:
        note = f"x has dtype {points.x.dtype.name} for z of {subject.dtype.name}"
        return Finding(check, WRONG, note)
    finite = np.isfinite(largest(points.x)) & np.isfinite(points.log_det)
    if not finite.all():
        note = (
            f"{(~finite).sum()} of {len(finite)} inputs have a value or log-det that is not "
            "finite; pass z that lies in the domain"
        )
        return Finding(check, WRONG, note, worst=np.asarray(points.z[int(np.argmin(finite))]))
    return Finding(check, OK)


def check_round_trips(subject: Subject, points: Points, precision: Precision) -> list[Finding]:
    """z -> x -> z and x -> z -> x, with another batch mapped in between."""
    subject.forward(points.z[::-1] if len(points.z) > 1 else points.z)
    z, _ = subject.inverse(points.x)
    x, _ = subject.forward(z)
    size_of_z, size_of_x = largest(points.z), largest(points.x)
    allowed = precision.allowed(1e-3 + size_of_z + points.inverse_norm * size_of_x)
    note = "inverse(forward(z)) is not z: the inverse is another map, or f has none at z"
    back = finding(
        "inverse of forward", difference(z, points.z), allowed, points.z, size_of_z, note
    )
    allowed = precision.allowed(1e-3 + size_of_x * (1 + points.condition))
    note = "forward(inverse(x)) is not x"
    forth = finding(
        "forward of inverse", difference(x, points.x), allowed, points.z, size_of_x, note
    )
    return [back, forth]


def check_log_dets(subject: Subject, points: Points, precision: Precision) -> list[Finding]:
    """Both log-dets against Jacobians by automatic differentiation, and against each other."""
    inverse = rows_of(subject.inverse(points.x)[1], len(points.z))
    scale = 1 + np.abs(points.log_det) + points.condition
    opposite = finding(
        "log-dets of forward and inverse are opposite",
        difference(inverse, -points.log_det),
        precision.allowed(scale),
        points.z,
        np.abs(points.log_det),
    )
    return [
        _log_det("forward", points.log_det, points.jacobian, points, precision),
        _log_det("inverse", inverse, jacobian(subject.inverse, points.x), points, precision),
        opposite,
    ]


def _log_det(name, found, of_map, points, precision):
    check = f"{name} log-det is that of the Jacobian"
    if of_map is None:
        if np.prod(points.x.shape[1:]) != np.prod(points.z.shape[1:]):
            return Finding(check, OPEN, "x and z have different numbers of dimensions")
        return Finding(check, OPEN, "there is no Jacobian: too many dimensions, or no gradient")
    expected = np.linalg.slogdet(of_map)[1]
    if np.isneginf(expected).all():
        return Finding(check, OPEN, "the Jacobian is singular: z has fewer degrees of freedom")
    return finding(
        check,
        difference(found, expected),
        precision.allowed(1 + np.abs(expected) + points.condition),
        points.z,
        np.abs(expected),
        "densities would not integrate to 1",
    )


def check_gradients(subject: Subject, points: Points, precision: Precision) -> list[Finding]:
    """Gradients of values and log-dets along a random direction, against differences."""
    return [
        _gradients("forward", subject.forward, points.z, points.x, points, 0, precision),
        _gradients("inverse", subject.inverse, points.x, points.z, points, 1, precision),
    ]


def _gradients(name, function, value, result, points, side, precision):
    dtype = value.dtype.as_numpy_dtype
    direction = points.directions[side].astype(dtype)
    weights = np.random.default_rng(1).normal(size=result.shape).astype(dtype)

    def numbers(at):
        """One number a row of the value and the log-det."""
        result, log_det = function(at)
        axes = list(range(1, result.shape.rank))
        return tf.reduce_sum(weights * result, axes) + tf.broadcast_to(log_det, [len(at)])

    with tf.GradientTape() as tape:
        tape.watch(value)
        result = numbers(value)
    check = f"gradient of {name} and its log-det are differences"
    gradient = tape.gradient(result, value)
    if gradient is None:
        return Finding(check, OPEN, "there is no gradient")
    axes = list(range(1, value.shape.rank))
    found = tf.reduce_sum(gradient * direction, axes)
    step = precision.eps ** (1 / 3)
    wide, narrow = (
        (numbers(value + h * direction) - numbers(value - h * direction)) / (2 * h)
        for h in (np.asarray(h, dtype) for h in (step, step / 2))
    )
    # What differs between two steps is the error of differences, at kinks, too.
    rounding = precision.allowed(largest(result) + largest(value)) / step
    allowed = 10 * difference(wide, narrow) + rounding
    scale = largest(wide)
    return finding(check, difference(found, narrow), allowed, points.z, scale)
