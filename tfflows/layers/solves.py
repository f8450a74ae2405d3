"""What the solves of continuous layers cost, recorded."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Solve:
    """What a solve cost; see `record_solves`.

    Attributes:
        num_evaluations: of f, a scalar; for a whole batch, whose examples share their steps.
        kinetic_energy: the integral of |f|^2 along each example's path, `[batch]`, or `None`.
        jacobian_norm: that of the squared Frobenius norm of df/dz, `[batch]`, or `None`. With an
            estimated trace it is the unbiased estimate |e df/dz|^2 with the same noise e.

    Example:
        >>> tfflows.layers.Solve(num_evaluations=20).kinetic_energy is None
        True
    """

    num_evaluations: tf.Tensor
    kinetic_energy: tf.Tensor | None = None
    jacobian_norm: tf.Tensor | None = None


class _Recording(NamedTuple):
    solves: list[Solve] | None = None
    energies: bool = False
    on_adjoint: Callable | None = None


_NOTHING = _Recording()
_RECORDING = ContextVar("record_solves", default=_NOTHING)


@contextlib.contextmanager
def record_solves(energies: bool = False, on_adjoint: Callable | None = None):
    """In this context each solve of a `ContinuousLayer` is added to the list that this returns.

    Args:
        energies: also integrate the kinetic energy and the norm of the Jacobian, which the
            regularisers of RNODE penalise (Finlay, Jacobsen, Nurbekyan and Oberman, "How to train
            your neural ODE", 2020, section 3).
        on_adjoint: called with the number of evaluations that a gradient of such a solve takes,
            a scalar, when it is computed; within a loop of a graph, so that it has to keep it in a
            variable.

    Example:
        >>> network = tfflows.networks.TimeDependentMLP(2, hidden=(8,))
        >>> layer = tfflows.layers.ContinuousLayer(network, solver="rk4", num_steps=5)
        >>> with tfflows.layers.record_solves() as solves:
        ...     x, log_det = layer.forward_and_log_det(tf.ones([3, 2]))
        >>> int(solves[0].num_evaluations)
        20
    """
    solves = []
    token = _RECORDING.set(_Recording(solves, energies, on_adjoint))
    try:
        yield solves
    finally:
        _RECORDING.reset(token)


def current_solves() -> list[Solve]:
    """The solves so far within the innermost `record_solves`.

    Example:
        >>> tfflows.layers.current_solves()
        []
    """
    return _RECORDING.get().solves or []


def recording() -> _Recording:
    """What the innermost `record_solves` asks for, and its list."""
    return _RECORDING.get()
