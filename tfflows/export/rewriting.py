"""Functions that converters of graphs write wrongly, in forms that survive."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

# Of log((1 + s) / (1 - s)) / (2 s), in s^2: within float32's rounding for |s| < 1 / 3.
_TERMS = 9


def softplus(x: tf.Tensor) -> tf.Tensor:
    """max(x, 0) + log(1 + exp(-|x|)), which neither overflows nor loses its digits.

    LiteRT computes log(1 + exp(x)), which ends at 88, and OpenVINO something negative near -20.

    Example:
        >>> values = tfflows.export.rewriting.softplus(tf.constant([-20.0, 0.0, 1000.0]))
        >>> print(values.numpy())
        [2.0611537e-09 6.9314718e-01 1.0000000e+03]
    """
    return tf.nn.relu(x) + _small_log1p(tf.exp(-tf.abs(x)))


def log1p(x: tf.Tensor) -> tf.Tensor:
    """log(1 + x), by a series where 1 + x would round x away.

    ONNX has no such operation, and LiteRT and OpenVINO compute log(1 + x) as it stands.
    """
    is_small = (x > -0.5) & (x < 1.0)
    return tf.where(is_small, _small_log1p(tf.clip_by_value(x, -0.5, 1.0)), tf.math.log(1.0 + x))


def expm1(x: tf.Tensor) -> tf.Tensor:
    """exp(x) - 1, by a hyperbolic tangent where that would be rounded away; else as for `log1p`."""
    is_small = tf.abs(x) < 1.0
    t = tf.tanh(0.5 * tf.clip_by_value(x, -1.0, 1.0))
    return tf.where(is_small, 2.0 * t / (1.0 - t), tf.exp(x) - 1.0)


def _small_log1p(x):
    """For x in [-0.5, 1]: log(1 + x) = 2 artanh(s), s = x / (2 + x)."""
    s = x / (2.0 + x)
    squared, series = s * s, tf.zeros_like(s)
    for k in reversed(range(_TERMS)):
        series = series * squared + 1.0 / (2 * k + 1)
    return 2.0 * s * series


# Of TensorFlow's operations of one input: the form, and the name of the output.
_FORMS = {"Softplus": (softplus, "activations"), "Log1p": (log1p, "y"), "Expm1": (expm1, "y")}


def rewrite(saved_model: str | os.PathLike):
    """Put the forms above in place of these operations, wherever a SavedModel has them.

    Gradients are not those of the operations.

    Args:
        saved_model: its directory, which is changed.
    """
    path = Path(saved_model) / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    library = model.meta_graphs[0].graph_def.library
    forms = {}
    for function in library.function:
        outputs = {}
        for node in function.node_def:
            if node.op in _FORMS:
                form, output = _FORMS[node.op]
                dtype = node.attr["T"].type
                forms[f"surviving_{form.__name__}_{dtype}"] = form, dtype
                node.op = "PartitionedCall"
                node.attr.clear()
                node.attr["f"].func.name = f"surviving_{form.__name__}_{dtype}"
                node.attr["Tin"].list.type.append(dtype)
                node.attr["Tout"].list.type.append(dtype)
                outputs[f"{node.name}:{output}:0"] = f"{node.name}:output:0"
        for node in function.node_def:
            node.attr.pop("_gradient_op_type", None)  # of which loading would complain
            node.input[:] = [outputs.get(name, name) for name in node.input]
        for key, name in function.ret.items():
            function.ret[key] = outputs.get(name, name)
    for name, (form, dtype) in forms.items():
        spec = tf.TensorSpec(None, tf.as_dtype(dtype))
        concrete = tf.function(form, [spec], autograph=False).get_concrete_function()
        library.function.append(concrete.function_def)
        library.function[-1].signature.name = name
    path.write_bytes(model.SerializeToString(deterministic=True))
