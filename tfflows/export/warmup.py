"""Requests that TensorFlow Serving runs when it loads a model, so that no client waits for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfflows.distributions.dequantization import quantize
from tfflows.export.signatures import Signatures

FILE = "tf_serving_warmup_requests"


def write(signatures: Signatures, name: str, folder: Path) -> Path:
    """Write one request of one row for each signature, as TFRecords of `PredictionLog`s.

    A request that fails would keep the server from loading the model. So the rows are an x that
    the flow itself made, z = 0, noise of seed 0, and a context of zeros.

    Args:
        signatures: of the exported flow.
        name: of the model on the server.
        folder: the SavedModel's `assets.extra`.

    Returns:
        The file's path.

    Source: tensorflow_serving/apis/prediction_log.proto and predict.proto, whose field numbers
    these are.
    """
    tensors = _tensors(signatures)
    path = folder / FILE
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, (inputs, _) in signatures.signatures.items():
            model_spec = _field(1, name.encode()) + _field(3, signature.encode())
            request = _field(1, model_spec)
            for tensor in inputs:
                proto = tf.make_tensor_proto(tensors[tensor]).SerializeToString()
                request += _field(2, _field(1, tensor.encode()) + _field(2, proto))
            # PredictionLog.predict_log.request
            writer.write(_field(6, _field(1, request)))
    return path


def _tensors(signatures):
    """One row of every input."""
    flow, specs = signatures.flow, signatures.specs
    tensors = {
        tensor: np.zeros((1, *specs[tensor].shape[1:]), specs[tensor].dtype.as_numpy_dtype)
        for tensor in ("z", "seed", "t", "rows", *(["context"] if "context" in specs else []))
    }
    tensors["temperature"] = np.ones(1, "float32")
    x = flow.decode(tensors["z"], tensors.get("context")).numpy().astype("float32")
    tensors |= {"x": x, "a": x, "b": x}
    if flow.num_bits is not None:
        tensors["pixels"] = quantize(x, flow.num_bits).astype("float32")
    return tensors


def _field(number: int, value: bytes) -> bytes:
    """A protocol buffer's field of bytes, a string or a message."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
