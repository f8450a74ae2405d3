"""Clients of the V2 inference protocol: JSON over HTTP, and gRPC."""

import http.client
import json

import numpy as np
import tritonclient.grpc as triton

TYPES = {"float32": "FP32", "int64": "INT64", "float64": "FP64", "int32": "INT32"}
NUMPY = {"FP32": "float32", "INT64": "int64", "BYTES": "object"}


class RequestError(Exception):
    """A server's refusal; `status` is HTTP's number or gRPC's name."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status


class HttpClient:
    """One connection; requests are JSON."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=120)

    def __call__(self, model, signature, inputs):
        """Outputs of a signature, arrays by name, or a `RequestError`."""
        tensors = [
            {"name": k, "datatype": TYPES[str(v.dtype)], "shape": v.shape, "data": v.tolist()}
            for k, v in inputs.items()
        ]
        request = {"inputs": tensors}
        if signature is not None:
            request["parameters"] = {"signature_name": signature}
        status, body = self.post(model, json.dumps(request))
        answer = json.loads(body)
        if status != 200:
            raise RequestError(status, answer["error"])
        return {
            tensor["name"]: np.array(tensor["data"], NUMPY[tensor["datatype"]]).reshape(
                tensor["shape"]
            )
            for tensor in answer["outputs"]
        }

    def post(self, model, body):
        """Status and text of the answer to any body."""
        headers = {"Content-Type": "application/json"}
        self.connection.request("POST", f"/v2/models/{model}/infer", body, headers)
        response = self.connection.getresponse()
        return response.status, response.read().decode()

    def close(self):
        self.connection.close()


class GrpcClient:
    """One channel; tensors are raw bytes."""

    def __init__(self, address):
        self.client = triton.InferenceServerClient(address)

    def __call__(self, model, signature, inputs):
        """Outputs of a signature, arrays by name, or a `RequestError`."""
        tensors = [triton.InferInput(k, v.shape, TYPES[str(v.dtype)]) for k, v in inputs.items()]
        for tensor, value in zip(tensors, inputs.values(), strict=True):
            tensor.set_data_from_numpy(np.ascontiguousarray(value))
        parameters = None if signature is None else {"signature_name": signature}
        try:
            answer = self.client.infer(model, tensors, parameters=parameters, client_timeout=120)
        except triton.InferenceServerException as error:
            raise RequestError(error.status(), error.message()) from error
        names = [output.name for output in answer.get_response().outputs]
        return {name: answer.as_numpy(name) for name in names}

    def close(self):
        self.client.close()
