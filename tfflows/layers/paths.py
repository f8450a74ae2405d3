"""The path that a flow of continuous layers takes from its base to the data."""

from __future__ import annotations

from tfflows.layers.base import InvertibleLayer
from tfflows.layers.chain import Chain
from tfflows.layers.continuous import ContinuousLayer
from tfflows.layers.multiscale import MultiScale
from tfflows.layers.parts import layers_of_kind


def path_of(
    transform: InvertibleLayer, subject: str
) -> tuple[list[ContinuousLayer], list[InvertibleLayer]]:
    """The continuous layers that z passes first, and the layers behind them, base first.

    Args:
        transform: a flow's.
        subject: of the sentence if there is no such path, which goes on with "needs".

    Raises:
        ValueError: if no continuous layer comes first, others follow behind another layer, or parts
            of z take paths of different lengths, as those of several levels do.

    Example:
        >>> network = tfflows.networks.TimeDependentMLP(2, hidden=(8,))
        >>> layers = [tfflows.layers.ContinuousLayer(network), tfflows.layers.Scale()]
        >>> blocks, after = tfflows.layers.paths.path_of(tfflows.layers.Chain(layers), "This")
        >>> [type(layer).__name__ for layer in [*blocks, *after]]
        ['ContinuousLayer', 'Scale']
    """
    layers = _in_sequence(transform)
    number = 0
    while number < len(layers) and isinstance(layers[number], ContinuousLayer):
        number += 1
    blocks, after = layers[:number], layers[number:]
    for layer in after:
        if isinstance(layer, MultiScale) and layers_of_kind(layer, ContinuousLayer):
            raise ValueError(
                f"{subject} needs a flow of one level, but found {len(layer.levels)}, whose parts "
                "of z take paths of different lengths."
            )
    if not blocks or any(layers_of_kind(layer, ContinuousLayer) for layer in after):
        found = [type(layer).__name__ for layer in layers]
        raise ValueError(
            f"{subject} needs a flow whose continuous layers come first, next to the base, but "
            f"found {found}."
        )
    return blocks, after


def _in_sequence(layer):
    """The layers that a whole z or x passes one after the other, base first."""
    if isinstance(layer, Chain):
        return [inner for part in layer.layers for inner in _in_sequence(part)]
    if isinstance(layer, MultiScale) and len(layer.levels) == 1:
        return _in_sequence(layer.levels[0])
    return [layer]
