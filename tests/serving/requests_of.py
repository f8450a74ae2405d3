"""Valid requests for every signature in both protocols, and the answers that they should get."""

import json

import numpy as np
import tensorflow as tf

from tfflows.export.signatures import Signatures

DATATYPES = {"float32": "FP32", "int64": "INT64"}


def inputs_of_signature(signatures: Signatures, name: str, n: int, rng) -> dict[str, np.ndarray]:
    """Random valid inputs of a signature, n rows."""
    flow = signatures.flow
    drawn = {}
    for tensor in signatures.signatures[name][0]:
        spec = signatures.specs[tensor]
        shape = (n, *spec.shape[1:])
        if tensor in ("x", "a", "b", "pixels") and flow.num_bits:
            value = rng.uniform(0, 2**flow.num_bits, shape)
            value = np.floor(value) if tensor == "pixels" else value
        elif tensor == "seed":
            value = rng.integers(-(2**63), 2**63 - 1, shape)
        elif tensor == "context":
            value = rng.integers(flow.num_classes, size=shape)
        elif tensor in ("t", "temperature"):
            value = rng.uniform(0.05, 1, shape)
        else:
            value = rng.normal(size=shape)
        drawn[tensor] = value.astype(spec.dtype.as_numpy_dtype)
    return drawn


def rows_request(name, inputs) -> dict:
    """In TensorFlow Serving's row form."""
    rows = zip(*(value.tolist() for value in inputs.values()), strict=True)
    instances = [dict(zip(inputs, row, strict=True)) for row in rows]
    return {"signature_name": name, "instances": instances}


def columns_request(name, inputs) -> dict:
    """In TensorFlow Serving's columnar form."""
    return {"signature_name": name, "inputs": {k: v.tolist() for k, v in inputs.items()}}


def v2_request(name, inputs) -> dict:
    """In the V2 inference protocol."""
    tensors = [
        {
            "name": key,
            "datatype": DATATYPES[value.dtype.name],
            "shape": list(value.shape),
            "data": value.reshape(-1).tolist(),
        }
        for key, value in inputs.items()
    ]
    return {"parameters": {"signature_name": name}, "inputs": tensors}


def expected(signatures: Signatures, name: str, inputs) -> dict[str, np.ndarray]:
    """What the live flow answers, eagerly; it raises for what it refuses."""
    function, specs = signatures.functions()[name]
    given = (tf.constant(inputs[spec.name], spec.dtype) for spec in specs)
    return {key: value.numpy() for key, value in function(*given).items()}


def outputs_of(answer: dict, names) -> dict[str, np.ndarray]:
    """The arrays in an answer of any form; `names` are the signature's outputs."""
    if "predictions" in answer:
        rows = answer["predictions"]
        if len(names) == 1:
            return {names[0]: np.asarray(rows)}
        return {name: np.asarray([row[name] for row in rows]) for name in names}
    if isinstance(answer["outputs"], dict):
        return {name: np.asarray(answer["outputs"][name]) for name in names}
    if len(names) == 1 and not isinstance(answer["outputs"][0], dict):
        return {names[0]: np.asarray(answer["outputs"])}
    return {
        tensor["name"]: np.asarray(tensor["data"]).reshape(tensor["shape"])
        for tensor in answer["outputs"]
    }


def inputs_in(path: str, body: bytes) -> tuple[str, dict[str, np.ndarray]]:
    """Signature and inputs of a request, read in another way than the server's."""
    request = json.loads(body)
    if path.startswith("/v2"):
        arrays = {
            tensor["name"]: np.asarray(tensor["data"]).reshape(tensor["shape"])
            for tensor in request["inputs"]
        }
        return request.get("parameters", {}).get("signature_name", "serving_default"), arrays
    name = request.get("signature_name", "serving_default")
    if "inputs" in request:
        columns = request["inputs"]
    elif isinstance(request["instances"][0], dict):
        rows = request["instances"]
        columns = {key: [row[key] for row in rows] for key in rows[0]}
    else:
        columns = request["instances"]
    if not isinstance(columns, dict):
        columns = {"": columns}  # the only input
    return name, {key: np.asarray(value) for key, value in columns.items()}
