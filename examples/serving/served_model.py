"""A model of `tfflows export` for servers that run Python; it needs tensorflow and nothing else.

The requests of several clients are answered by one call of a signature. Rows do not depend on each
other, so each client gets what it would have got alone, and a bad request fails alone. Tensors of
one number a row, `[B]` in the SavedModel, are `[B, 1]` outside, as servers of the V2 protocol have
them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf


class Refused(Exception):
    """A request that cannot be answered; the message is for the client."""


class ServedModel:
    """The SavedModel in a folder."""

    def __init__(self, folder):
        self._model = tf.saved_model.load(str(folder))

    def answer(self, requests):
        """Answer requests that arrived together.

        Args:
            requests: pairs of a signature's name and its inputs, arrays by name.

        Returns:
            For each request its outputs, arrays by name, or a `Refused`.
        """
        answers, groups = [None] * len(requests), {}
        for i, (signature, inputs) in enumerate(requests):
            try:
                inputs = self._checked(signature, inputs)
            except Refused as refused:
                answers[i] = refused
            else:
                # Rows of one shape only can be put together.
                shapes = tuple((name, inputs[name].shape[1:]) for name in sorted(inputs))
                groups.setdefault((signature, shapes), []).append((i, inputs))
        for (signature, _), members in groups.items():
            found = self._answer_together(signature, [inputs for _, inputs in members])
            for (i, _), answer in zip(members, found, strict=True):
                answers[i] = answer
        return answers

    def _answer_together(self, signature, requests):
        inputs = {name: np.concatenate([r[name] for r in requests]) for name in requests[0]}
        try:
            tensors = {name: tf.constant(value) for name, value in inputs.items()}
            outputs = self._model.signatures[signature](**tensors)
        except tf.errors.OpError as error:
            if len(requests) == 1:
                return [Refused(_sentence(error))]
            return [self._answer_together(signature, [request])[0] for request in requests]
        ends = np.cumsum([len(next(iter(request.values()))) for request in requests])
        columns = {k: v[:, tf.newaxis] if v.shape.rank == 1 else v for k, v in outputs.items()}
        split = {k: np.split(value.numpy(), ends[:-1]) for k, value in columns.items()}
        return [{name: parts[i] for name, parts in split.items()} for i in range(len(requests))]

    def _checked(self, signature, inputs):
        """The inputs, without what would spoil the requests that they are put together with."""
        known = sorted(self._model.signatures)
        if signature not in known:
            raise Refused(f"There is no signature {signature!r}; expected one of {known}.")
        specs = self._model.signatures[signature].structured_input_signature[1]
        if set(inputs) != set(specs):
            raise Refused(
                f"The signature {signature} expected the inputs {sorted(specs)}, but found "
                f"{sorted(inputs)}."
            )
        for name, value in inputs.items():
            if value.dtype != specs[name].dtype.as_numpy_dtype:
                raise Refused(
                    f"The input {name} must be {specs[name].dtype.name}, but found {value.dtype}."
                )
        sizes = {name: len(value) if value.ndim else 0 for name, value in inputs.items()}
        if len(set(sizes.values())) > 1 or 0 in sizes.values():
            raise Refused(
                f"The inputs must have one and the same number of rows, at least 1; found {sizes}."
            )
        return {
            name: value[:, 0] if specs[name].shape.rank == 1 and value.shape[1:] == (1,) else value
            for name, value in inputs.items()
        }


def _sentence(error):
    """TensorFlow's message without the places in the graph."""
    noise = ("Graph execution error", "Detected at", "<stack traces", "\t")
    lines = [line for line in error.message.splitlines() if line and not line.startswith(noise)]
    return " ".join(lines) or "The request was refused."
