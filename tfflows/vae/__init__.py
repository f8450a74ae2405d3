"""Variational autoencoders, their observation models, priors and posteriors."""

from tfflows.vae.hierarchy import BottomUp, HierarchicalPrior, TopDown
from tfflows.vae.missing import Missing
from tfflows.vae.model import VAE
from tfflows.vae.networks import conv_decoder, conv_encoder, mlp_decoder, mlp_encoder
from tfflows.vae.objectives import ELBO, ImportanceWeightedBound, Objective
from tfflows.vae.observations import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    DistributionObservation,
    Gaussian,
    Observation,
)
from tfflows.vae.posteriors import DiagonalGaussian, FullGaussian, Posterior
from tfflows.vae.priors import VampPrior

__all__ = [
    "ELBO",
    "VAE",
    "Bernoulli",
    "BottomUp",
    "Categorical",
    "DiagonalGaussian",
    "DiscretizedLogisticMixture",
    "DistributionObservation",
    "FullGaussian",
    "Gaussian",
    "HierarchicalPrior",
    "ImportanceWeightedBound",
    "Missing",
    "Objective",
    "Observation",
    "Posterior",
    "TopDown",
    "VampPrior",
    "conv_decoder",
    "conv_encoder",
    "mlp_decoder",
    "mlp_encoder",
]
