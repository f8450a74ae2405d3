"""From arrays of any origin to a checked `Dataset`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfflows.data.dataset import SPLITS, Dataset, Split


def check_num_bits(num_bits: int) -> None:
    """Raise `ValueError` unless `num_bits` is an integer from 1 to 8."""
    if not isinstance(num_bits, (int, np.integer)) or not 1 <= num_bits <= 8:
        raise ValueError(f"num_bits is {num_bits!r}: expected an integer from 1 to 8.")


def reduce_bits(x: np.ndarray, num_bits: int, stored_bits: int = 8) -> np.ndarray:
    """Keep the top `num_bits` of each pixel: `x >> (stored_bits - num_bits)`.

    Args:
        x: uint8 array of any shape with values in `[0, 2**stored_bits)`.
        num_bits: bits to keep, from 1 to `stored_bits`.
        stored_bits: bits that `x` has, from 1 to 8.

    Returns:
        uint8 array of the same shape with values in `[0, 2**num_bits)`.

    Raises:
        ValueError: for another dtype, or bits out of range.

    Example:
        >>> import numpy as np
        >>> import tfflows.data as data
        >>> data.reduce_bits(np.array([0, 7, 8, 255], "uint8"), num_bits=5).tolist()
        [0, 0, 1, 31]
    """
    check_num_bits(num_bits)
    check_num_bits(stored_bits)
    if num_bits > stored_bits:
        raise ValueError(f"num_bits is {num_bits}: expected at most the stored {stored_bits} bits.")
    if x.dtype != np.uint8:
        raise ValueError(f"The pixels have dtype {x.dtype}: expected uint8.")
    return x >> np.uint8(stored_bits - num_bits)


def make_dataset(
    name: str,
    description: str,
    splits: dict[str, tuple[np.ndarray, np.ndarray | None]],
    num_bits: int,
    seed: int = 0,
    attribute_names: Sequence[str] | None = None,
    column_names: Sequence[str] | None = None,
) -> Dataset:
    """Check and convert arrays, and draw the splits that are missing from "train".

    Float arrays `[n, D]` become float32 vectors, integer arrays `[n, height, width]` or
    `[n, height, width, channels]` uint8 images. Integers `[n]` become int64 labels, booleans
    `[n, k]` float32 attributes. A missing "validation" or "test" is a tenth of "train", drawn by
    `np.random.default_rng(seed).permutation`: 80/10/10 where both are missing.

    Args:
        name: name of the data set, which errors also begin with.
        description: source and licence; the split is added to it.
        splits: `(x, y)` of "train", and of "validation" and "test" if there are such; `y` may be
            `None`.
        num_bits: bits that images have.
        seed: seed of the drawn splits.
        attribute_names: names of the `k` attributes, if they have any.
        column_names: names of the `D` columns of vectors, if they have any.

    Raises:
        ValueError: for any array that is not as above.
    """
    done = {}
    for split, (x, y) in splits.items():
        where = f"{split!r} of data set {name!r}" if len(splits) > 1 else f"Data set {name!r}"
        x = _as_examples(x, num_bits, where)
        done[split] = Split(x, None if y is None else _as_labels(y, len(x), where))
    train = done["train"]
    for split, other in done.items():
        if (other.x.shape[1:], other.x.dtype) != (train.x.shape[1:], train.x.dtype):
            raise ValueError(
                f"{split!r} of data set {name!r} holds {other.x.dtype} examples of shape "
                f"{other.x.shape[1:]}: expected {train.x.dtype} of shape {train.x.shape[1:]}, as "
                f"in 'train'."
            )
    k = _num_attributes(done, name)
    names = None if attribute_names is None else _as_names(attribute_names, k, name)
    missing = [split for split in SPLITS if split not in done]
    if missing:
        n, part = len(train), len(train) // 10
        if part == 0:
            raise ValueError(
                f"Data set {name!r} has {n} training examples, too few to take "
                f"{' and '.join(missing)} from: expected at least 10."
            )
        order = np.random.default_rng(seed).permutation(n)
        kept = n - part * len(missing)
        done["train"] = _take(train, order[:kept])
        for i, split in enumerate(missing):
            done[split] = _take(train, order[kept + i * part : kept + (i + 1) * part])
        drawn = f", {' and '.join(missing)} drawn from train with seed {seed}"
    else:
        drawn = ""
    sizes = ", ".join(f"{len(done[split]):,} {split}" for split in SPLITS)
    return Dataset(
        name=name,
        description=f"{description} Split: {sizes}{drawn}.",
        num_bits=num_bits if train.x.dtype == np.uint8 else None,
        attribute_names=names,
        column_names=None if column_names is None else tuple(column_names),
        **done,
    )


def _take(split: Split, index: np.ndarray) -> Split:
    return Split(split.x[index], None if split.y is None else split.y[index])


def _as_examples(x: np.ndarray, num_bits: int, where: str) -> np.ndarray:
    if x.dtype.kind not in "fiu":
        raise ValueError(
            f"{where} has dtype {x.dtype}: expected floats for vectors or integers for images."
        )
    if x.size == 0:
        raise ValueError(f"{where} is empty, of shape {x.shape}: expected at least one example.")
    return _as_vectors(x, where) if x.dtype.kind == "f" else _as_images(x, num_bits, where)


def _as_vectors(x: np.ndarray, where: str) -> np.ndarray:
    if x.ndim != 2:
        raise ValueError(
            f"{where} is a float array of shape {x.shape}: expected vectors [n, D], or images as "
            f"integers."
        )
    # Checked after the cast, in which float64 values beyond float32 become infinite.
    with np.errstate(over="ignore"):
        x = x.astype("float32", copy=False)
    nan, infinite = int(np.isnan(x).sum()), int(np.isinf(x).sum())
    if nan or infinite:
        raise ValueError(
            f"{where} has {nan} NaN and {infinite} infinite values in float32: expected finite "
            f"values only."
        )
    return x


def _as_images(x: np.ndarray, num_bits: int, where: str) -> np.ndarray:
    if x.ndim not in (3, 4):
        raise ValueError(
            f"{where} is an integer array of shape {x.shape}: expected images [n, height, width] "
            f"or [n, height, width, channels], or vectors as floats."
        )
    low, high = int(x.min()), int(x.max())
    if low < 0 or high >= 2**num_bits:
        raise ValueError(
            f"{where} has pixels from {low} to {high}: expected 0 to {2**num_bits - 1} for "
            f"num_bits={num_bits} (reduce_bits makes such images of 8-bit ones)."
        )
    x = x.astype("uint8", copy=False)
    return x[..., None] if x.ndim == 3 else x


def _as_labels(y: np.ndarray, n: int, where: str) -> np.ndarray:
    if y.dtype == bool and y.ndim == 2 and len(y) == n and y.size:
        return y.astype("float32")
    if y.dtype.kind not in "iu" or y.shape not in ((n,), (n, 1)):
        raise ValueError(
            f"The labels of {where} have dtype {y.dtype} and shape {y.shape}: expected integers "
            f"of shape ({n},), or booleans of shape ({n}, k) for k attributes."
        )
    if y.min() < 0:
        raise ValueError(f"The labels of {where} start at {y.min()}: expected 0 or more.")
    return y.reshape(n).astype("int64")


def _num_attributes(splits: dict[str, Split], name: str) -> int:
    kinds = {split: s.y.shape[1:] for split, s in splits.items() if s.y is not None}
    first = next(iter(kinds), None)
    for split, kind in kinds.items():
        if kind != kinds[first]:
            found, expected = (
                f"{k[0]} attributes" if k else "labels of classes" for k in (kind, kinds[first])
            )
            raise ValueError(
                f"{split!r} of data set {name!r} has {found}: expected {expected}, as in {first!r}."
            )
    return kinds[first][0] if first and kinds[first] else 0


def _as_names(names: Sequence[str], k: int, name: str) -> tuple[str, ...]:
    names = np.asarray(names)
    if names.dtype.kind != "U" or names.shape != (k,):
        raise ValueError(
            f"The attribute_names of data set {name!r} have dtype {names.dtype} and shape "
            f"{names.shape}: expected strings of shape ({k},), one for each of {k} attributes."
        )
    return tuple(names.tolist())
