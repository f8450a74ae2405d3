"""Errors in units of what rounding explains."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfflows.auditing.report import OK, OPEN, WRONG, Finding
from tfflows.auditing.subjects import Subject

# Roundings that a map's own steps may add up to; a wrong sign or factor is off by a thousand times
# as much even in float32.
_ROUNDINGS = 1000
# Above this many dimensions a Jacobian takes too many passes.
_MOST_DIMENSIONS = 256


@dataclasses.dataclass(frozen=True)
class Precision:
    """How exact results are to be.

    Attributes:
        eps: distance of 1 from the next number of the dtype.
        rtol: relative error of a map whose inverse or log-det is numerical by itself.
    """

    eps: float
    rtol: float

    def allowed(self, scale):
        """The error that a result of this scale may have."""
        return (_ROUNDINGS * self.eps + self.rtol) * scale


class Points:
    """Inputs z, the x = f(z) and what else is known there, computed once.

    Attributes:
        z, x: `[n, *event_shape]` and `[n, *event_shape_of_x]`, tensors.
        log_det: forward log-dets, float64 `[n]`.
        jacobian: of f, float64 `[n, D, D]`, or `None` above 256 dimensions, where there is no
            gradient, or where x has another number of dimensions than z.
        norm, inverse_norm: largest sum of a row of |J| and |J^-1|, `[n]`; 1 where the Jacobian is
            not known. A singular one, as of triangular matrices, counts with its pseudo-inverse.
        directions: random tangents of z and x, along which f has an inverse.
    """

    def __init__(self, subject: Subject, z):
        self.z = z
        self.x, log_det = subject.forward(z)
        self.log_det = rows_of(log_det, len(z))
        self.jacobian = jacobian(subject.forward, z)
        self.norm = self.inverse_norm = np.ones(len(z))
        random = np.random.default_rng(0)
        self.directions = [random.normal(size=value.shape) for value in (z, self.x)]
        if self.jacobian is not None and np.isfinite(self.jacobian).all():
            inverses = np.linalg.pinv(self.jacobian)
            self.norm = np.abs(self.jacobian).sum(-1).max(-1)
            self.inverse_norm = np.abs(inverses).sum(-1).max(-1)
            rows = self.directions[0].reshape(len(z), -1, 1)
            tangents = self.jacobian @ rows
            self.directions = [
                np.reshape(inverses @ tangents, z.shape),
                np.reshape(tangents, self.x.shape),
            ]

    @property
    def condition(self):
        """Condition number of the Jacobian, in the norm of row sums."""
        return self.norm * self.inverse_norm


def jacobian(function, value):
    """Jacobian of a function's value by automatic differentiation, as `Points.jacobian`."""
    n, size = len(value), math.prod(value.shape[1:])
    if size > _MOST_DIMENSIONS:
        return None
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(value)
        result = function(value)[0]
        flat = tf.reshape(result, [n, -1])
    if flat.shape[1] != size:
        return None
    found = tape.batch_jacobian(flat, value, experimental_use_pfor=False)
    return None if found is None else tf.reshape(found, [n, size, size]).numpy().astype("float64")


def rows_of(log_det, n: int) -> np.ndarray:
    """A log-det as one float64 number a row."""
    return np.broadcast_to(np.asarray(log_det, "float64"), [n])


def largest(value) -> np.ndarray:
    """Largest absolute number in each row, float64."""
    value = np.abs(np.asarray(value, "float64")).reshape(len(value), -1)
    return value.max(-1, initial=0.0)


def difference(found, expected) -> np.ndarray:
    """Largest difference in each row; infinite where only one of two numbers is."""
    found, expected = np.asarray(found, "float64"), np.asarray(expected, "float64")
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        errors = np.where(same, 0.0, np.abs(found - expected))
    return largest(np.where(np.isnan(errors), np.inf, errors))


def finding(check: str, errors, allowed, inputs, scale=1.0, note: str = "") -> Finding:
    """The result of a check from each row's error and what is allowed there.

    Rows where rounding could hide 1 % of the scale say nothing.
    """
    errors, allowed = np.asarray(errors, "float64"), np.asarray(allowed, "float64")
    errors, allowed = np.broadcast_arrays(errors, allowed)
    telling = allowed < 0.01 * np.maximum(1, scale)
    if not telling.any():
        return Finding(check, OPEN, "rounding, or the map's own error, hides what is wrong by 1 %")
    ratios = np.where(telling, errors / np.maximum(allowed, np.finfo("float64").tiny), -1.0)
    row = int(np.argmax(ratios))
    verdict = WRONG if ratios[row] > 1 else OK
    worst = np.asarray(inputs[row])
    return Finding(
        check, verdict, note if verdict == WRONG else "", errors[row], allowed[row], worst
    )
