"""The backend of Keras that tfflows computes with."""

from __future__ import annotations

import keras


def require_tensorflow():
    """Raise `ImportError` unless Keras computes with TensorFlow, as tfflows and TFP do."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ImportError(
            f"tfflows computes with TensorFlow, but Keras's backend is {backend!r}: set the "
            "environment variable KERAS_BACKEND to 'tensorflow', or leave it out, before Keras is "
            "imported."
        )
