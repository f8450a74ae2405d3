"""The functions of an exported flow: what a model server offers."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfflows.checks.values import require_finite
from tfflows.edit.latent import spherical_path
from tfflows.flow import Flow
from tfflows.layers import Pass
from tfflows.random import counter
from tfflows.random.noise import RowNoise

# Inputs and outputs; a flow that is not conditional has no context.
SIGNATURES = {
    "log_prob": (["x", "context"], ["log_prob"]),
    "log_prob_estimate": (["x", "seed", "context"], ["log_prob"]),
    "score": (["x", "context"], ["score"]),
    "encode": (["x", "context"], ["z"]),
    "decode": (["z", "context"], ["x"]),
    "sample": (["seed", "temperature", "context"], ["x", "log_prob"]),
    "interpolate": (["a", "b", "t", "context"], ["x"]),
    "bits_per_dim": (["pixels", "seed", "context"], ["bits_per_dim"]),
    "anomaly": (["x", "context"], ["log_prob", "p_value"]),
    "metadata": (["rows"], ["metadata"]),
}


class Signatures:
    """The signatures of one flow: their tensors' specs and their functions.

    Args:
        flow: the flow.
        log_probs: log-densities of held-out examples, in nats, that `anomaly` compares with;
            without them there is no such signature.
        metadata: the text that the signature `metadata` returns.
        names: of the signatures, by default all that the flow has.
        constants: whether the weights will not change any more, see `tfflows.layers.Pass`.
    """

    def __init__(
        self,
        flow: Flow,
        log_probs=None,
        metadata: str = "",
        names=tuple(SIGNATURES),
        constants: bool = False,
    ):
        self.flow = flow
        self._constants = constants
        self.metadata = metadata
        self.log_probs = None if log_probs is None else np.sort(np.asarray(log_probs, "float32"))
        absent = set()
        if flow.log_det_estimator is None:
            absent.add("log_prob_estimate")
        if flow.num_bits is None:
            absent.add("bits_per_dim")
        if log_probs is None:
            absent.add("anomaly")
        self.specs = _specs(flow)
        self._flow_log_prob = self._fixed_log_prob
        self._flow_encode = self._encoded
        self._flow_decode = self._decoded
        self.signatures = {
            name: ([tensor for tensor in inputs if tensor in self.specs], outputs)
            for name, (inputs, outputs) in SIGNATURES.items()
            if name in names and name not in absent
        }

    def share_traces(self):
        """From here on trace the flow's functions once, however many signatures call them."""
        self._flow_log_prob = tf.function(
            self._fixed_log_prob, autograph=False, reduce_retracing=True
        )
        self._flow_encode = tf.function(self._encoded, autograph=False, reduce_retracing=True)
        self._flow_decode = tf.function(self._decoded, autograph=False, reduce_retracing=True)

    def functions(self):
        """Pairs of a function and its inputs' specs by the signature's name."""
        return {
            name: (getattr(self, f"_{name}"), [self.specs[tensor] for tensor in inputs])
            for name, (inputs, _) in self.signatures.items()
        }

    def _fixed_log_prob(self, x, context):
        """That of the flow; where it is an estimate, with the same noise in every row."""
        return self._finite_log_prob(x, context, _zero_seeds(x))

    def _seeded_log_prob(self, x, context, seed):
        if self.flow.log_det_estimator is None:
            return self._flow_log_prob(x, context)
        return self._finite_log_prob(x, context, seed)

    def _finite_log_prob(self, x, context, row_seeds):
        log_prob = self.flow.log_prob_pass(*self._pass(x, context, row_seeds))
        return self.flow.require_finite(log_prob)

    def _encoded(self, x, context):
        z = self.flow.encode_pass(*self._pass(x, context, log_dets=False))
        return self.flow.require_finite_z(z)

    def _decoded(self, z, context):
        return self.flow.decode_pass(*self._pass(z, context, log_dets=False))

    def _pass(self, value, context, row_seeds=None, log_dets=True):
        """The value in the flow's dtype, and what layers are told."""
        value = tf.cast(value, self.flow.compute_dtype)
        context = self.flow.layer_context(context, value)
        call = Pass(context, row_seeds=row_seeds, log_dets=log_dets, constants=self._constants)
        return value, call

    def _log_prob(self, x, context=None):
        x, context = self._checked(x=x, context=context)
        return _outputs(log_prob=self._flow_log_prob(x, context))

    def _log_prob_estimate(self, x, seed, context=None):
        x, seed, context = self._checked(x=x, seed=seed, context=context)
        return _outputs(log_prob=self._seeded_log_prob(x, context, seed))

    def _score(self, x, context=None):
        x, context = self._checked(x=x, context=context)
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = self._flow_log_prob(x, context)
        return _outputs(score=tape.gradient(log_prob, x))

    def _encode(self, x, context=None):
        x, context = self._checked(x=x, context=context)
        return _outputs(z=self._flow_encode(x, context))

    def _decode(self, z, context=None):
        z, context = self._checked(z=z, context=context)
        return _outputs(x=self._flow_decode(z, context))

    def _sample(self, seed, temperature, context=None):
        inputs = {"seed": seed, "temperature": temperature, "context": context}
        seed, temperature, context = self._checked(**inputs)
        noise = RowNoise(seed, self.flow.compute_dtype)
        shape = [-1, *[1] * len(self.flow.transform.latent_shape)]
        temperature = tf.reshape(tf.cast(temperature, self.flow.compute_dtype), shape)
        z = self.flow.base_layer.draw(noise, temperature)
        z, call = self._pass(z, context, _zero_seeds(z))
        x, log_det = self.flow.transform.forward_pass(z, call)
        return _outputs(x=x, log_prob=self.flow.base_layer.log_prob(z, call) - log_det)

    def _interpolate(self, a, b, t, context=None):
        a, b, t, context = self._checked(a=a, b=b, t=t, context=context)
        both = None if context is None else tf.concat([context, context], axis=0)
        z = tf.cast(self._flow_encode(tf.concat([a, b], axis=0), both), self.flow.compute_dtype)
        path = spherical_path(*tf.split(z, 2), tf.cast(t, z.dtype))
        return _outputs(x=self._flow_decode(path, context))

    def _bits_per_dim(self, pixels, seed, context=None):
        pixels, seed, context = self._checked(pixels=pixels, seed=seed, context=context)
        num_dims = math.prod(self.flow.event_shape)
        noise = tf.reshape(counter.uniform(seed, num_dims), tf.shape(pixels))
        if self.flow.dequantizer is None:
            # Next to 255 float32 cannot hold every noise below 1.
            x = tf.minimum(pixels + noise, np.nextafter(np.float32(1), 0) * (pixels + 1))
            log_prob = self._seeded_log_prob(x, context, seed)
        else:
            integers = tf.cast(pixels, tf.int32)
            x, log_q = self.flow.dequantizer.dequantize_with(noise, integers, self.flow.num_bits)
            log_prob = self._seeded_log_prob(x, context, seed) - log_q
        return _outputs(bits_per_dim=-log_prob / (num_dims * math.log(2)))

    def _anomaly(self, x, context=None):
        log_prob = self._log_prob(x, context)["log_prob"]
        n = len(self.log_probs)
        below = tf.searchsorted(self.log_probs, log_prob, side="left")
        up_to = tf.searchsorted(self.log_probs, log_prob, side="right")
        # How many of the held-out examples and x itself lie as far out or farther, on each side.
        smaller = tf.minimum(up_to, n - below)
        p_value = 2.0 * tf.cast(smaller + 1, tf.float32) / (n + 1)
        return {"log_prob": log_prob, "p_value": tf.minimum(p_value, 1.0)}

    def _metadata(self, rows):
        return {"metadata": tf.fill(tf.shape(rows), self.metadata)}

    def _checked(self, **inputs):
        """The inputs, checked within the graph: servers check none of it, not even shapes."""
        given = {name: value for name, value in inputs.items() if value is not None}
        given = {k: tf.ensure_shape(value, self.specs[k].shape) for k, value in given.items()}
        sizes = tf.stack([tf.shape(value)[0] for value in given.values()])
        message = f"The inputs {', '.join(given)} must have one batch size."
        checks = [tf.debugging.assert_equal(sizes, sizes[0], message)]
        if "temperature" in given:
            # At 0 there is one sample for all seeds, which asks for a mistake, not for that.
            message = "The temperature must be above 0."
            checks.append(tf.debugging.assert_positive(given["temperature"], message))
        if "t" in given:
            message = "The positions t must be between 0 and 1."
            checks.append(tf.debugging.Assert(_all_between(given["t"], 0, 1), [message]))
        if "pixels" in given:
            pixels, highest = given["pixels"], 2**self.flow.num_bits - 1
            message = f"The pixels must be whole numbers from 0 to {highest}."
            is_whole = tf.reduce_all(tf.floor(pixels) == pixels)
            fits = tf.logical_and(is_whole, _all_between(pixels, 0, highest))
            checks.append(tf.debugging.Assert(fits, [message]))
        with tf.control_dependencies(checks):
            for name, value in given.items():
                if value.dtype.is_floating:
                    given[name] = require_finite(value, f"The input {name} must be finite")
                else:
                    given[name] = tf.identity(value)
        return [given.get(name) for name in inputs]


def _specs(flow):
    """Dtype and shape of each input and output, by name."""
    event, latent = (None, *flow.event_shape), (None, *flow.transform.latent_shape)
    numbers = ("log_prob", "bits_per_dim", "p_value", "temperature", "t", "rows")
    shapes = {
        **dict.fromkeys(("x", "score", "a", "b", "pixels"), event),
        **dict.fromkeys(numbers, (None,)),
        "z": latent,
    }
    specs = {name: tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes.items()}
    specs["seed"] = tf.TensorSpec((None, 2), tf.int64, "seed")
    specs["metadata"] = tf.TensorSpec((None,), tf.string, "metadata")
    if flow.num_classes:
        specs["context"] = tf.TensorSpec((None,), tf.int64, "context")
    elif flow.context_dim:
        specs["context"] = tf.TensorSpec((None, flow.context_dim), tf.float32, "context")
    return specs


def _outputs(**outputs):
    return {
        name: require_finite(tf.cast(value, tf.float32), f"The output {name} should be finite")
        for name, value in outputs.items()
    }


def _zero_seeds(rows):
    return tf.zeros([tf.shape(rows)[0], 2], tf.int64)


def _all_between(value, low, high):
    return tf.reduce_all((value >= low) & (value <= high))
