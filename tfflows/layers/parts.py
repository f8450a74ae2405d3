"""The layers within a layer."""

from __future__ import annotations

import itertools

import keras

from tfflows.layers.base import InvertibleLayer
from tfflows.layers.stack import Stack
from tfflows.layers.steps import StepView


def all_parts(layer: InvertibleLayer) -> list[keras.layers.Layer]:
    """The layer and all layers within it, of a stack those that its steps have in common."""
    parts = layer._flatten_layers()
    inner = [all_parts(part.template()) for part in parts if isinstance(part, Stack)]
    return [*parts, *itertools.chain(*inner)]


def layers_of_kind(layer: InvertibleLayer, kind: type[InvertibleLayer]) -> list:
    """All layers of a kind within a layer, base first, those of a stack step by step."""
    if isinstance(layer, kind) or (isinstance(layer, StepView) and layer.is_a(kind)):
        return [layer]
    # Those of a Stack, a Chain or a MultiScale.
    found = (getattr(layer, name, None) for name in ("steps", "layers", "levels"))
    parts = next((parts for parts in found if parts), [])
    return [found for part in parts for found in layers_of_kind(part, kind)]
