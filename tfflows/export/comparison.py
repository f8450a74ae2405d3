"""Whether another runtime answers as a flow does, on samples and far out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfflows.export.converters import first_line
from tfflows.export.signatures import Signatures
from tfflows.flow import Flow
from tfflows.layers import Pass

# Relative to a row's largest value or a sample's, whatever is larger, of float32 sums in another
# order.
TOLERANCE = 1e-4
# A deviation may be this many times what a rounding of the inputs does to TensorFlow's answer.
_ROUNDINGS = 100
_NUM_SAMPLES = 4
_FACTORS = (3, 10, 30, 100)
_WHERE = {"samples": "on samples", "far_out": "far out"}


def compared(flow: Flow, signatures: Signatures, run: Callable, format: str) -> dict:
    """Compare what a runtime answers with the flow.

    On samples of the flow and their latents; and far out: vectors at 3 to 100 standard deviations
    of samples on both sides, and what latents of samples times 100 and -100 decode to; images that
    are constant, black and white at random, or noise, with the edges of the pixels' range; the
    latents of all these, and those of samples times 3 and 10. Rows whose answer is not finite, or
    lost in rounding in TensorFlow itself, are left out.

    Args:
        flow, signatures: the flow and its signatures.
        run: of the runtime, see `tfflows.export.converters.opened`.
        format: the name of the format, for errors.

    Returns:
        By signature, and `"samples"` and `"far_out"` therein: the number of `rows`, the absolute
        values `largest_input` and `largest_output`, and the largest absolute `deviation`.

    Raises:
        ValueError: if an answer differs.
    """
    found, scales = {name: {} for name in signatures.functions()}, {}
    for group, rows in _groups(flow).items():
        for name, (inputs, (output,)) in signatures.signatures.items():
            value, context = rows[inputs[0]]
            expected, rounding = _expected(flow, name, value, context)
            size = _sizes(expected)
            scale = np.maximum(size, scales.setdefault(name, size.max()))
            kept = np.isfinite(scale) & (rounding <= TOLERANCE * scale)
            if not kept.any():
                continue
            given = {inputs[0]: value[kept]}
            if context is not None:
                given["context"] = context[kept]
            expected, scale = expected[kept], scale[kept]
            allowed = TOLERANCE * scale + _ROUNDINGS * rounding[kept]
            off = np.zeros(len(expected))
            for n in (1, len(expected)):
                answer = _answer(flow, run, name, given, n, output, format)
                same = answer.shape == expected[:n].shape
                off[:n] = np.maximum(off[:n], _sizes(answer - expected[:n]) if same else np.inf)
            if not np.all(off <= allowed):
                raise ValueError(
                    f"{flow.name} was written as {format}, but {output} of its {name} is off by "
                    f"{np.max(off / scale):.1e} of the largest value there, {_WHERE[group]}; "
                    f"expected {TOLERANCE:.0e}."
                )
            found[name][group] = {
                "rows": len(expected),
                "largest_input": float(_sizes(given[inputs[0]]).max()),
                "largest_output": float(size[kept].max()),
                "deviation": float(off.max()),
            }
    return found


def _groups(flow):
    """Pairs of x or z and its context, for samples and far out."""
    near = _context(flow, _NUM_SAMPLES, 1)
    x = flow.sample(_NUM_SAMPLES, seed=0, context=near).numpy().astype("float32")
    z = _answers(flow, "encode", x, near)
    groups = {"samples": {"x": (x, near), "z": (z, near)}}
    x = _far_out(flow, x)
    if flow.num_bits is None:
        far = [_answers(flow, "decode", sign * _FACTORS[-1] * z, near) for sign in (1, -1)]
        x = np.concatenate([x, *far])
    context = _context(flow, len(x), 3)
    z = np.concatenate([_answers(flow, "encode", x, context), 3 * z, 10 * z])
    groups["far_out"] = {"x": (x, context), "z": (z, _context(flow, len(z), 3))}
    return groups


def _context(flow, n, width):
    if flow.num_classes is not None:
        return np.arange(n) % flow.num_classes
    if flow.context_dim is not None:
        ends = (-width, width)
        return np.linspace(*ends, n * flow.context_dim, dtype="float32").reshape(n, -1)
    return None


def _far_out(flow, samples):
    """Rows of x that real data may come near to, and farther ones."""
    rng, shape = np.random.default_rng(0), (2, *samples.shape[1:])
    if flow.num_bits is None:
        centre, spread = samples.mean(0), samples.std(0)
        steps = [k * spread * rng.standard_normal(shape[1:]) for k in _FACTORS]
        rows = [[centre + step, centre - step] for step in steps]
    else:
        top = np.nextafter(np.float32(2**flow.num_bits), np.float32(0))
        rows = [np.full((1, *shape[1:]), value) for value in (0, top / 2, top)]
        rows += [top * rng.integers(0, 2, shape), rng.uniform(0, top, shape)]
    return np.concatenate(rows).astype("float32")


def _expected(flow, name, value, context):
    """TensorFlow's answers, and what a rounding of the input changes in each row."""
    answers = _answers(flow, name, value, context)
    moved = [
        _answers(flow, name, np.nextafter(value, np.float32(end)), context)
        for end in (-np.inf, np.inf)
    ]
    return answers, np.maximum(*(_sizes(other - answers) for other in moved))


def _answers(flow, name, value, context):
    # Not by the signatures, which refuse all rows for one that is not finite.
    value = tf.cast(value, flow.compute_dtype)
    call = Pass(flow.layer_context(context, value), constants=True)
    return tf.cast(getattr(flow, f"{name}_pass")(value, call), tf.float32).numpy()


def _answer(flow, run, name, inputs, n, output, format):
    """The runtime's answer for the first n rows."""
    try:
        return run(name, {key: value[:n] for key, value in inputs.items()})[output]
    except Exception as error:  # each runtime has classes of its own
        raise ValueError(
            f"{flow.name} was written as {format}, but its {name} does not run there: "
            f"{first_line(error)}"
        ) from error


def _sizes(values):
    """The largest absolute value in each row."""
    return np.abs(values).reshape(len(values), -1).max(axis=1)
