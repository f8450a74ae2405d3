"""The V2 inference protocol, as KServe, Triton and MLServer speak it, without its binary data."""

from __future__ import annotations

import math

import numpy as np

from tfflows import __version__
from tfflows.serving.errors import RequestError
from tfflows.serving.json_arrays import array_of, kind, list_of, object_of
from tfflows.serving.model import ServedModel
from tfflows.serving.observation import Call

_DATATYPES = {"float32": "FP32", "int64": "INT64", "string": "BYTES"}


def infer(call: Call, body: bytes) -> dict:
    """Answer an inference request.

    `{"id": ..., "parameters": {"signature_name": ...}, "inputs": [tensor, ...], "outputs": [...]}`,
    a tensor being `{"name": ..., "shape": ..., "datatype": ..., "data": ...}` with data flat or as
    nested lists. Without `signature_name`, which the protocol has no word for, it is
    `serving_default`; without `outputs` it is all of them.

    Raises:
        RequestError: for anything else.

    Source: KServe, "Open inference protocol (V2)".
    """
    request = object_of(body, {"inputs"}, {"id", "parameters", "outputs"})
    name = _signature_name(request.get("parameters", {}))
    signature = call.signature(name)
    inputs = {}
    for tensor in _tensors(request["inputs"], "inputs"):
        if tensor["name"] in inputs:
            raise RequestError(f"The input {tensor['name']} is given twice.")
        inputs[tensor["name"]] = _array_of(tensor, signature.inputs)
    wanted = [tensor["name"] for tensor in _tensors(request.get("outputs", []), "outputs")]
    unknown = set(wanted) - set(signature.outputs)
    if unknown:
        raise RequestError(
            f"The signature {name} returns {', '.join(signature.outputs)}, but "
            f"{', '.join(sorted(unknown))} was asked for."
        )
    outputs = call.run(inputs)
    answer = {"model_name": call.model.name, "model_version": call.model.version}
    if "id" in request:
        answer["id"] = request["id"]
    answer["outputs"] = [
        {
            "name": key,
            "datatype": _datatype(signature.outputs[key]),
            "shape": list(outputs[key].shape),
            "data": list_of(outputs[key].reshape(-1)),
        }
        for key in wanted or outputs
    ]
    return answer


def is_live(models: dict[str, ServedModel]) -> dict:
    """That the server runs."""
    return {"live": True}


def is_ready(models: dict[str, ServedModel]) -> dict:
    """That all models can answer, which they can from the server's first moment on."""
    return {"ready": True}


def is_model_ready(model: ServedModel) -> dict:
    """That the model can answer."""
    return {"name": model.name, "ready": True}


def server_metadata(models: dict[str, ServedModel]) -> dict:
    """The server's name and version."""
    return {"name": "tfflows", "version": __version__, "extensions": []}


def repository_index(models: dict[str, ServedModel], body: bytes) -> list:
    """Names, versions and states of all models.

    `{"ready": true}` asks for those alone that are ready, which all are. Models are neither loaded
    nor unloaded on request, so that the server does not claim the extension as a whole.

    Raises:
        RequestError: for another request.

    Source: Triton, "Model repository extension".
    """
    request = object_of(body or b"{}", set(), {"ready"})
    if not isinstance(request.get("ready", False), bool):
        raise RequestError(f"ready should be true or false, but found {kind(request['ready'])}.")
    return [
        {"name": name, "version": model.version, "state": "READY", "reason": ""}
        for name, model in models.items()
    ]


def model_metadata(model: ServedModel) -> dict:
    """Inputs and outputs of `serving_default`, and of all signatures as a parameter."""
    signatures = {
        name: {"inputs": _metadata(signature.inputs), "outputs": _metadata(signature.outputs)}
        for name, signature in model.signatures.items()
    }
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "tensorflow_savedmodel",
        **signatures["serving_default"],
        "parameters": {"signatures": signatures},
    }


def _signature_name(parameters):
    if not isinstance(parameters, dict) or not set(parameters) <= {"signature_name"}:
        found = ", ".join(sorted(parameters)) if isinstance(parameters, dict) else kind(parameters)
        raise RequestError(
            f"The parameters of a request may have a signature_name, but found {found}."
        )
    return parameters.get("signature_name", "serving_default")


def _tensors(tensors, key):
    is_list = isinstance(tensors, list)
    if not is_list or not all(isinstance(t, dict) and type(t.get("name")) is str for t in tensors):
        raise RequestError(f"{key} should be a list of tensors, objects with a name.")
    return tensors


def _array_of(tensor, specs):
    """The array of an input tensor."""
    name = tensor["name"]
    if name not in specs:
        raise RequestError(f"The signature takes the inputs {', '.join(specs)}, but found {name}.")
    datatype = _datatype(specs[name])
    if tensor.get("datatype") != datatype:
        raise RequestError(
            f"The input {name} should have the datatype {datatype}, but found "
            f"{tensor.get('datatype')!r}."
        )
    shape, data = tensor.get("shape"), tensor.get("data")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise RequestError(f"The input {name} needs a shape, a list of integers of at least 0.")
    if data is None:
        raise RequestError(f"The input {name} has no data (binary data are not supported here).")
    array = array_of(name, data, specs[name].dtype.as_numpy_dtype)
    if array.size != math.prod(shape) or array.ndim > 1 and list(array.shape) != shape:
        raise RequestError(
            f"The input {name} should have the shape {shape}, but its data have shape "
            f"{list(array.shape)}."
        )
    return _reshaped(array, shape)


def _reshaped(array: np.ndarray, shape):
    try:
        return array.reshape(shape)
    except ValueError as error:  # NumPy has a highest number of dimensions
        raise RequestError(f"An array of {len(shape)} dimensions is not supported.") from error


def _metadata(specs):
    return [
        {
            "name": key,
            "datatype": _datatype(spec),
            "shape": [-1 if size is None else size for size in spec.shape],
        }
        for key, spec in specs.items()
    ]


def _datatype(spec):
    return _DATATYPES[spec.dtype.name]
