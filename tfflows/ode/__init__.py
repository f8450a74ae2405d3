"""Solvers of ordinary differential equations."""

from tfflows.ode.solvers import DormandPrince, RungeKutta4, Solver

__all__ = ["DormandPrince", "RungeKutta4", "Solver"]
