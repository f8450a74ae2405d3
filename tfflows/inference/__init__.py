"""Posteriors of TFP's joint distributions by flows: variational inference, and MCMC through it."""

from tfflows.inference.chains import Chains
from tfflows.inference.posterior import SurrogatePosterior, fit_posterior

__all__ = ["Chains", "SurrogatePosterior", "fit_posterior"]
