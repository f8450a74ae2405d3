"""What the coupling flows for flat events share."""

from __future__ import annotations

import math

from tfflows.layers import InvertibleLayer, Logit, Rescaling, Reshape, Standardize


def data_layers(
    event_shape: tuple[int, ...], num_bits: int | None, logit_alpha: float | None, dtype: str
) -> list[InvertibleLayer]:
    """Layers from a flat, roughly standardised event to the data.

    Standardisation by `adapt` comes first. For images, between it and the pixels, a logit of the
    unit interval if `logit_alpha` is given.
    """
    is_image = num_bits is not None
    layers = [Standardize(prior_examples=1.0 if is_image else 0.0, dtype=dtype)]
    if is_image and logit_alpha is not None:
        layers += [Logit(logit_alpha, dtype=dtype), Rescaling(2.0**num_bits, dtype=dtype)]
    if len(event_shape) > 1:
        layers.append(Reshape(event_shape, dtype=dtype))
    return layers


def flat_size(event_shape: tuple[int, ...]) -> int:
    """Number of dimensions of an event.

    Raises:
        ValueError: if there are fewer than two: a coupling needs two parts.
    """
    size = math.prod(event_shape)
    if size < 2:
        raise ValueError(
            f"A coupling flow needs events of at least 2 dimensions, but found {event_shape}."
        )
    return size


def conditioner_dtype(dtype: str) -> str | None:
    """float64 flows have float64 networks; otherwise networks follow Keras's global policy."""
    return dtype if dtype == "float64" else None
