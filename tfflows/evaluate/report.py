"""All figures of a flow on a data set, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfflows.data import Dataset
from tfflows.distributions.dequantization import dequantize
from tfflows.evaluate.invertibility import round_trip
from tfflows.evaluate.likelihood import Likelihood, likelihood, log_weights
from tfflows.evaluate.sample_quality import draw_images, sliced_wasserstein
from tfflows.flow import Flow


def report(
    flow: Flow,
    data: Dataset,
    split: str = "test",
    num_draws: int = 1,
    num_samples: int = 16,
    num_examples: int = 256,
    seed: int = 0,
) -> Iterator[str]:
    """Measure a flow on one split, and yield a line for each figure as soon as it is known.

    The likelihood is measured on the whole split. What costs more is measured on `num_examples`
    random examples of it: the error of a round trip, and for images the importance-weighted bound
    beside the plain one with the same draws, and the sliced Wasserstein distance of samples beside
    that of as many training images.

    Args:
        flow: the flow.
        data: what it is measured on.
        split: `"train"`, `"validation"` or `"test"`.
        num_draws: dequantisation draws per image for the likelihood.
        num_samples: draws per image for the importance-weighted bound.
        num_examples: at most, for the figures that cost more.
        seed: of all draws, samples and choices.

    Raises:
        ValueError: if a number is below 1, or as `tfflows.evaluate.likelihood` does.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        >>> for line in tfflows.evaluate.report(flow, tfflows.data.load("moons")):
        ...     print(line)
        nll, exact: ...
        round trip in float32: error at most ...
    """
    for name, value in {"num_samples": num_samples, "num_examples": num_examples}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, but found {value}.")
    examples = getattr(data, split)
    whole_context = examples.y if flow.is_conditional else None
    yield _line(likelihood(flow, examples.x, whole_context, num_draws, seed))

    rows = np.random.default_rng(seed).permutation(len(examples))[:num_examples]
    x = examples.x[rows]
    context = None if whole_context is None else whole_context[rows]
    if flow.num_bits is not None:
        weights = log_weights(flow, x, context, num_samples, seed)
        yield _line(Likelihood.of_log_weights(flow, weights))
        if flow.log_det_estimator is None:
            yield _line(Likelihood.of_log_weights(flow, weights, importance=True))
    points = x
    if flow.num_bits is not None:
        points = dequantize(x, flow.num_bits, seed, flow.compute_dtype)
    yield f"round trip in {flow.compute_dtype}: {round_trip(flow, points, context)}"
    if flow.num_bits is None or len(flow.event_shape) != 3:
        return

    other = "test" if split == "train" else "train"
    others = getattr(data, other).x
    others = others[np.random.default_rng(seed).permutation(len(others))[: len(x)]]
    n = len(others)
    samples = draw_images(flow, n, context, seed)
    for name, images in {"samples": samples, f"{other} split": others}.items():
        distance = sliced_wasserstein(x[:n], images, seed)
        yield f"sliced Wasserstein distance, {name} to {split} split: {distance}"


def _line(found: Likelihood) -> str:
    draws = f", {found.num_draws} per image" if found.num_draws else ""
    return f"nll, {found.estimator}{draws}: {found}"
