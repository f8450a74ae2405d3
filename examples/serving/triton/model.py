"""Triton's Python backend for a model of `tfflows export`."""

import json
from pathlib import Path

import triton_python_backend_utils as pb_utils
from served_model import Refused, ServedModel

TYPES = {"float32": "TYPE_FP32", "int64": "TYPE_INT64", "string": "TYPE_STRING"}


class TritonPythonModel:
    """One SavedModel; a request's parameter `signature_name` says which signature answers."""

    @staticmethod
    def auto_complete_config(config):
        """Tell Triton the inputs, of which each signature takes some, and the outputs."""
        metadata = Path(__file__).parent / "assets.extra" / "metadata.json"
        described = json.loads(metadata.read_text("utf-8"))
        signatures = described["signatures"].values()
        for kind, add, more in (
            ("inputs", config.add_input, {"optional": True}),
            ("outputs", config.add_output, {}),
        ):
            for name in sorted({name for signature in signatures for name in signature[kind]}):
                tensor = described["tensors"][name]
                dims = tensor["shape"][1:] or [1]
                add({"name": name, "data_type": TYPES[tensor["dtype"]], "dims": dims, **more})
        return config

    def initialize(self, args):
        self.model = ServedModel(Path(__file__).parent)

    def execute(self, requests):
        """Answer the requests that Triton's dynamic batching has put together."""
        answers = self.model.answer([self._read(request) for request in requests])
        return [self._response(answer) for answer in answers]

    def _read(self, request):
        parameters = json.loads(request.parameters() or "{}")
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        return parameters.get("signature_name", "serving_default"), inputs

    def _response(self, answer):
        if isinstance(answer, Refused):
            error = pb_utils.TritonError(str(answer), pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=error)
        return pb_utils.InferenceResponse([pb_utils.Tensor(k, v) for k, v in answer.items()])
