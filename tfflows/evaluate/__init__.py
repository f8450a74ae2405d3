"""Measured figures of flows and autoencoders: likelihood, round trip, latents, samples and more."""

from tfflows.evaluate.anomaly import AnomalyDetector, Threshold
from tfflows.evaluate.calibration import Calibration, calibration
from tfflows.evaluate.importance import ImportanceSamples, importance_samples
from tfflows.evaluate.invertibility import RoundTrip, log_det_error, round_trip, round_trip_error
from tfflows.evaluate.latents import LatentUsage, latent_usage
from tfflows.evaluate.likelihood import (
    Likelihood,
    gaussian_likelihood,
    importance_weighted,
    importance_weighted_bound,
    kernel_density_likelihood,
    likelihood,
    log_weights,
)
from tfflows.evaluate.lipschitz_bounds import (
    EstimatorFigures,
    LipschitzBounds,
    estimator_report,
    lipschitz,
)
from tfflows.evaluate.prior_hole import PriorHole, prior_hole
from tfflows.evaluate.report import report
from tfflows.evaluate.sample_quality import SlicedWasserstein, draw_images, sliced_wasserstein

__all__ = [
    "AnomalyDetector",
    "Calibration",
    "EstimatorFigures",
    "ImportanceSamples",
    "Likelihood",
    "LatentUsage",
    "LipschitzBounds",
    "PriorHole",
    "RoundTrip",
    "SlicedWasserstein",
    "Threshold",
    "calibration",
    "draw_images",
    "estimator_report",
    "gaussian_likelihood",
    "importance_samples",
    "importance_weighted",
    "importance_weighted_bound",
    "kernel_density_likelihood",
    "latent_usage",
    "likelihood",
    "lipschitz",
    "log_det_error",
    "log_weights",
    "prior_hole",
    "report",
    "round_trip",
    "round_trip_error",
    "sliced_wasserstein",
]
