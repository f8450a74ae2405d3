"""Steps that repeat."""

from __future__ import annotations

from collections.abc import Sequence

from tfflows.layers import Chain, InvertibleLayer, Stack


def repeated(layers: Sequence[InvertibleLayer], n: int, dtype: str) -> list[InvertibleLayer]:
    """Layers that do n times what the given ones do, base first, each time with new weights."""
    return [*layers] if n == 1 else [Stack(Chain(layers, dtype=dtype), n, dtype=dtype)]
