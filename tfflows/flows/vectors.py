"""What the flows for flat events share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfflows.flow import Flow
from tfflows.flows.steps import repeated
from tfflows.layers import (
    Autoregressive,
    Chain,
    Coupling,
    InvertibleLayer,
    Logit,
    Rescaling,
    Reshape,
    Standardize,
    coupling_mask,
)
from tfflows.networks import MLP, MaskedMLP
from tfflows.transformers import Transformer


class VectorFlow(Flow):
    """A flow whose layers see events flat and standardised, with those to the data added.

    Args:
        layers: base first, of flat events.
        event_shape, num_bits, logit_alpha, dtype: see `data_layers`.
        flow_settings: what else `tfflows.Flow` takes.
    """

    def __init__(
        self,
        layers: Sequence[InvertibleLayer],
        event_shape: Sequence[int],
        num_bits: int | None,
        logit_alpha: float,
        dtype: str,
        **flow_settings,
    ):
        layers = [*layers, *data_layers(event_shape, num_bits, logit_alpha, dtype)]
        chain = Chain(layers, dtype=dtype)
        super().__init__(chain, event_shape, num_bits=num_bits, dtype=dtype, **flow_settings)


def coupling_layers(
    transformer: Transformer,
    event_shape: tuple[int, ...],
    num_couplings: int,
    hidden: Sequence[int],
    mask: str | Sequence[bool],
    activation: str,
    dropout: float,
    dtype: str,
) -> list[InvertibleLayer]:
    """Couplings over the flattened event whose parts take turns.

    Two make a step that repeats. Each is conditioned by an MLP whose last layer starts at zero, so
    that the stack starts as the identity.

    Raises:
        ValueError: if `num_couplings` is below 1, the event has fewer than two dimensions, or
            the mask does not fit it.
    """
    if num_couplings < 1:
        raise ValueError(f"num_couplings must be at least 1, but found {num_couplings}.")
    size = math.prod(event_shape)
    if size < 2:
        raise ValueError(
            f"A coupling flow needs events of at least 2 dimensions, but found {event_shape}."
        )
    conditions = coupling_mask(mask, size)
    # A float64 flow has float64 networks; others follow Keras's global policy.
    network_dtype = dtype if dtype == "float64" else None

    def make(flip):
        num_transformed = int(np.sum(conditions if flip else ~conditions))
        network = MLP(
            transformer.num_parameters * num_transformed,
            hidden,
            activation,
            dropout,
            zero_output=True,
            dtype=network_dtype,
        )
        return Coupling(transformer, network, mask, flip, dtype=dtype)

    pairs, rest = divmod(num_couplings, 2)
    layers = repeated([make(False), make(True)], pairs, dtype) if pairs else []
    return [*layers, *[make(False)] * rest]


def autoregressive_layer(
    transformer: Transformer,
    hidden: Sequence[int],
    activation: str,
    dtype: str,
    residual: bool = False,
    one_pass: str = "inverse",
) -> Autoregressive:
    """An autoregressive layer over the flattened event, whose masked network ends at zero."""
    network = MaskedMLP(
        transformer.num_parameters,
        hidden,
        activation=activation,
        residual=residual,
        zero_output=True,
        dtype=dtype,
    )
    return Autoregressive(transformer, network, one_pass, dtype=dtype)


def repeated_layers(
    layers: Sequence[InvertibleLayer], num_layers: int, dtype: str
) -> list[InvertibleLayer]:
    """`repeated`, for the argument `num_layers` of a flow.

    Raises:
        ValueError: if it is below 1.
    """
    require_layers(num_layers)
    return repeated(layers, num_layers, dtype)


def require_layers(num_layers: int) -> None:
    """Raise `ValueError` unless a flow's number of layers is at least 1."""
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, but found {num_layers}.")


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
