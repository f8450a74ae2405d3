"""The training images that look most like samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def nearest_neighbours(
    samples: ArrayLike, train: ArrayLike, k: int = 1, batch_size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """The k training images nearest to each sample in pixel space.

        |s - t| = sqrt(|s|^2 - 2 s.t + |t|^2) over all pixels and channels, in float64

    A flow that has memorised images draws samples much closer to their neighbours than held-out
    images are to theirs. Distances between images of integer pixels are exact.

    Args:
        samples: `[n, ...]` numbers on the same scale as the training images: quantised samples,
            see `tfflows.distributions.quantize`.
        train: `[m, ...]`, of any size, since only `batch_size` of them are looked at together; a
            memory-mapped array will do.
        k: how many neighbours, from 1 to m.
        batch_size: training images looked at together.

    Returns:
        Indices into `train` and distances, each `[n, k]`, nearest first; of images as near as each
        other the first one.

    Raises:
        ValueError: for samples and training images of different shapes, none of either, or k out
            of range.

    Example:
        >>> train = np.arange(10).reshape(5, 2)
        >>> index, distance = tfflows.edit.nearest_neighbours(np.array([[3, 3]]), train, k=2)
        >>> index.tolist(), distance.tolist()
        ([[1, 2]], [[1.0, 2.23606797749979]])
    """
    samples = np.asarray(samples)
    if len(np.shape(train)) < 2 or samples.shape[1:] != np.shape(train)[1:] or not len(samples):
        raise ValueError(
            "nearest_neighbours takes samples and training images of one shape, but found arrays "
            f"of shapes {samples.shape} and {np.shape(train)}."
        )
    if k not in range(1, len(train) + 1):
        raise ValueError(
            f"nearest_neighbours needs k from 1 to the {len(train)} training images, but found {k}."
        )
    samples = samples.reshape(len(samples), -1).astype("float64")
    norms = np.sum(samples**2, axis=1, keepdims=True)
    indices, squares = np.zeros([len(samples), 0], int), np.zeros([len(samples), 0])
    for start in range(0, len(train), batch_size):
        batch = np.asarray(train[start : start + batch_size])
        batch = batch.reshape(len(batch), -1).astype("float64")
        found = norms - 2 * samples @ batch.T + np.sum(batch**2, axis=1)
        numbers = np.broadcast_to(np.arange(start, start + len(batch)), found.shape)
        squares = np.concatenate([squares, found], axis=1)
        # Stable, so that the first of equals comes first.
        nearest = np.argsort(squares, axis=1, kind="stable")[:, :k]
        indices = np.take_along_axis(np.concatenate([indices, numbers], axis=1), nearest, axis=1)
        squares = np.take_along_axis(squares, nearest, axis=1)
    return indices, np.sqrt(np.maximum(squares, 0))
