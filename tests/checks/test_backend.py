"""Keras's backend is TensorFlow."""

import keras
import pytest

import tfflows
from tfflows.checks.backend import require_tensorflow


def test_another_backend_is_refused(monkeypatch):
    require_tensorflow()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ImportError, match="Keras's backend is 'jax': set .* KERAS_BACKEND"):
        require_tensorflow()


def test_it_is_refused_before_keras_imports_it(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(ImportError, match="Keras's backend is 'jax': set .* KERAS_BACKEND"):
        _ = tfflows.RealNVP
