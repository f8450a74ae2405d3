"""TensorFlow Serving's REST form: `/v1/models/NAME[/versions/VERSION][:predict]`.

The list of all models at `/v1/models` is this server's own: TensorFlow Serving has none.
"""

from __future__ import annotations

from tensorflow.core.framework.types_pb2 import DataType

from tfflows.serving.errors import RequestError
from tfflows.serving.json_arrays import array_of, kind, list_of, object_of
from tfflows.serving.model import ServedModel
from tfflows.serving.observation import Call


def predict(call: Call, body: bytes) -> dict:
    """Answer a request of rows (`instances`) or columns (`inputs`).

    Rows: `{"signature_name": ..., "instances": [row, ...]}`, a row being an object of inputs by
    name, or the value of the only one; the answer has `predictions`, row by row. Columns:
    `{"signature_name": ..., "inputs": {name: rows}}`, or the rows of the only input; the answer
    has `outputs`. Without `signature_name` it is `serving_default`.

    Raises:
        RequestError: for anything else. Where TensorFlow Serving passes over keys that it does
            not know, they are refused here.

    Source: TensorFlow Serving's documentation, "RESTful API".
    """
    request = object_of(body, set(), {"signature_name", "instances", "inputs"})
    if ("instances" in request) == ("inputs" in request):
        raise RequestError(
            "A request has either instances (rows) or inputs (columns), but found "
            f"{'both' if 'inputs' in request else 'neither'}."
        )
    specs = call.signature(request.get("signature_name", "serving_default")).inputs
    if "instances" in request:
        columns = _columns_of(request["instances"], specs)
    else:
        columns = request["inputs"]
        if not isinstance(columns, dict):
            columns = {_only(specs): columns}
    inputs = {
        name: array_of(name, value, specs[name].dtype.as_numpy_dtype if name in specs else float)
        for name, value in columns.items()
    }
    outputs = {k: list_of(v) for k, v in call.run(inputs).items()}
    is_one = len(outputs) == 1
    if "inputs" in request:
        return {"outputs": next(iter(outputs.values())) if is_one else outputs}
    if is_one:
        return {"predictions": next(iter(outputs.values()))}
    rows = zip(*outputs.values(), strict=True)
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


def model_list(models: dict[str, ServedModel]) -> dict:
    """Names and states of all models."""
    return {"models": [{"name": name, **status(model)} for name, model in models.items()]}


def status(model: ServedModel) -> dict:
    """The model's state, which is always available: models are loaded before the server starts."""
    state = {"error_code": "OK", "error_message": ""}
    return {
        "model_version_status": [{"version": model.version, "state": "AVAILABLE", "status": state}]
    }


def metadata(model: ServedModel) -> dict:
    """All signatures, in the JSON form of TensorFlow Serving's protocol buffers."""
    signatures = {
        name: {
            "inputs": {key: _tensor_info(spec) for key, spec in signature.inputs.items()},
            "outputs": {key: _tensor_info(spec) for key, spec in signature.outputs.items()},
            "method_name": "tensorflow/serving/predict",
        }
        for name, signature in model.signatures.items()
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": model.version},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _columns_of(rows, specs):
    """Values by input of rows, each an object, or the value of the only input."""
    if not isinstance(rows, list) or not rows:
        found = "an empty one" if rows == [] else kind(rows)
        raise RequestError(f"instances should be a list of rows, but found {found}.")
    if not any(isinstance(row, dict) for row in rows):
        return {_only(specs): rows}
    for i, row in enumerate(rows):
        if not isinstance(row, dict) or set(row) != set(specs):
            found = ", ".join(sorted(row)) if isinstance(row, dict) else kind(row)
            raise RequestError(
                f"Each instance should have {', '.join(specs)}, but instance {i} has {found}."
            )
    return {name: [row[name] for row in rows] for name in specs}


def _only(specs):
    if len(specs) > 1:
        raise RequestError(f"The inputs {', '.join(specs)} must be given by name.")
    return next(iter(specs))


def _tensor_info(spec):
    dimensions = [{"size": str(-1 if size is None else size), "name": ""} for size in spec.shape]
    return {
        "dtype": DataType.Name(spec.dtype.as_datatype_enum),
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": spec.name,
    }
