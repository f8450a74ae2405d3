"""MLServer's runtime for a model of `tfflows export`."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceResponse
from mlserver.utils import get_model_uri
from served_model import Refused, ServedModel


class TfflowsModel(MLModel):
    """One SavedModel; a request's parameter `signature_name` says which signature answers."""

    async def load(self):
        self.model = ServedModel(await get_model_uri(self.settings))
        return True

    async def predict(self, payload):
        inputs = {tensor.name: _read(tensor) for tensor in payload.inputs}
        parameters = payload.parameters.model_dump() if payload.parameters else {}
        signature = parameters.get("signature_name", "serving_default")
        (answer,) = self.model.answer([(signature, inputs)])
        if isinstance(answer, Refused):
            raise InferenceError(str(answer))
        outputs = [_write(name, value) for name, value in answer.items()]
        return InferenceResponse(
            id=payload.id, model_name=self.name, model_version=self.version, outputs=outputs
        )


def _read(tensor):
    try:
        value = NumpyCodec.decode_input(tensor)
        given = np.asarray(tensor.data.root)
    except (ValueError, TypeError, OverflowError) as error:
        raise InferenceError(f"The input {tensor.name} cannot be read: {error}") from error
    # The codec would cut 1.5 down to 1, and make out the size that -1 stands for.
    is_cut = value.dtype.kind != "f" and not np.array_equal(given.reshape(-1), value.reshape(-1))
    if is_cut or value.shape != tuple(tensor.shape):
        raise InferenceError(
            f"The input {tensor.name} is not of the datatype {tensor.datatype} and the shape "
            f"{tensor.shape}."
        )
    return value


def _write(name, value):
    if value.dtype == object:
        return StringCodec.encode_output(name, [text.decode() for text in value[:, 0]])
    return NumpyCodec.encode_output(name, value)
