"""Export of a flow as a SavedModel, for servers that have neither Keras nor TFP."""

from __future__ import annotations

import json
import math
import os
import shutil
import uuid
from pathlib import Path

import keras
import tensorflow as tf

from tfflows import __version__, counter_random
from tfflows.checks import require_finite
from tfflows.flow import Flow
from tfflows.layers.base import constant_weights

_SIGNATURES = {
    "log_prob": (["x", "context"], ["log_prob"]),
    "encode": (["x", "context"], ["z"]),
    "decode": (["z", "context"], ["x"]),
    "sample": (["seed", "temperature", "context"], ["x", "log_prob"]),
}


def save(flow: Flow, path: str | os.PathLike, extra_files: dict[str, str] | None = None) -> Path:
    """Write a flow as a SavedModel that `tf.saved_model.load` and model servers can run.

    | signature  | inputs                                                     | outputs           |
    |------------|------------------------------------------------------------|-------------------|
    | `log_prob` | `x` float32 `[B, *event_shape]`                            | `log_prob`        |
    | `encode`   | `x` float32 `[B, *event_shape]`                            | `z`               |
    | `decode`   | `z` float32 `[B, *latent_shape]`                           | `x`               |
    | `sample`   | `seed` int64 `[B, 2]`, `temperature` float32 `[B]`         | `x`, `log_prob`   |

    `serving_default` is `log_prob`. A conditional flow's signatures take one more input,
    `context`: float32 `[B, context_dim]`, or labels, int64 `[B]`, for `num_classes`. All outputs
    are float32, `log_prob` `[B]` in nats; a float64 flow computes in float64 in between. `x` is
    continuous, for images on the pixel scale [0, 2**num_bits), so that `log_prob` is the
    continuous density and the same for every call. In `sample`, row i depends on `seed[i]`,
    `temperature[i]` and `context[i]` alone (to float32 rounding), however requests are batched;
    `log_prob` is that of the flow at `x`, whatever the temperature.

    `assets.extra/metadata.json` in the SavedModel holds the flow's class and config, tfflows's
    version and what each signature takes and returns.

    Args:
        flow: the flow; its weights are copied.
        path: the directory to write, which must not exist; its parents are made. It appears at
            once and complete, and is returned as a `Path`.
        extra_files: texts to put beside the metadata, by file name.

    Raises:
        FileExistsError: if the path exists.
        OSError: if nothing can be written next to it.
        ValueError: if `flow` is not a `Flow`.

    A loaded signature fails as a whole with `tf.errors.InvalidArgumentError` for inputs of the
    wrong shape or of different batch sizes, NaN or infinite inputs or results, a negative
    temperature, and labels out of range.

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
    if os.path.lexists(path):
        raise FileExistsError(f"The path {path} exists, but export.save expects a new one.")
    # Servers poll for numbered directories: a hidden name keeps them off a half-written model.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise OSError(
            f"The SavedModel {path} cannot be written: making a directory in {path.parent} failed "
            f"with '{error.strerror}'; expected one with write permission."
        ) from error
    try:
        _write(flow, temporary)
        for name, text in (extra_files or {}).items():
            (temporary / "assets.extra" / name).write_text(text, encoding="utf-8")
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


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


def _write(flow, path):
    specs = _specs(flow)
    archive = keras.export.ExportArchive()
    with constant_weights():
        for name, function in _functions(flow, specs).items():
            inputs = [specs[value] for value in _SIGNATURES[name][0] if value in specs]
            archive.add_endpoint(name, function, inputs)
    # Servers take no gradients, and to store custom ones would trace each of them.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    archive.write_out(str(path), options, verbose=False)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / "metadata.json").write_text(json.dumps(_metadata(flow, specs), indent=2) + "\n")


def _specs(flow):
    """Dtype and shape of each input and output, by name."""
    specs = {
        "x": tf.TensorSpec((None, *flow.event_shape), tf.float32, "x"),
        "z": tf.TensorSpec((None, *flow.transform.latent_shape), tf.float32, "z"),
        "seed": tf.TensorSpec((None, 2), tf.int64, "seed"),
        "temperature": tf.TensorSpec((None,), tf.float32, "temperature"),
        "log_prob": tf.TensorSpec((None,), tf.float32, "log_prob"),
    }
    if flow.num_classes:
        specs["context"] = tf.TensorSpec((None,), tf.int64, "context")
    elif flow.context_dim:
        specs["context"] = tf.TensorSpec((None, flow.context_dim), tf.float32, "context")
    return specs


def _functions(flow, specs):
    """The function behind each signature."""

    def log_prob(x, context=None):
        x, context = _checked(specs, x=x, context=context)
        return _outputs(log_prob=flow.log_prob(x, context))

    def encode(x, context=None):
        x, context = _checked(specs, x=x, context=context)
        return _outputs(z=flow.encode(x, context))

    def decode(z, context=None):
        z, context = _checked(specs, z=z, context=context)
        return _outputs(x=flow.decode(z, context))

    def sample(seed, temperature, context=None):
        inputs = {"seed": seed, "temperature": temperature, "context": context}
        seed, temperature, context = _checked(specs, **inputs)
        z = _latent(flow, seed, temperature)
        x, log_det = flow.transform.forward_and_log_det(z, flow.layer_context(context, z))
        return _outputs(x=x, log_prob=flow.base.log_prob(z) - log_det)

    return {"log_prob": log_prob, "encode": encode, "decode": decode, "sample": sample}


def _checked(specs, **inputs):
    """The inputs, checked within the graph: servers check none of it, not even shapes."""
    given = {name: value for name, value in inputs.items() if value is not None}
    given = {name: tf.ensure_shape(value, specs[name].shape) for name, value in given.items()}
    sizes = tf.stack([tf.shape(value)[0] for value in given.values()])
    message = f"The inputs {', '.join(given)} must have one batch size."
    checks = [tf.debugging.assert_equal(sizes, sizes[0], message)]
    if "temperature" in given:
        message = "The temperature must be at least 0."
        checks.append(tf.debugging.assert_non_negative(given["temperature"], message))
    with tf.control_dependencies(checks):
        for name, value in given.items():
            if value.dtype.is_floating:
                given[name] = require_finite(value, f"The input {name} must be finite")
            else:
                given[name] = tf.identity(value)
    return [given.get(name) for name in inputs]


def _outputs(**outputs):
    return {
        name: require_finite(tf.cast(value, tf.float32), f"The output {name} should be finite")
        for name, value in outputs.items()
    }


def _latent(flow, seed, temperature):
    """One draw from the base a seed, times the temperature."""
    shape = flow.transform.latent_shape
    draw = counter_random.normal if flow.base_name == "normal" else counter_random.uniform
    z = tf.cast(tf.reshape(draw(seed, math.prod(shape)), [-1, *shape]), flow.compute_dtype)
    z = z if flow.base_name == "normal" else flow.base.distribution.quantile(z)
    return z * tf.reshape(tf.cast(temperature, z.dtype), [-1] + [1] * len(shape))


def _metadata(flow, specs):
    pixels = f"pixels in [0, {2**flow.num_bits})" if flow.num_bits else "as in the training data"
    return {
        "class": type(flow).__name__,
        "config": flow.get_config(),
        "tfflows_version": __version__,
        "signatures": {
            name: {"inputs": [value for value in inputs if value in specs], "outputs": outputs}
            for name, (inputs, outputs) in _SIGNATURES.items()
        },
        "tensors": {
            name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
            for name, spec in specs.items()
        },
        "units": {"log_prob": "nats per example, continuous density of x", "x": pixels},
    }
