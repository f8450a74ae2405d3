"""Masks of couplings: which part of an event conditions, and which one is transformed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfflows.layers.permutation import permute


def coupling_mask(mask: str | Sequence[bool], size: int) -> np.ndarray:
    """Boolean mask of `[size]`, True where the coupling conditions and leaves values as they are.

    Args:
        mask: `"half"` (the first half conditions), `"alternating"` (even positions condition),
            or `size` booleans.
        size: size of the last axis of the event.

    Raises:
        ValueError: if the name is unknown, the length is wrong, `"half"` meets an odd size, or
            one of the two parts is empty.

    Example:
        >>> print(tfflows.layers.coupling_mask("alternating", 4))
        [ True False  True False]
    """
    if isinstance(mask, str):
        if mask not in ("half", "alternating"):
            raise ValueError(
                "A coupling's mask is 'half', 'alternating' or a list of booleans, but found "
                f"{mask!r}."
            )
        if mask == "half" and size % 2:
            raise ValueError(
                f"The mask 'half' needs an even number of dimensions, but found {size}; use "
                "'alternating' or give the mask as a list of booleans."
            )
        positions = np.arange(size)
        result = positions < size // 2 if mask == "half" else positions % 2 == 0
    else:
        result = np.asarray(mask, bool)
        if result.shape != (size,):
            raise ValueError(
                f"The coupling's mask has shape {result.shape}, but its event has {size} "
                f"dimensions; expected shape {(size,)}."
            )
    if result.all() or not result.any():
        raise ValueError(
            "A coupling needs at least one dimension that conditions and one that is transformed, "
            f"but found {int(result.sum())} and {int((~result).sum())} of {size}."
        )
    return result


def parts_of(mask: str | Sequence[bool], flip: bool, event_shape: tuple[int, ...], dtype: str):
    """How a mask splits events of a shape: `AxisParts` or `CheckerboardParts`.

    Raises:
        ValueError: if the mask does not fit the event.
    """
    if mask == "checkerboard":
        return CheckerboardParts(event_shape, flip, dtype)
    return AxisParts(coupling_mask(mask, event_shape[-1]), flip)


class AxisParts:
    """The two parts of an event whose last axis is split by a mask."""

    def __init__(self, mask: np.ndarray, flip: bool):
        self.conditions = mask ^ flip
        order = np.concatenate([np.flatnonzero(mask), np.flatnonzero(~mask)])
        in_order = np.array_equal(order, np.arange(len(order)))
        self._order = None if in_order else order
        self._masked_sizes = [int(mask.sum()), int((~mask).sum())]
        self._flip = flip
        self.sizes = self._masked_sizes[::-1] if flip else self._masked_sizes

    def split(self, value):
        if self._order is not None:
            value = permute(value, self._order, np.argsort(self._order))
        first, second = tf.split(value, self._masked_sizes, axis=-1)
        return (second, first) if self._flip else (first, second)

    def select(self, b, log_det):
        """Of what a transformer returns the transformed part."""
        return b, log_det

    def merge(self, a, b):
        value = tf.concat([b, a] if self._flip else [a, b], axis=-1)
        if self._order is not None:
            value = permute(value, np.argsort(self._order), self._order)
        return value

    def merge_gradients(self, da, db):
        return self.merge(da, db)


class CheckerboardParts:
    """The two colours of a checkerboard over an image, each a whole image with zeros."""

    def __init__(self, event_shape, flip: bool, dtype: str):
        if len(event_shape) != 3 or event_shape[0] * event_shape[1] < 2:
            raise ValueError(
                "The mask 'checkerboard' needs images (height, width, channels) of at least 2 "
                f"pixels, but found the event shape {tuple(event_shape)}."
            )
        height, width, channels = event_shape
        rows, columns = np.mgrid[:height, :width]
        self.conditions = (rows + columns + flip)[..., None] % 2 == 0
        self._conditions = self.conditions.astype(dtype)
        self.sizes = [channels, channels]

    def split(self, value):
        return value * self._conditions, value * (1 - self._conditions)

    def select(self, b, log_det):
        """Of what a transformer returns the transformed part: zeros where the pixel conditions."""
        return b * (1 - self._conditions), log_det * (1 - self._conditions)

    def merge(self, a, b):
        return a + b

    def merge_gradients(self, da, db):
        return da * self._conditions + db * (1 - self._conditions)
