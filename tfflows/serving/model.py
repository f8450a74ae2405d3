"""An exported flow that answers requests: arrays in, arrays out, and a sentence where it cannot."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfflows.serving.errors import RequestError

# Rows, and values of any one tensor, that a request may have: they bound the memory that it takes.
MAX_ROWS = 2**14
MAX_VALUES = 2**20
_VALUES_OF_A_TEXT = 2**12


@dataclass(frozen=True)
class Signature:
    """A function of the model: `tf.TensorSpec`s of its inputs and outputs by name."""

    inputs: dict[str, tf.TensorSpec]
    outputs: dict[str, tf.TensorSpec]


class ServedModel:
    """A SavedModel that tfflows exported, loaded.

    Args:
        path: the SavedModel's folder. If that is a number, it is the version and its parent has
            the model's name, as servers lay models out.

    Raises:
        ValueError: if there is no such SavedModel.

    Example:
        >>> import tempfile
        >>> from tfflows.serving.model import ServedModel
        >>> flow = tfflows.RealNVP(event_shape=(2,), num_couplings=2, hidden=(8,))
        >>> path = tfflows.export.save(flow, tempfile.mkdtemp() + "/mine/3")
        >>> model = ServedModel(path)
        >>> model.name, model.version
        ('mine', '3')
        >>> answer = model.run("encode", {"x": np.zeros([5, 2], "float32")})
        >>> answer["z"].shape
        (5, 2)
    """

    def __init__(self, path):
        path = Path(path)
        extra = path / "assets.extra"
        if not (path / "saved_model.pb").is_file() or not (extra / "metadata.json").is_file():
            raise ValueError(
                f"{path} is not the folder of an exported flow: expected the one that "
                "`tfflows export` names, with saved_model.pb and assets.extra/metadata.json."
            )
        self.name, self.version = _name_and_version(path)
        self.facts = _json_of(extra / "metadata.json")
        self.card = _json_of(extra / "card.json")
        self.attributes = _json_of(extra / "attributes.json")
        self._loaded = tf.saved_model.load(str(path.resolve()))
        self.signatures = {
            name: Signature(function.structured_input_signature[1], function.structured_outputs)
            for name, function in self._loaded.signatures.items()
        }

    def signature(self, name: str) -> Signature:
        """A signature by name.

        Raises:
            RequestError: for an unknown one.
        """
        if not isinstance(name, str) or name not in self.signatures:
            raise RequestError(
                f"There is no signature {name!r}: {self.name} has {', '.join(self.signatures)}."
            )
        return self.signatures[name]

    def run(self, name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of a signature by name.

        Args:
            name: of the signature.
            inputs: arrays by name, in the signature's dtypes.

        Raises:
            RequestError: for missing or unknown inputs, another shape, different or too many or no
                rows, values that are not finite, and whatever the checks in the graph refuse.
        """
        signature = self.signature(name)
        _require_same_names(name, set(inputs), set(signature.inputs))
        for key, value in inputs.items():
            _require_shape(key, value, signature.inputs[key].shape)
        sizes = {key: len(value) for key, value in inputs.items()}
        (size, *others) = set(sizes.values())
        if others:
            raise RequestError(f"All inputs need the same number of rows, but found {sizes}.")
        _require_size(size, [*signature.inputs.values(), *signature.outputs.values()])
        for key, value in inputs.items():
            if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
                raise RequestError(f"The input {key} has NaN or infinite values (in float32).")
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        try:
            outputs = self._loaded.signatures[name](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise RequestError(_sentence(error)) from error
        return {key: value.numpy() for key, value in outputs.items()}


def load_models(paths) -> dict[str, ServedModel]:
    """Models by name, of their folders.

    Raises:
        ValueError: if two have one name, before any is loaded, or as `ServedModel`.
    """
    names = [_name_and_version(path)[0] for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"Models are served by name, but {names.count(name)} have the name {name!r}: give "
                "one of them, or a folder of another name."
            )
    return {name: ServedModel(path) for name, path in zip(names, paths, strict=True)}


def _name_and_version(path):
    path = Path(path).resolve()
    return (path.parent.name, path.name) if path.name.isdecimal() else (path.name, "1")


def _json_of(path):
    """What a file says; nothing, if there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _require_same_names(signature, found, expected):
    if found != expected:
        raise RequestError(
            f"The signature {signature} takes the inputs {', '.join(sorted(expected))}, but found "
            f"{', '.join(sorted(map(str, found))) or 'none'}."
        )


def _require_shape(name, value, shape):
    if not shape.is_compatible_with(value.shape):
        expected = ", ".join(["rows", *map(str, shape[1:])])
        raise RequestError(
            f"The input {name} should have the shape [{expected}], but found {list(value.shape)}."
        )


def _require_size(num_rows, specs):
    most = min(MAX_VALUES // max(map(_num_values, specs)), MAX_ROWS)
    if not 1 <= num_rows <= most:
        raise RequestError(
            f"A request of this signature may have from 1 to {most} rows, but found {num_rows}."
        )


def _num_values(spec):
    """How much memory a row takes, in numbers."""
    return math.prod(spec.shape[1:]) * (_VALUES_OF_A_TEXT if spec.dtype == tf.string else 1)


def _sentence(error):
    """What a check in the graph says, without TensorFlow's account of where the check is."""
    line = error.message.split("\n\t [[")[0].splitlines()[-1]
    line = line.removeprefix("assertion failed: [").split("] [Condition")[0]
    line = line.replace(" : Tensor had ", ", but it has ")
    return line.rstrip("]. ") + "."
