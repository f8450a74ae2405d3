"""What the multi-scale image flows share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tfflows.layers import (
    AffineCoupling,
    Chain,
    Coupling,
    InvertibleLayer,
    LearnedPrior,
    Logit,
    Rescaling,
    Reshape,
)
from tfflows.networks import ConvNetwork, PriorConvolution
from tfflows.transformers import Affine


def network_dtype(dtype: str) -> str | None:
    """A float64 flow has float64 networks; others follow Keras's global policy."""
    return dtype if dtype == "float64" else None


def per_level(name: str, value: int | Sequence[int], levels: int) -> list[int]:
    """One positive integer for each level, coarsest first.

    Raises:
        ValueError: if there are not as many as levels, or one is below 1.
    """
    values = [value] * levels if isinstance(value, int) else [int(v) for v in value]
    if len(values) != levels or min(values) < 1:
        raise ValueError(
            f"{name} must be one positive integer, or one for each of the {levels} levels "
            f"(coarsest first), but found {value!r}."
        )
    return values


def check_image(flow: str, event_shape: tuple[int, ...], divisor: int):
    """Raise `ValueError` unless the event is an image whose sides `divisor` divides."""
    if len(event_shape) != 3 or min(event_shape) < 1:
        raise ValueError(
            f"{flow} is a flow for images (height, width, channels), but found the event shape "
            f"{event_shape}."
        )
    height, width, _ = event_shape
    if height % divisor or width % divisor:
        raise ValueError(
            f"{flow} halves the sides of its images until they are divided by {divisor}, but "
            f"found images of {height} x {width}; use fewer levels, or pad or crop the images."
        )


def factored_prior(channels: int, width: int, dtype: str) -> AffineCoupling:
    """Gaussian prior of the second half of the channels given the first, standard at the start."""
    network = ConvNetwork(channels, width, zero_output=True, dtype=network_dtype(dtype))
    return AffineCoupling(network, "half", log_scale_bound=3.0, dtype=dtype)


def convolution_prior(channels: int, dtype: str) -> Coupling:
    """As `factored_prior`, by one convolution; nothing bounds its log-scale."""
    network = PriorConvolution(channels, dtype=network_dtype(dtype))
    return Coupling(Affine(bound=None), network, "half", dtype=dtype)


def position_prior(shape: tuple[int, ...], dtype: str) -> list[InvertibleLayer]:
    """A `LearnedPrior` with a mean and a scale for each position of an image too."""
    size = (math.prod(shape),)
    return [
        Reshape(size, shape, dtype=dtype),
        LearnedPrior(dtype=dtype),
        Reshape(shape, size, dtype=dtype),
    ]


def with_pixels(
    transform: InvertibleLayer, num_bits: int | None, logit_alpha: float | None, dtype: str
) -> Chain:
    """The transform, and for images the map from its output to the scale of the pixels.

    That is x / 2**num_bits - 0.5 in the direction of the density, or a logit of the unit interval
    if `logit_alpha` is given.
    """
    layers = [transform]
    if num_bits is not None:
        size = 2.0**num_bits
        if logit_alpha is None:
            layers.append(Rescaling(size, size / 2, dtype=dtype))
        else:
            layers += [Logit(logit_alpha, dtype=dtype), Rescaling(size, dtype=dtype)]
    return Chain(layers, dtype=dtype)
