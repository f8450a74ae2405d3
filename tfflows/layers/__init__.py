"""Invertible Keras layers."""

from tfflows.checks.backend import require_tensorflow
from tfflows.layers.actnorm import ActNorm
from tfflows.layers.autoregressive import Autoregressive
from tfflows.layers.base import InvertibleLayer
from tfflows.layers.batch_normalization import BatchNormalization
from tfflows.layers.block_autoregressive import BlockAutoregressive
from tfflows.layers.chain import Chain
from tfflows.layers.circular import CircularShift
from tfflows.layers.columns import Column, Columns
from tfflows.layers.continuous import ContinuousLayer
from tfflows.layers.coupling import AdditiveCoupling, AffineCoupling, Coupling
from tfflows.layers.data_dependent import DataDependentLayer
from tfflows.layers.elementwise import Elementwise
from tfflows.layers.inverse_cdf import InverseCDF
from tfflows.layers.linear import Conv1x1
from tfflows.layers.log_det import Exact, LogDetEstimator, Roulette, Truncated
from tfflows.layers.low_rank import Planar, Radial
from tfflows.layers.marginals import MarginalGaussianization
from tfflows.layers.masks import coupling_mask
from tfflows.layers.multiscale import MultiScale
from tfflows.layers.passes import Pass
from tfflows.layers.permutation import Permutation, Reverse
from tfflows.layers.preprocessing import Logit, Rescaling, Reshape
from tfflows.layers.prior import LearnedPrior
from tfflows.layers.residual import ResidualBlock
from tfflows.layers.scale import Scale, Standardize
from tfflows.layers.solves import Costs, Solve
from tfflows.layers.squeeze import Squeeze
from tfflows.layers.stack import Stack
from tfflows.layers.sylvester import Sylvester
from tfflows.layers.traces import ExactTrace, Hutchinson, Trace

require_tensorflow()

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "Autoregressive",
    "BatchNormalization",
    "BlockAutoregressive",
    "Chain",
    "CircularShift",
    "Column",
    "Columns",
    "ContinuousLayer",
    "Conv1x1",
    "Costs",
    "Coupling",
    "DataDependentLayer",
    "Elementwise",
    "Exact",
    "ExactTrace",
    "Hutchinson",
    "InverseCDF",
    "InvertibleLayer",
    "LearnedPrior",
    "LogDetEstimator",
    "Logit",
    "MarginalGaussianization",
    "MultiScale",
    "Pass",
    "Permutation",
    "Planar",
    "Radial",
    "Rescaling",
    "Reshape",
    "ResidualBlock",
    "Reverse",
    "Roulette",
    "Scale",
    "Solve",
    "Squeeze",
    "Stack",
    "Standardize",
    "Sylvester",
    "Trace",
    "Truncated",
    "coupling_mask",
]
