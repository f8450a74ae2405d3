"""The layers within a layer."""

from __future__ import annotations

import itertools

import keras

from tfflows.layers.base import InvertibleLayer
from tfflows.layers.steps import StepView


def all_parts(layer: InvertibleLayer) -> list[keras.layers.Layer]:
    """The layer and all layers within it, of a stack those that its steps have in common."""
    parts = layer._flatten_layers()
    # Stacks cannot be told by their class, whose file needs this one.
    stacks = [p for p in parts if isinstance(p, InvertibleLayer) and hasattr(p, "template")]
    inner = [all_parts(stack.template()) for stack in stacks]
    return [*parts, *itertools.chain(*inner)]


def seed_generators(layer: keras.layers.Layer) -> list[keras.random.SeedGenerator]:
    """Keras's seed generators in a layer and all within it: those of dropout, noise and the like.

    They are found where Keras finds them: as attributes of layers, also in lists and dictionaries.
    """
    found = [generator for part in all_parts(layer) for generator in part._seed_generators]
    return [*dict.fromkeys(found)]


def layers_of_kind(layer: InvertibleLayer, kind: type[InvertibleLayer]) -> list:
    """All layers of a kind within a layer, base first, those of a stack step by step."""
    if isinstance(layer, kind) or (isinstance(layer, StepView) and layer.is_a(kind)):
        return [layer]
    # Those of a Stack, a Chain or a MultiScale.
    found = (getattr(layer, name, None) for name in ("steps", "layers", "levels"))
    parts = next((parts for parts in found if parts), [])
    return [found for part in parts for found in layers_of_kind(part, kind)]
