"""Checks of how a map is called: twice, in batches, compiled."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfflows.auditing.measured import Points, Precision, difference, finding, largest, rows_of
from tfflows.auditing.report import OPEN, WRONG, Finding
from tfflows.auditing.subjects import Subject

_DIRECTIONS = ("forward", "inverse")


def check_calls(subject: Subject, points: Points, precision: Precision) -> list[Finding]:
    """Both directions called again, on other rows, with batch dimensions, and under XLA."""
    checks = [_again, _rows, _batch_dimensions, _xla]
    return [
        check(direction, getattr(subject, direction), value, subject, points, precision)
        for check in checks
        for direction, value in zip(_DIRECTIONS, (points.z, points.x), strict=True)
    ]


def _compared(check, found, expected, points, precision, note):
    """The finding of two pairs of value and log-det at the same inputs."""
    n = len(points.z)
    errors = difference(found[0], expected[0])
    log_dets = rows_of(expected[1], n)
    errors = np.maximum(errors, difference(rows_of(found[1], n), log_dets))
    norm = np.maximum(points.norm, points.inverse_norm)
    scale = largest(expected[0]) + np.abs(log_dets) + points.condition
    scale += norm * np.maximum(largest(points.z), largest(points.x))
    # Rounding is what two ways to compute the same differ by: the map's own error is in both.
    return finding(check, errors, precision.allowed(1e-3 + scale), points.z, scale, note)


def _again(direction, function, value, subject, points, precision):
    expected = function(value)
    function(value[::-1])
    note = "the answer depends on earlier calls, or on random numbers"
    check = f"{direction} gives the same twice"
    return _compared(check, function(value), expected, points, precision, note)


def _rows(direction, function, value, subject, points, precision):
    expected = function(value)
    n = len(value)
    one_by_one = [function(value[i : i + 1]) for i in range(n)]
    found = (
        np.concatenate([result for result, _ in one_by_one]),
        np.concatenate([rows_of(log_det, 1) for _, log_det in one_by_one]),
    )
    note = "the answer for a row depends on the other rows of its batch"
    check = f"{direction} of a row does not depend on others"
    return _compared(check, found, expected, points, precision, note)


def _batch_dimensions(direction, function, value, subject, points, precision):
    check = f"{direction} takes two batch dimensions"
    if not subject.takes_any_batch:
        return Finding(check, OPEN, "functions are called with one")
    n = len(value)
    try:
        result, log_det = function(tf.reshape(value, [2, n // 2, *value.shape[1:]]))
        found = (
            tf.reshape(result, [n, *result.shape[2:]]),
            np.reshape(np.broadcast_to(log_det, [2, n // 2]), [n]),
        )
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        return Finding(check, WRONG, f"it ends in an error: {_first_line(error)}")
    return _compared(check, found, function(value), points, precision, "")


def _xla(direction, function, value, subject, points, precision):
    check = f"{direction} under XLA is that without"
    try:
        found = tf.function(function, autograph=False, jit_compile=True)(value)
    except Exception as error:  # whatever TensorFlow, TFP or the map raise where XLA has no kernel
        return Finding(check, OPEN, f"it does not compile: {_first_line(error)}")
    return _compared(check, found, function(value), points, precision, "")


def _first_line(error):
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:150]
