"""Export of a flow's density, encoder and decoder as ONNX, LiteRT or OpenVINO models."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tfflows.export import converters, rewriting, saved_model
from tfflows.export.comparison import compared
from tfflows.export.signatures import Signatures
from tfflows.flow import Flow

EXPORTED = ("log_prob", "encode", "decode")
# How each format is opened without tfflows.
_OPENED = {
    "onnx": """```python
session = onnxruntime.InferenceSession("log_prob.onnx")
log_prob, = session.run(None, {"x": x})
```""",
    "litert": """```python
interpreter = ai_edge_litert.interpreter.Interpreter("model.tflite")
log_prob = interpreter.get_signature_runner("log_prob")(x=x)["log_prob"]
```""",
    "openvino": """**Ask for float32, as here.** OpenVINO's own choice is bfloat16 where the
processor has it, with which log-densities of images were off by 0.3 bits/dim:

```python
precision = {"INFERENCE_PRECISION_HINT": "f32"}
model = openvino.Core().compile_model("log_prob.xml", "CPU", precision)
log_prob = model({"x": x})["log_prob"]
```""",
}


def save(flow: Flow, path: str | os.PathLike, format: str) -> Path:
    """Write a flow's `log_prob`, `encode` and `decode` as models of another runtime.

    | format     | files                              | runtime            |
    |------------|------------------------------------|--------------------|
    | `onnx`     | `SIGNATURE.onnx`, opset 18         | ONNX Runtime       |
    | `litert`   | `model.tflite`, three signatures   | LiteRT             |
    | `openvino` | `SIGNATURE.xml`, `SIGNATURE.bin`   | OpenVINO           |

    Inputs and outputs have the names, types and shapes of those in `tfflows.export.save`, and
    `metadata.json` beside the models lists them. Each model is opened again with its runtime and
    compared with the flow, on samples of the flow and far out, see `tfflows.export.comparison`;
    only then does the directory appear. `metadata.json` and `README.md` say what was compared and
    how far it was off. Other signatures are left out, since the runtimes have no gradients and not
    all integer operations: to sample, draw z and decode it. The runtimes also leave out the checks
    of values: what is NaN, infinite or no label goes in, and nonsense comes out. OpenVINO must be
    told to compute in float32, `{"INFERENCE_PRECISION_HINT": "f32"}`, as `load` does; by default it
    may choose bfloat16.

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
        ['README.md', 'decode.onnx', 'encode.onnx', 'log_prob.onnx', 'metadata.json']
    """
    if format not in converters.PIP:
        raise ValueError(f"The formats are {sorted(converters.PIP)}, but found {format!r}.")
    path = Path(path)
    with saved_model.new_directory(path) as folder:
        signatures = Signatures(flow, names=EXPORTED, constants=True)
        specs = {name: inputs for name, (_, inputs) in signatures.functions().items()}
        try:
            with _rewritten(signatures) as saved:
                converters.write(format, saved, specs, folder)
            run = converters.opened(format, folder, EXPORTED)
        except ImportError as error:
            raise ImportError(
                f"The format {format} needs packages that are not installed ({error}); "
                f"try: pip install {converters.PIP[format]}"
            ) from error
        except converters.Unsupported as error:
            raise ValueError(
                f"{flow.name} cannot be written as {format}, which has no {error}. Flows of "
                "couplings and convolutions can, such as tfflows.RealNVP and tfflows.Glow."
            ) from error
        comparison = compared(flow, signatures, run, format)
        (folder / "metadata.json").write_text(_metadata(signatures, format, comparison))
        (folder / "README.md").write_text(_readme(flow, format, comparison))
    return path


def load(path: str | os.PathLike) -> dict[str, Callable]:
    """Open what `save` has written, with its runtime, which computes in float32.

    Args:
        path: the directory.

    Returns:
        For each signature a function of its inputs, NumPy arrays by name, to its outputs by name.

    Raises:
        FileNotFoundError: if there is no `metadata.json`.
        ImportError: if the runtime is not installed.

    Example:
        >>> import os, tempfile
        >>> flow = tfflows.RealNVP(event_shape=(2,), num_couplings=2, hidden=(8,))
        >>> path = tfflows.export.formats.save(flow, os.path.join(tempfile.mkdtemp(), "1"), "onnx")
        >>> models = tfflows.export.formats.load(path)
        >>> models["log_prob"](x=np.zeros([3, 2], "float32"))["log_prob"].shape
        (3,)
    """
    path = Path(path)
    description = json.loads((path / "metadata.json").read_text())
    run = converters.opened(description["format"], path, [*description["signatures"]])
    return {
        name: lambda name=name, **inputs: run(name, inputs) for name in description["signatures"]
    }


@contextlib.contextmanager
def _rewritten(signatures):
    """The folder of a SavedModel that converters write rightly."""
    module, functions = saved_model.traced(signatures)
    with tempfile.TemporaryDirectory() as folder:
        # As in `tfflows.export.save`.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, folder, functions, options)
        rewriting.rewrite(folder)
        yield folder


def _metadata(signatures, format, comparison):
    description = json.loads(saved_model.described(signatures))
    description |= {"format": format, "compared": comparison}
    return json.dumps(description, indent=2) + "\n"


def _readme(flow, format, comparison):
    lines = [
        f"# {flow.name}, {format}",
        "",
        "`metadata.json` lists what each model takes and returns. Values are not checked:",
        "what is NaN, infinite or no label goes in, and nonsense comes out.",
        "",
        _OPENED[format],
        "",
        "Each model was opened with its runtime, in float32, and compared with TensorFlow. Far out",
        "are inputs such as real data may have, and wider ones; beyond the largest one nothing is",
        "known. Deviations are absolute.",
        "",
        "| model | inputs | rows | largest input | largest output | deviation |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, groups in comparison.items():
        for group, found in groups.items():
            numbers = [found[k] for k in ("largest_input", "largest_output", "deviation")]
            cells = [name, group.replace("_", " "), found["rows"], *(f"{v:.2g}" for v in numbers)]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"
