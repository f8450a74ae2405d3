"""Reference tensors of an entry: what its flow computed when it was published."""

from __future__ import annotations

import functools
import math
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfflows import export
from tfflows.distributions.dequantization import quantize
from tfflows.export.signatures import Signatures
from tfflows.layers import ContinuousLayer
from tfflows.layers.parts import all_parts

NUM_EXAMPLES = 16
NUM_LARGE_EXAMPLES = 4
LARGE = 4096  # values of an example
NUM_SERVED = 4
NUM_SUBSET = 256
NUM_QUANTILES = 201
NUM_MOVES = 16
MOVE = 4
SEED = 0


def compute(flow, x=None) -> dict[str, np.ndarray]:
    """Reference tensors of a flow.

    The inputs are samples of the flow itself, so that no data set is copied: continuous x, for
    images shifted into the middle of the pixel's range.

    Args:
        flow: the flow.
        x: inputs from an earlier call; by default new ones are drawn.

    Returns:
        `x`, `context` (conditional flows), `log_prob`, `z`, `samples`.
    """
    n = NUM_EXAMPLES if math.prod(flow.event_shape) <= LARGE else NUM_LARGE_EXAMPLES
    context = reference_context(flow, n)
    draw = functools.partial(flow.sample, n, seed=SEED, context=context)
    samples = traced(flow, draw)().numpy()
    if x is None:
        x = samples if flow.num_bits is None else quantize(samples, flow.num_bits) + 0.5
        x = x.astype(flow.compute_dtype)
    tensors = {
        "x": x,
        "log_prob": traced(flow, flow.log_prob)(x, context).numpy(),
        "z": traced(flow, flow.encode)(x, context).numpy(),
        "samples": samples,
    }
    return tensors if context is None else {**tensors, "context": context}


def served_inputs(tensors) -> dict[str, np.ndarray]:
    """Rows for every signature of an exported entry, from its reference tensors."""
    x = tensors["x"][:NUM_SERVED].astype("float32")
    n = len(x)
    inputs = {
        "x": x,
        "z": tensors["z"][:n].astype("float32"),
        "a": x,
        "b": x[::-1],
        "t": np.linspace(0, 1, n, dtype="float32"),
        "pixels": np.floor(x),
        "seed": np.arange(2 * n).reshape(n, 2),
        "temperature": np.linspace(0.25, 1, n, dtype="float32"),
    }
    return inputs | ({"context": tensors["context"][:n]} if "context" in tensors else {})


def served(flow, tensors, log_probs) -> dict[str, np.ndarray]:
    """What an export of a flow answers to `served_inputs`, as `SIGNATURE.OUTPUT`.

    Asked of an export itself, so that others can be equal to the bit.

    Args:
        flow: the flow.
        tensors: its reference tensors, see `compute`.
        log_probs: of held-out examples, as the entry's metadata have them.
    """
    inputs, answers = served_inputs(tensors), {}
    with tempfile.TemporaryDirectory() as folder:
        path = export.save(flow, Path(folder) / "1", log_probs=log_probs)
        loaded = tf.saved_model.load(path)
        for name, function in loaded.signatures.items():
            if name in ("serving_default", "metadata"):
                continue
            specs = function.structured_input_signature[1]
            outputs = function(**{key: tf.constant(inputs[key]) for key in specs})
            answers |= {f"{name}.{key}": value.numpy() for key, value in outputs.items()}
    return answers


def recomputed(flow, tensors, log_probs) -> dict[str, np.ndarray]:
    """`served` by the flow itself, without an export, which takes longer."""
    signatures = Signatures(flow, log_probs)
    inputs = served_inputs(tensors)
    answers = {}
    for name, (function, specs) in signatures.functions().items():
        if name != "metadata":
            arguments = [tf.constant(inputs[spec.name]) for spec in specs]
            outputs = traced(flow, function)(*arguments)
            answers |= {f"{name}.{key}": value.numpy() for key, value in outputs.items()}
    return answers


def score_spread(flow, tensors, z, score) -> np.ndarray:
    """The most that the roundings of another processor may change each number of `score.score`.

    A network of ReLUs has a score that jumps where a hidden unit changes sides, and next to its
    kink roundings decide on which side a unit is. How large they are z tells, which has gone
    through those of all layers: the root mean square of what z is off by. So x is moved,
    `NUM_MOVES` times, such that z moves by independent normal numbers of `MOVE` times that size. A
    unit that roundings of that size can bring to its other side is brought there by a move with a
    probability of P(normal > 1 / MOVE) = 0.4, and by at least one of all with 1 - 0.6^16 = 0.9997.

    Args:
        flow: the flow.
        tensors: its reference tensors, see `compute`.
        z: what the flow finds for their x.
        score: what it finds for the x of `served_inputs`.

    Returns:
        The largest change that a move made, of the score's shape.
    """
    z, context = z[: len(score)], served_inputs(tensors).get("context")
    size = MOVE * np.sqrt(np.mean((z - tensors["z"][: len(z)]) ** 2))
    score_of, _ = Signatures(flow, names=("score",)).functions()["score"]

    @tf.function(autograph=False)
    def score_at(z):
        return score_of(tf.cast(flow.decode(z, context), tf.float32), context)["score"]

    random = np.random.default_rng(SEED)
    moves = [(z + size * random.normal(size=z.shape)).astype(z.dtype) for _ in range(NUM_MOVES)]
    return np.max([np.abs(score_at(move).numpy() - score) for move in moves], axis=0)


def traced(flow, function):
    """The function as a graph where layers loop, which eagerly takes several times as long."""
    layers = all_parts(flow.transform)
    if not any(isinstance(layer, ContinuousLayer) for layer in layers):
        return function
    return tf.function(function, autograph=False)


def reference_context(flow, n: int) -> np.ndarray | None:
    """Fixed contexts of the reference inputs; `None` for an unconditional flow."""
    if flow.num_classes is not None:
        return np.arange(n) % flow.num_classes
    if flow.context_dim is not None:
        random = np.random.default_rng(SEED)
        return random.normal(size=(n, flow.context_dim)).astype("float32")
    return None


def subset_nll(flow, data, is_conditional: bool) -> float:
    """Mean nll on the first test examples of a data set, one dequantisation draw, fixed seed."""
    from tfflows import evaluate

    x, y = data.test.x[:NUM_SUBSET], data.test.y
    context = y[:NUM_SUBSET] if is_conditional else None
    return evaluate.likelihood(flow, x, context, seed=SEED).nll


def held_out_log_probs(flow, data, is_conditional: bool) -> list[float]:
    """Quantiles of log p over the validation split, lowest first, that `anomaly` compares with.

    The training split's would make anything new look unlikely wherever a flow has overfitted.
    Images are taken at the middle of their pixels' values.
    """
    x, y = data.validation
    x = x if flow.num_bits is None else x.astype("float32") + np.float32(0.5)
    log_prob = tf.function(flow.log_prob, autograph=False, reduce_retracing=True)
    log_probs = [
        log_prob(x[i : i + 100], y[i : i + 100] if is_conditional else None).numpy()
        for i in range(0, len(x), 100)
    ]
    quantiles = np.quantile(np.concatenate(log_probs), np.linspace(0, 1, NUM_QUANTILES))
    return [float(np.float32(value)) for value in quantiles]
