"""What a layer is told besides its arguments: seeds, whether log-dets are idle, and precision."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar

_SEED = ContextVar("noise_seed", default=None)
_ROW_SEEDS = ContextVar("row_seeds", default=None)
_LOG_DETS = ContextVar("log_dets", default=True)
_FLOAT64 = ContextVar("float64", default=False)


@contextlib.contextmanager
def noise_seed(seed):
    """In this context layers that estimate their log-det draw their noise from `seed`.

    Args:
        seed: see `tfflows.random.stateless_seed`; `None` leaves it to the layers, which draw new
            noise with `training=True` and always the same otherwise.

    Example:
        >>> network = tfflows.networks.TimeDependentMLP(2, hidden=(8,))
        >>> layer = tfflows.layers.ContinuousLayer(network, trace="rademacher")
        >>> with tfflows.layers.noise_seed(3):
        ...     x, estimate = layer.forward_and_log_det(tf.ones([5, 2]))
    """
    token = _SEED.set(seed)
    try:
        yield
    finally:
        _SEED.reset(token)


def current_noise_seed():
    """The seed of the innermost `noise_seed`, or `None`."""
    return _SEED.get()


@contextlib.contextmanager
def row_seeds(seeds):
    """In this context the noise of log-dets in row i of a batch is a function of seeds[i] alone.

    It goes before `noise_seed`.

    Args:
        seeds: int64 `[batch, 2]`, see `tfflows.random.counter`.

    Example:
        >>> network = tfflows.networks.TimeDependentMLP(2, hidden=(8,))
        >>> layer = tfflows.layers.ContinuousLayer(network, trace="rademacher")
        >>> with tfflows.layers.row_seeds(tf.constant([[1, 2], [1, 2]], tf.int64)):
        ...     x, estimate = layer.forward_and_log_det(tf.ones([2, 2]))
        >>> bool(estimate[0] == estimate[1])
        True
    """
    token = _ROW_SEEDS.set(seeds)
    try:
        yield
    finally:
        _ROW_SEEDS.reset(token)


def current_row_seeds():
    """The seeds of the innermost `row_seeds`, or `None`."""
    return _ROW_SEEDS.get()


@contextlib.contextmanager
def without_log_dets():
    """In this context layers whose log-det is costly may return zeros for it.

    Samples, encodings and decodings need none.

    Example:
        >>> layer = tfflows.layers.ContinuousLayer(tfflows.networks.TimeDependentMLP(2))
        >>> with tfflows.layers.without_log_dets():
        ...     x, zeros = layer.forward_and_log_det(tf.ones([5, 2]))
    """
    token = _LOG_DETS.set(False)
    try:
        yield
    finally:
        _LOG_DETS.reset(token)


def log_dets_are_needed() -> bool:
    """Whether no `without_log_dets` is in force."""
    return _LOG_DETS.get()


@contextlib.contextmanager
def float64_values():
    """In this context layers of float32 take, compute and return float64, with their own weights.

    For layers that cast their weights to the dtype of z or x; see `tfflows.layers.Chain`.
    """
    token = _FLOAT64.set(True)
    try:
        yield
    finally:
        _FLOAT64.reset(token)


def values_are_float64() -> bool:
    """Whether `float64_values` is in force."""
    return _FLOAT64.get()
