"""Export of a flow's density, encoder and decoder as ONNX, LiteRT or OpenVINO models."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfflows.export import saved_model
from tfflows.export.signatures import Signatures
from tfflows.flow import Flow

EXPORTED = ("log_prob", "encode", "decode")
# Relative to the largest value, of float32 sums in another order.
TOLERANCE = 1e-4
_NUM_COMPARED = 3
_OPSET = 18
_PIP = {"onnx": "onnx onnxruntime tf2onnx", "litert": "ai-edge-litert", "openvino": "openvino"}


def save(flow: Flow, path: str | os.PathLike, format: str) -> Path:
    """Write a flow's `log_prob`, `encode` and `decode` as models of another runtime.

    | format     | files                              | runtime            |
    |------------|------------------------------------|--------------------|
    | `onnx`     | `SIGNATURE.onnx`, opset 18         | ONNX Runtime       |
    | `litert`   | `model.tflite`, three signatures   | LiteRT             |
    | `openvino` | `SIGNATURE.xml`, `SIGNATURE.bin`   | OpenVINO           |

    Inputs and outputs have the names, types and shapes of those in `tfflows.export.save`, and
    `metadata.json` beside the models lists them. Each model is opened again with its runtime and
    compared with the flow, on samples of the flow; only then does the directory appear. Other
    signatures are left out, since the runtimes have no gradients and not all integer operations: to
    sample, draw z and decode it. The runtimes also leave out the checks of values: what is
    NaN, infinite or no label goes in, and nonsense comes out. OpenVINO must be told to compute in
    float32, `{"INFERENCE_PRECISION_HINT": "f32"}`; by default it may choose bfloat16.

    Args:
        flow: the flow; its weights are copied.
        path: the directory to write, which must not exist. It is returned as a `Path`.
        format: `"onnx"`, `"litert"` or `"openvino"`.

    Raises:
        FileExistsError, OSError: as `tfflows.export.save`.
        ImportError: if the format's packages are not installed.
        ValueError: for another format, and for a flow that the format has no operations for, or
            whose model answers otherwise than the flow.

    Example:
        >>> import os, tempfile
        >>> flow = tfflows.RealNVP(event_shape=(2,), num_couplings=2, hidden=(8,))
        >>> path = tfflows.export.formats.save(flow, os.path.join(tempfile.mkdtemp(), "1"), "onnx")
        >>> sorted(os.listdir(path))
        ['decode.onnx', 'encode.onnx', 'log_prob.onnx', 'metadata.json']
    """
    writers = {"onnx": _write_onnx, "litert": _write_litert, "openvino": _write_openvino}
    if format not in writers:
        raise ValueError(f"The formats are {sorted(writers)}, but found {format!r}.")
    path = Path(path)
    with saved_model.new_directory(path) as folder:
        signatures = Signatures(flow, names=EXPORTED, constants=True)
        (folder / "metadata.json").write_text(saved_model.described(signatures))
        module, functions = saved_model.traced(signatures)
        try:
            run = writers[format](module, functions, folder)
        except ImportError as error:
            raise ImportError(
                f"The format {format} needs packages that are not installed ({error}); "
                f"try: pip install {_PIP[format]}"
            ) from error
        except _Unsupported as error:
            raise ValueError(
                f"{flow.name} cannot be written as {format}, which has no {error}. Flows of "
                "couplings and convolutions can, such as tfflows.RealNVP and tfflows.Glow."
            ) from error
        _compare(flow, signatures, run, format)
    return path


class _Unsupported(Exception):
    """What a format lacks."""


def _write_onnx(module, functions, folder):
    import onnx
    import onnxruntime
    import tf2onnx

    # What is unsupported goes into one error instead.
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    sessions = {}
    for name, function in functions.items():
        specs = _specs_of(function)
        wrapped = tf.function(lambda *inputs, f=function: f(*inputs), specs, autograph=False)
        model, _ = tf2onnx.convert.from_function(wrapped, specs, opset=_OPSET)
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
            raise _Unsupported(_operations(unknown))
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
        sessions[name] = onnxruntime.InferenceSession(path)

    def run(name, inputs):
        output_names = [output.name for output in sessions[name].get_outputs()]
        return dict(zip(output_names, sessions[name].run(None, inputs), strict=True))

    return run


def _write_litert(module, functions, folder):
    from ai_edge_litert.interpreter import Interpreter

    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(module, saved, functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved, [*functions])
        try:
            model = converter.convert()
        except Exception as error:  # of a class that TensorFlow keeps to itself
            unknown = set(re.findall(r"'tf\.(\w+)' op is neither", str(error)))
            raise _Unsupported(_operations(unknown) if unknown else _first_line(error)) from error
    path = folder / "model.tflite"
    path.write_bytes(model)
    interpreter = Interpreter(model_path=str(path))

    def run(name, inputs):
        return interpreter.get_signature_runner(name)(**inputs)

    return run


def _write_openvino(module, functions, folder):
    import openvino

    compiled = {}
    for name, function in functions.items():
        try:
            model = openvino.convert_model(function)
        except openvino.frontend.OpConversionFailure as error:
            found = re.search(r"for operations?: (.*)", str(error))
            unknown = set(found[1].split(", ")) if found else set()
            raise _Unsupported(_operations(unknown) if unknown else _first_line(error)) from error
        # Loops give inputs names of their own.
        for port, spec in zip(model.inputs, _specs_of(function), strict=True):
            port.get_tensor().set_names({spec.name})
        for port, output in zip(model.outputs, sorted(function.structured_outputs), strict=True):
            port.get_tensor().set_names({output})
        path = folder / f"{name}.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        precision = {"INFERENCE_PRECISION_HINT": "f32"}
        try:
            compiled[name] = openvino.Core().compile_model(path, "CPU", precision)
        except RuntimeError as error:
            raise _Unsupported(_first_line(error)) from error

    def run(name, inputs):
        found = compiled[name](inputs)
        return {port.get_any_name(): value for port, value in found.items()}

    return run


def _specs_of(function):
    """Specs of a concrete function's inputs, in its order."""
    positional, _ = function.structured_input_signature
    return [spec for spec in positional if spec is not None]


def _compare(flow, signatures, run, format):
    """Raise an error unless the models answer as the flow does, for two sizes of batches."""
    for n in (_NUM_COMPARED, 1):
        context = None
        if flow.num_classes is not None:
            context = np.arange(n) % flow.num_classes
        elif flow.context_dim is not None:
            context = np.linspace(-1, 1, n * flow.context_dim, dtype="float32").reshape(n, -1)
        x = flow.sample(n, seed=0, context=context).numpy().astype("float32")
        tensors = {"x": x, "z": flow.encode(x, context).numpy().astype("float32")}
        tensors["context"] = context
        for name, (function, specs) in signatures.functions().items():
            inputs = {spec.name: tensors[spec.name] for spec in specs}
            try:
                found = run(name, inputs)
            except Exception as error:  # each runtime has classes of its own
                raise ValueError(
                    f"{flow.name} was written as {format}, but its {name} does not run there: "
                    f"{_first_line(error)}"
                ) from error
            for key, expected in function(**inputs).items():
                deviation = np.abs(found[key] - expected).max() / np.abs(expected).max()
                if found[key].shape != expected.shape or not deviation <= TOLERANCE:
                    raise ValueError(
                        f"{flow.name} was written as {format}, but {key} of its {name} is off by "
                        f"{deviation:.1e} of the largest value there; expected {TOLERANCE:.0e}."
                    )


def _operations(names):
    return f"operation {', '.join(sorted(names))}"


def _first_line(error):
    return next(iter(str(error).splitlines()), type(error).__name__)
