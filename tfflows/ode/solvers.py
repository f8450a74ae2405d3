"""How ordinary differential equations are solved, as values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import keras

from tfflows.checks.settings import Settings, as_value, set_positive

if TYPE_CHECKING:
    import tensorflow_probability as tfp


@dataclasses.dataclass(frozen=True)
class Solver(Settings):
    """How an ordinary differential equation is solved, as a value.

    A new one is a frozen dataclass, registered with Keras, that implements `make`.

    Attributes:
        supports_jit: whether XLA may compile a solve.
    """

    supports_jit: ClassVar[bool] = False

    def make(
        self, length: float, training: bool = False, on_adjoint: Callable | None = None
    ) -> tfp.math.ode.Solver:
        """TFP's solver for an interval of time.

        Args:
            length: of the interval, positive.
            training: whether the solve is one of a training step.
            on_adjoint: called with the number of evaluations of each solve of the adjoint
                equation, see `tfflows.layers.Costs`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what solver it makes.")


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class DormandPrince(Solver):
    """Dormand and Prince's adaptive Runge-Kutta method of order 5.

    A step's length follows from an estimate of its error. XLA drops the check of
    `max_evaluations`, and a solve that cannot end would not: `supports_jit` is False.

    Args:
        rtol, atol: relative and absolute error that a step may make.
        adjoint: a `DormandPrince` for the adjoint equation, whose solution is the gradient; `None`
            for ten times the errors.
        training: a `DormandPrince` for training, where rougher steps cost less; `None` for the same
            as elsewhere.
        first_step: first step, as a fraction of the interval.
        max_evaluations: cap on the evaluations of f within one solve.

    Raises:
        ValueError: if an argument is out of its range, or what is for the adjoint equation or for
            training has such parts itself.

    Source: Dormand and Prince, "A family of embedded Runge-Kutta formulae", 1980.

    Example:
        >>> solver = tfflows.ode.DormandPrince(1e-6, 1e-6, training=tfflows.ode.DormandPrince(1e-3))
        >>> results = solver.make(length=1.0).solve(
        ...     lambda t, y: -y, 0.0, tf.constant([1.0]), [1.0]
        ... )
        >>> bool(abs(results.states[0, 0] - np.exp(-1)) < 1e-5)
        True
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    adjoint: DormandPrince | None = None
    training: DormandPrince | None = None
    first_step: float = 0.05
    max_evaluations: int = 1000

    def __post_init__(self):
        set_positive(self, "rtol", "atol", "first_step")
        set_positive(self, "max_evaluations", integers=True)
        parts = {"adjoint": ("adjoint", "training"), "training": ("training",)}
        for part, without in parts.items():
            value = getattr(self, part)
            if value is None:
                continue
            expected = f"DormandPrince's {part} is a DormandPrince or None"
            value = as_value(DormandPrince, value, expected)
            for name in without:
                if getattr(value, name) is not None:
                    raise ValueError(f"{expected}, without {name} of its own, but found {value}.")
            object.__setattr__(self, part, value)

    def __str__(self):
        return f"dormand_prince, rtol {self.rtol:g}, atol {self.atol:g}"

    def make(
        self, length: float, training: bool = False, on_adjoint: Callable | None = None
    ) -> tfp.math.ode.Solver:
        own = self.training if training and self.training is not None else self
        adjoint = own.adjoint
        if adjoint is None:
            rough = {"rtol": 10 * own.rtol, "atol": 10 * own.atol}
            adjoint = dataclasses.replace(own, **rough, training=None)

        def make_adjoint():
            return adjoint._make(length, on_solve=on_adjoint)

        return own._make(length, make_adjoint_solver_fn=make_adjoint)

    def _make(self, length, **settings):
        # Classes of TFP's, which take a second to load.
        from tfflows.ode.tfp_solvers import CappedDormandPrince

        return CappedDormandPrince(
            self.max_evaluations,
            rtol=self.rtol,
            atol=self.atol,
            first_step_size=self.first_step * length,
            **settings,
        )


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class RungeKutta4(Solver):
    """The classical Runge-Kutta method of order 4 with steps of equal length.

    Its cost is known beforehand: four evaluations of f a step. Gradients come from the adjoint
    equation, solved with as many steps, so that memory does not grow with them.

    Args:
        steps: for the whole time; if solution times divide it, each part has its share, rounded
            up.

    Raises:
        ValueError: if there is not at least one step.

    Example:
        >>> solver = tfflows.ode.RungeKutta4(steps=8).make(length=1.0)
        >>> results = solver.solve(lambda t, y: -y, 0.0, tf.constant([1.0]), [1.0])
        >>> bool(abs(results.states[0, 0] - np.exp(-1)) < 1e-5)
        True
    """

    supports_jit = True

    steps: int = 8

    def __post_init__(self):
        set_positive(self, "steps", integers=True)

    def __str__(self):
        return f"rk4, {self.steps} steps"

    def make(
        self, length: float, training: bool = False, on_adjoint: Callable | None = None
    ) -> tfp.math.ode.Solver:
        from tfflows.ode.tfp_solvers import FixedRungeKutta4

        return FixedRungeKutta4(
            self.steps,
            make_adjoint_solver_fn=lambda: FixedRungeKutta4(self.steps, on_solve=on_adjoint),
        )
