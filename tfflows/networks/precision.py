"""Low precision in conditioner networks."""

from __future__ import annotations

import tensorflow as tf


def output_dtype(layer) -> str:
    """Dtype of a network's last layer: not below float32.

    To round its output would round the shifts and log-scales of a coupling, and bfloat16 cannot
    tell neighbouring pixels apart.
    """
    return "float64" if layer.compute_dtype == "float64" else "float32"


def summed_in_float32(convolution, inputs, kernel):
    """A convolution, whose sums are in float32 where processors have them in no lower precision.

    GPUs and TPUs do the same with inputs and kernels in bfloat16 or float16, and round the sums.
    TensorFlow's own kernels for CPUs take three to ten times as long as in float32.
    """
    dtype = inputs.dtype
    devices = tf.config.list_physical_devices()
    if dtype.size > 2 or any(device.device_type != "CPU" for device in devices):
        return convolution(inputs, kernel)
    inputs, kernel = tf.cast(inputs, tf.float32), tf.cast(kernel, tf.float32)
    return tf.cast(convolution(inputs, kernel), dtype)
