"""Export of a flow as a SavedModel, for servers that have neither Keras nor TFP."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from pathlib import Path

import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows import __version__
from tfflows.export import warmup
from tfflows.export.signatures import Signatures
from tfflows.flow import Flow
from tfflows.layers import Columns
from tfflows.layers.parts import layers_of_kind


def save(
    flow: Flow,
    path: str | os.PathLike,
    extra_files: dict[str, str] | None = None,
    log_probs: ArrayLike | None = None,
) -> Path:
    """Write a flow as a SavedModel that `tf.saved_model.load` and model servers can run.

    | signature           | inputs                                     | outputs               |
    |---------------------|--------------------------------------------|-----------------------|
    | `log_prob`          | `x` `[B, *event_shape]`                    | `log_prob` `[B]`      |
    | `log_prob_estimate` | `x`, `seed` int64 `[B, 2]`                 | `log_prob` `[B]`      |
    | `score`             | `x`                                        | `score`, d log p / dx |
    | `encode`            | `x`                                        | `z`                   |
    | `decode`            | `z` `[B, *latent_shape]`                   | `x`                   |
    | `sample`            | `seed` int64 `[B, 2]`, `temperature` `[B]` | `x`, `log_prob`       |
    | `interpolate`       | `a` and `b` as `x`, `t` `[B]` from 0 to 1  | `x`                   |
    | `bits_per_dim`      | `pixels` `[B, *event_shape]`, `seed`       | `bits_per_dim` `[B]`  |
    | `anomaly`           | `x`                                        | `log_prob`, `p_value` |
    | `metadata`          | `rows` `[B]`, whatever numbers             | `metadata`, texts     |

    `serving_default` is `log_prob`. Floats are float32 on the outside; a float64 flow computes in
    float64 in between. A conditional flow's signatures take one more input, `context`: float32
    `[B, context_dim]`, or labels, int64 `[B]`, for `num_classes`. `log_prob` is in nats, the
    density of a continuous `x`, for images on the pixel scale [0, 2**num_bits), and the same for
    every call. In `sample`, row i depends on `seed[i]`, `temperature[i]` and `context[i]` alone
    (to float32 rounding), however requests are batched; `log_prob` is that of the flow at `x`,
    whatever the temperature. `interpolate` goes along the spherical path of
    `tfflows.edit.interpolate`. `bits_per_dim` takes whole numbers and dequantises them with noise
    of which row i follows from `seed[i]` alone. Where a flow estimates its log-dets, `log_prob` has
    the same noise in every row, that of the seed (0, 0), which makes it a function of x;
    `log_prob_estimate`, which other flows lack, has that of `seed[i]`, and so has `bits_per_dim`.
    `anomaly` compares `log_prob` with those of held-out examples: `p_value` is the two-sided
    probability that one of them lies as far out.

    `assets.extra/metadata.json` in the SavedModel holds the flow's class and config, tfflows's
    version and what each signature takes and returns, and `tf_serving_warmup_requests` beside it
    the requests that TensorFlow Serving runs when it loads the model, taken from the name of the
    directory that `path` is in. Of a flow of a `tfflows.data.Table`, the names of its columns in x
    are `columns` of the metadata and of `card.json`, for the page of `tfflows serve`.

    Args:
        flow: the flow; its weights are copied.
        path: the directory to write, which must not exist; its parents are made. It appears at
            once and complete, and is returned as a `Path`.
        extra_files: texts to put beside the metadata, by file name.
        log_probs: `log_prob` of examples that the flow was not trained on, for `anomaly`; without
            them there is no such signature.

    Raises:
        FileExistsError: if the path exists.
        OSError: if nothing can be written next to it.
        ValueError: if `flow` is not a `Flow`.

    A loaded signature fails as a whole with `tf.errors.InvalidArgumentError` for inputs of the
    wrong shape or of different batch sizes, NaN or infinite inputs or results, a temperature that
    is not above 0, and labels out of range.

    Example:
        >>> import os, tempfile
        >>> flow = tfflows.RealNVP(event_shape=(2,), num_couplings=2, hidden=(8,))
        >>> path = tfflows.export.save(flow, os.path.join(tempfile.mkdtemp(), "1"))
        >>> served = tf.saved_model.load(path).signatures
        >>> seed = tf.constant([[0, 0], [0, 1], [0, 2]], tf.int64)
        >>> drawn = served["sample"](seed=seed, temperature=tf.ones([3]))
        >>> served["log_prob"](x=drawn["x"])["log_prob"].shape
        TensorShape([3])
    """
    if not isinstance(flow, Flow):
        raise ValueError(f"export.save takes a tfflows.Flow, but found {flow!r}.")
    path = Path(path)
    with new_directory(path) as folder:
        _write(flow, folder, path.parent.name, log_probs)
        for name, text in _with_columns(extra_files or {}, flow).items():
            (folder / "assets.extra" / name).write_text(text, encoding="utf-8")
    return path


@contextlib.contextmanager
def new_directory(path: Path):
    """A folder to write to, which takes the path's name once all is written.

    Raises:
        FileExistsError: if the path exists.
        OSError: if nothing can be written next to it.
    """
    if os.path.lexists(path):
        raise FileExistsError(f"The path {path} exists, but export.save expects a new one.")
    # Servers poll for numbered directories: a hidden name keeps them off a half-written model.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise OSError(
            f"The model {path} cannot be written: making a directory in {path.parent} failed "
            f"with '{error.strerror}'; expected one with write permission."
        ) from error
    try:
        yield temporary
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def version_path(directory: str | os.PathLike, name: str, version: int) -> Path:
    """`directory/name/version`, where model servers look for a version of a model.

    Raises:
        ValueError: if the version is not an integer of at least 1.

    Example:
        >>> tfflows.export.version_path("models", "moons", 2).as_posix()
        'models/moons/2'
    """
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"A version is an integer of at least 1, but found {version!r}.")
    return Path(directory) / name / str(version)


def _with_columns(files: dict[str, str], flow: Flow) -> dict[str, str]:
    """The files, with the names of a table's columns in the card."""
    layers = layers_of_kind(flow.transform, Columns)
    if not layers:
        return files
    card = {**json.loads(files.get("card.json", "{}")), "columns": _names(layers[-1])}
    return {**files, "card.json": json.dumps(card, indent=2) + "\n"}


def _names(layer: Columns) -> list[str]:
    return [column.name for column in layer.in_x]


def _write(flow, path, name, log_probs):
    signatures = Signatures(flow, log_probs, constants=True)
    metadata = signatures.metadata = described(signatures)
    module, concrete = traced(signatures)
    # Servers take no gradients, and to store custom ones would trace each of them.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    served = {"serving_default": concrete["log_prob"], **concrete}
    tf.saved_model.save(module, str(path), served, options)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / "metadata.json").write_text(metadata)
    warmup.write(signatures, name, extra)


def traced(signatures: Signatures):
    """A module with everything that is to be saved, and the concrete functions by name."""
    signatures.share_traces()
    # Not Keras's ExportArchive, which traces each function a second time while it saves.
    module = tf.Module()
    concrete = {}
    for signature, (function, inputs) in signatures.functions().items():
        graph = tf.function(function, input_signature=inputs, autograph=False)
        concrete[signature] = graph.get_concrete_function()
        setattr(module, signature, concrete[signature])
    variables = [variable for function in concrete.values() for variable in function.variables]
    module.weights = list({id(variable): variable for variable in variables}.values())
    return module, concrete


def described(signatures: Signatures) -> str:
    """The text of metadata.json."""
    flow = signatures.flow
    unit = f"pixels in [0, {2**flow.num_bits})" if flow.num_bits else "as in the training data"
    table = layers_of_kind(flow.transform, Columns)
    if table:
        unit = "as tfflows.data.Table encodes rows: integers and codes k as k + u, 0 < u < 1"
    used = {name for names in signatures.signatures.values() for name in names[0] + names[1]}
    description = {
        "class": type(flow).__name__,
        "config": flow.get_config(),
        "tfflows_version": __version__,
        "signatures": {
            name: {"inputs": inputs, "outputs": outputs}
            for name, (inputs, outputs) in signatures.signatures.items()
        },
        "tensors": {
            name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
            for name, spec in signatures.specs.items()
            if name in used
        },
        "units": {"log_prob": "nats per example, continuous density of x", "x": unit},
        **({"columns": _names(table[-1])} if table else {}),
    }
    return json.dumps(description, indent=2) + "\n"
