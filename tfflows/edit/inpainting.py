"""Filling in the unknown pixels of an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import require_finite
from tfflows.edit.latent import as_points, repeated_context
from tfflows.flow import Flow
from tfflows.random.seeds import stateless_seed

# How far known pixels may be off, first and last, in standard deviations of what the flow draws.
_FIRST_TOLERANCE, _LAST_TOLERANCE = 0.5, 0.03
_DRAWS = 64  # from which these deviations are taken, but for pixels
_STEPS_A_CALL = 10
# Adam's own constants, but for a second average that forgets in a hundred steps.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.99, 1e-8


def inpaint(
    flow: Flow,
    x: ArrayLike,
    mask: ArrayLike,
    num_steps: int = 100,
    step_size: float = 0.1,
    temperature: float = 0.5,
    seed: ArrayLike | None = None,
    context: ArrayLike | None = None,
    progress: Callable[[int], None] | None = None,
) -> tf.Tensor:
    """Draw unknown pixels that fit the known ones: other ones for each seed and each row.

        e ~ base, times `temperature`
        z = argmin |z - e|^2 + |K (f(z) - x)|^2 / r^2,  K keeps the known pixels
        y = f(z) where unknown, x where known

    So of all images that have the known pixels, it is the one whose latent is nearest to that of a
    random sample. Where f is linear and the base normal, y is an exact draw of p(unknown | known)
    with its covariance times temperature^2; where not, it is about one. (The most likely pixels
    would be no draw at all: in images they are a smooth patch.) Adam finds z, beginning at e; its
    rate falls to 0 from `step_size`, and r from half of the spread of the pixels to 3% of it.

    A step costs about what a gradient of `decode` does.

    Args:
        flow: any flow.
        x: `[n, *event_shape]`; see `tfflows.edit.latent.as_points` for what pixels mean. The
            values of unknown pixels do not matter.
        mask: booleans, True where unknown: of x's shape, or for all examples of the event shape or,
            for images, `[height, width]`.
        num_steps: steps of Adam for all examples together.
        step_size: its rate at the start.
        temperature: factor on e; 0 for one and the same filling from the centre of the base.
        seed: of e; see `tfflows.random.stateless_seed`.
        context: `[n, context_dim]` or labels `[n]` for a conditional flow, or one for all.
        progress: called with the number of steps made, after every few of them.

    Returns:
        `[n, *event_shape]`, continuous, its known pixels exactly those of x.

    Raises:
        ValueError: for a mask of another shape or dtype, one that leaves nothing known, arguments
            out of range, or as `Flow.log_prob` does.

    Source: Bardsley, Solonen, Haario and Laine, "Randomize-then-optimize", 2014, without its
    weights; Asim, Daniels, Leong, Ahmed and Hand, "Invertible generative models for inverse
    problems", 2020, for temperature 0; Kingma and Ba, "Adam", 2015.

    Example:
        >>> flow = tfflows.Glow((8, 8, 3), levels=2, steps=1, width=8, prior_width=8, num_bits=8)
        >>> x = np.full([2, 8, 8, 3], 100)
        >>> mask = np.zeros([8, 8], bool)
        >>> mask[2:5, 2:5] = True
        >>> filled = tfflows.edit.inpaint(flow, x, mask, num_steps=5, seed=0)
        >>> filled.shape, bool(np.all(filled.numpy()[:, ~mask] == 100.5))
        (TensorShape([2, 8, 8, 3]), True)
    """
    for name, value, low in (
        ("num_steps", num_steps, 1),
        ("step_size", step_size, 0),
        ("temperature", temperature, 0),
    ):
        if not low <= value < np.inf:
            raise ValueError(f"inpaint needs {name} of at least {low}, but found {value}.")
    x = as_points(flow, x)
    mask = tf.constant(_full_mask(flow, mask, x.shape))
    context = repeated_context(flow, context, len(x))
    start = temperature * flow.base.sample(len(x), seed=stateless_seed(seed))
    scale = _spread(flow, context, x)
    begun = _pasted(flow, start, x, mask, context)
    flow.encode(begun, context)  # says what is wrong with x or the context, if anything
    layer_context = flow.layer_context(context, x)
    settings = [tf.constant(value, x.dtype) for value in (num_steps, step_size)]
    state = tf.zeros([], x.dtype), start, tf.zeros_like(start), tf.zeros_like(start)
    for first in range(0, num_steps, _STEPS_A_CALL):
        done = min(first + _STEPS_A_CALL, num_steps)
        last = tf.constant(done, x.dtype)
        state = _adam(flow, state, last, x, mask, layer_context, start, scale, *settings)
        if progress is not None:
            progress(done)
    return require_finite(
        _pasted(flow, state[1], x, mask, context),
        f"What {flow.name} fills in should be finite (is step_size too large?)",
    )


def _spread(flow, context, x):
    """Standard deviation of each of the flow's pixels; one for all where they are integers."""
    if flow.num_bits is not None:
        return tf.constant(2**flow.num_bits / 4, x.dtype)
    z = flow.base.sample(_DRAWS, seed=stateless_seed(0))
    if context is not None:
        context = np.asarray(context)[np.arange(_DRAWS) % len(x)]
    spread = tf.math.reduce_std(flow.decode(z, context), axis=0)
    return tf.maximum(spread, tf.reduce_max(spread) * 1e-9)  # none is 0


def _pasted(flow, z, x, mask, context):
    """f(z), within the range of pixels, where unknown, and x where known."""
    decoded = flow.decode(z, context)
    if flow.num_bits is not None:
        last = np.nextafter(x.dtype.as_numpy_dtype(2**flow.num_bits), 0)
        decoded = tf.clip_by_value(decoded, 0, last)
    return tf.where(mask, decoded, x)


@tf.function(autograph=False, reduce_retracing=True)
def _adam(flow, state, last, x, mask, context, start, scale, num_steps, step_size):
    """Steps up to the number `last`, traced once for a flow and a shape of x."""

    def step(i, z, mean, square):
        fraction = i / num_steps
        tolerance = _FIRST_TOLERANCE * (_LAST_TOLERANCE / _FIRST_TOLERANCE) ** fraction
        gradient = z - start + _misfit_gradient(flow, z, x, mask, context, tolerance * scale)
        # Times tolerance^2, so that the averages see gradients of one size.
        gradient *= tolerance**2
        # Where decoding overflows, the example waits for its momentum to take it elsewhere.
        gradient = tf.where(tf.math.is_finite(gradient**2), gradient, tf.zeros_like(z))
        i += 1
        mean = _BETA_1 * mean + (1 - _BETA_1) * gradient
        square = _BETA_2 * square + (1 - _BETA_2) * gradient**2
        deviation = tf.sqrt(square / (1 - _BETA_2**i)) + _EPSILON
        z -= step_size * (1 - fraction) * mean / (1 - _BETA_1**i) / deviation
        return i, z, mean, square

    return tf.while_loop(lambda i, *_: i < last, step, state)


def _misfit_gradient(flow, z, x, mask, context, tolerance):
    """Gradient with respect to z of |K (f(z) - x)|^2 / (2 r^2)."""
    with tf.GradientTape() as tape:
        tape.watch(z)
        decoded = flow.transform.forward_and_log_det(z, context)[0]
    residual = tf.where(mask, tf.zeros_like(x), decoded - x)
    return tape.gradient(decoded, z, residual / tolerance**2)


def _full_mask(flow: Flow, mask, shape) -> np.ndarray:
    """The mask in the shape of x."""
    mask = np.asarray(mask)
    shape, event_shape = tuple(shape), flow.event_shape
    if shape[1:] != event_shape:
        raise ValueError(f"inpaint needs x of shape [n, *{event_shape}], but found {shape}.")
    if mask.dtype != bool:
        raise ValueError(f"inpaint needs a mask of booleans, but found dtype {mask.dtype}.")
    if len(event_shape) == 3 and mask.shape == event_shape[:2]:
        mask = mask[..., np.newaxis]
    elif mask.shape not in (shape, event_shape):
        raise ValueError(
            f"inpaint needs a mask of the shape {shape} of x, of {event_shape} or of the sides of "
            f"an image, but found shape {mask.shape}."
        )
    mask = np.broadcast_to(mask, shape)
    all_unknown = mask.reshape(len(mask), -1).all(axis=1)
    if all_unknown.any():
        raise ValueError(
            "inpaint needs some known pixels in each image, but the mask of "
            f"{all_unknown.sum()} of {len(mask)} is True everywhere."
        )
    return mask
