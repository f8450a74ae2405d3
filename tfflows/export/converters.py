"""How each format is written from a SavedModel, and how its runtime opens it."""

from __future__ import annotations

import logging
import re

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

PIP = {"onnx": "onnx onnxruntime tf2onnx", "litert": "ai-edge-litert", "openvino": "openvino"}
_OPSET = 18
# OpenVINO's own choice is bfloat16 where the processor has it, which moves log-densities of images
# by a third of a bit a dimension.
_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}


class Unsupported(Exception):
    """What a format lacks."""


def write(format: str, saved, specs: dict, folder):
    """Write models of a format to a folder.

    Args:
        format: a key of `PIP`.
        saved: the directory of a SavedModel.
        specs: a `tf.TensorSpec` for each input, in order, by the signature's name.
        folder: where to.

    Raises:
        ImportError: if the format's packages are not installed.
        Unsupported: if it lacks an operation.
    """
    {"onnx": _write_onnx, "litert": _write_litert, "openvino": _write_openvino}[format](
        saved, specs, folder
    )


def opened(format: str, folder, names):
    """`run(name, inputs)` of the written models, whose inputs and outputs are dictionaries."""
    return {"onnx": _open_onnx, "litert": _open_litert, "openvino": _open_openvino}[format](
        folder, names
    )


def _write_onnx(saved, specs, folder):
    import onnx
    import tf2onnx

    # What is unsupported goes into one error instead.
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    loaded = tf.saved_model.load(saved)
    for name, inputs in specs.items():
        model, _ = tf2onnx.convert.from_function(
            _frozen(_positional(loaded.signatures[name], inputs), inputs),
            inputs,
            opset=_OPSET,
            custom_op_handlers={"SelectV2": (_choose, [])},
        )
        # The converter leaves what it does not know as it is.
        nodes = [*model.graph.node]
        unknown = set()
        while nodes:
            node = nodes.pop()
            if not onnx.defs.has(node.op_type, node.domain):
                unknown.add(node.op_type)
            for attribute in node.attribute:
                for graph in [attribute.g, *attribute.graphs]:
                    nodes += graph.node
        if unknown:
            raise Unsupported(_operations(unknown))
        onnx.save(model, folder / f"{name}.onnx")


def _choose(graph, node, name, arguments):
    """ONNX's Where: the converter's sum of products hands on NaN of what is not chosen."""
    node.type = "Where"


def _open_onnx(folder, names):
    import onnxruntime

    sessions = {name: onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in names}

    def run(name, inputs):
        output_names = [output.name for output in sessions[name].get_outputs()]
        return dict(zip(output_names, sessions[name].run(None, inputs), strict=True))

    return run


def _write_litert(saved, specs, folder):
    import ai_edge_litert  # noqa: F401, so that what is missing is said first

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), [*specs])
    try:
        model = converter.convert()
    except Exception as error:  # of a class that TensorFlow keeps to itself
        unknown = set(re.findall(r"'tf\.(\w+)' op is neither", str(error)))
        raise Unsupported(_operations(unknown) if unknown else first_line(error)) from error
    (folder / "model.tflite").write_bytes(model)


def _open_litert(folder, names):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(folder / "model.tflite"))

    def run(name, inputs):
        return interpreter.get_signature_runner(name)(**inputs)

    return run


def _write_openvino(saved, specs, folder):
    import openvino

    loaded = tf.saved_model.load(saved)
    for name, inputs in specs.items():
        function = _positional(loaded.signatures[name], inputs)
        try:
            model = openvino.convert_model(function)
        except openvino.frontend.OpConversionFailure as error:
            found = re.search(r"for operations?: (.*)", str(error))
            unknown = set(found[1].split(", ")) if found else set()
            raise Unsupported(_operations(unknown) if unknown else first_line(error)) from error
        # Loops give inputs names of their own.
        for port, spec in zip(model.inputs, inputs, strict=True):
            port.get_tensor().set_names({spec.name})
        for port, output in zip(model.outputs, sorted(function.structured_outputs), strict=True):
            port.get_tensor().set_names({output})
        openvino.save_model(model, folder / f"{name}.xml", compress_to_fp16=False)


def _open_openvino(folder, names):
    import openvino

    core = openvino.Core()
    try:
        compiled = {
            name: core.compile_model(folder / f"{name}.xml", "CPU", _FLOAT32) for name in names
        }
    except RuntimeError as error:
        raise Unsupported(first_line(error)) from error

    def run(name, inputs):
        found = compiled[name](inputs)
        return {port.get_any_name(): value for port, value in found.items()}

    return run


def _positional(signature, specs):
    """A concrete function of inputs in the order of their specs."""

    def run(*inputs):
        return signature(**{spec.name: value for spec, value in zip(specs, inputs, strict=True)})

    return tf.function(run, specs, autograph=False).get_concrete_function()


def _frozen(function, specs):
    """The same as a `tf.function` whose weights are constants: the converter forgets others."""
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    names = sorted(function.structured_outputs)

    def outputs(*inputs):
        return dict(zip(names, frozen(*inputs), strict=True))

    return tf.function(outputs, specs, autograph=False)


def _operations(names):
    return f"operation {', '.join(sorted(names))}"


def first_line(error) -> str:
    """Of what an error says; the name of its class if that is nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
