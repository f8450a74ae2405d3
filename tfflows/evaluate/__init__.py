"""Measured figures of a flow: likelihood on held-out data, round trip, log-det, sample quality."""

from tfflows.evaluate.invertibility import RoundTrip, log_det_error, round_trip, round_trip_error
from tfflows.evaluate.likelihood import (
    Likelihood,
    gaussian_likelihood,
    importance_weighted,
    likelihood,
    log_weights,
)
from tfflows.evaluate.report import report
from tfflows.evaluate.sample_quality import SlicedWasserstein, draw_images, sliced_wasserstein

__all__ = [
    "Likelihood",
    "RoundTrip",
    "SlicedWasserstein",
    "draw_images",
    "gaussian_likelihood",
    "importance_weighted",
    "likelihood",
    "log_det_error",
    "log_weights",
    "report",
    "round_trip",
    "round_trip_error",
    "sliced_wasserstein",
]
