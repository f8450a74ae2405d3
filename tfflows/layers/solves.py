"""What the solves of continuous layers cost, recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Solve:
    """What a solve cost; see `Costs`.

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


class Costs:
    """Record of solves: each `ContinuousLayer` of a `Pass` with `costs` adds its own to `solves`.

    Each `ResidualBlock` adds a pair of its g and x to `contractions`, on the way from x to z.

    Args:
        energies: also integrate the kinetic energy and the norm of the Jacobian, which the
            regularisers of RNODE penalise (Finlay, Jacobsen, Nurbekyan and Oberman, "How to train
            your neural ODE", 2020, section 3).
        on_adjoint: called with the number of evaluations that a gradient of such a solve takes,
            a scalar, when it is computed; within a loop of a graph, so that it has to keep it in a
            variable.

    Example:
        >>> network = tfflows.networks.TimeDependentMLP(2, hidden=(8,))
        >>> layer = tfflows.layers.ContinuousLayer(network, solver=tfflows.ode.RungeKutta4(5))
        >>> costs = tfflows.layers.Costs()
        >>> x, log_det = layer.forward_pass(tf.ones([3, 2]), tfflows.layers.Pass(costs=costs))
        >>> int(costs.solves[0].num_evaluations)
        20
    """

    def __init__(self, energies: bool = False, on_adjoint: Callable | None = None):
        self.energies = energies
        self.on_adjoint = on_adjoint
        self.solves: list[Solve] = []
        self.contractions: list[tuple[Callable, tf.Tensor]] = []
