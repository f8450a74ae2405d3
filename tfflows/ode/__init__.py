"""Solvers of ordinary differential equations."""

from tfflows.ode.solvers import RungeKutta4

__all__ = ["RungeKutta4"]
