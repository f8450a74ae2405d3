"""What layers for vectors check."""

from __future__ import annotations


def require_vectors(layer, z_shape) -> None:
    """Raise `ValueError` unless the events of a layer that is being built are vectors."""
    if len(z_shape) != 2:
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}' is for vectors, but found an event of shape "
            f"{tuple(z_shape[1:])}; put a tfflows.layers.Reshape before it."
        )
