"""Elementwise invertible maps with given parameters.

A line here makes a transformer known: to users, and to all tests (`as` marks it as exported).
"""

from tfflows.transformers.affine import Affine as Affine
from tfflows.transformers.affine import SigmoidAffine as SigmoidAffine
from tfflows.transformers.base import Transformer, as_transformer
from tfflows.transformers.bernstein import BernsteinPolynomial as BernsteinPolynomial
from tfflows.transformers.dense_sigmoid import DenseSigmoid as DenseSigmoid
from tfflows.transformers.integrals import MonotonicMLP as MonotonicMLP
from tfflows.transformers.integrals import SumOfSquares as SumOfSquares
from tfflows.transformers.mixture import LogisticMixture as LogisticMixture
from tfflows.transformers.polynomial_splines import CubicSpline as CubicSpline
from tfflows.transformers.polynomial_splines import LinearSpline as LinearSpline
from tfflows.transformers.polynomial_splines import QuadraticSpline as QuadraticSpline
from tfflows.transformers.shift import Shift as Shift
from tfflows.transformers.sinh_arcsinh import SinhArcsinh as SinhArcsinh
from tfflows.transformers.spline import CircularSpline as CircularSpline
from tfflows.transformers.spline import RationalQuadraticSpline as RationalQuadraticSpline

# All of them, by name.
TRANSFORMERS = {
    name: value
    for name, value in dict(globals()).items()
    if isinstance(value, type) and issubclass(value, Transformer) and value is not Transformer
}

__all__ = ["TRANSFORMERS", "Transformer", "as_transformer", *TRANSFORMERS]
