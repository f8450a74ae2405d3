"""The backend of Keras that tfflows computes with."""

from __future__ import annotations

import os


def require_tensorflow():
    """Raise `ImportError` unless Keras computes with TensorFlow, as tfflows and TFP do."""
    require_named_backend()
    import keras

    _require(keras.backend.backend())


def require_named_backend():
    """The same, as far as the environment says it: Keras imports a backend at once."""
    _require(os.environ.get("KERAS_BACKEND") or "tensorflow")


def _require(backend):
    if backend != "tensorflow":
        raise ImportError(
            f"tfflows computes with TensorFlow, but Keras's backend is {backend!r}: set the "
            "environment variable KERAS_BACKEND to 'tensorflow', or leave it out, before Keras is "
            "imported."
        )
