"""Filling in the unknown pixels of an image."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfflows.edit.latent import as_points, repeated_context
from tfflows.flow import Flow
from tfflows.random.noise import RowNoise
from tfflows.random.seeds import stateless_seed

# Factors on an example's step size after a step that was taken, and after one that was not.
_GROW, _SHRINK = 1.2, 0.6
_START_FACTORS = (0.75, 0.5, 0.25, 0.0)
_STEPS_A_CALL = 10


def inpaint(
    flow: Flow,
    x,
    mask,
    num_steps: int = 200,
    step_size: float = 0.01,
    temperature: float = 1.0,
    seed=None,
    context=None,
    progress: Callable[[int], None] | None = None,
) -> tf.Tensor:
    """Find unknown pixels that are likely given the known ones.

        start:    the most likely of f(t f^-1(m)), t = 0, 1/4, 1/2, 3/4, 1, where unknown; m has
                  the mean of each image's known pixels there
        propose:  y = f(z + s J^T M g + sqrt(2 s T) e) where unknown, x where known
                  z = f^-1(x),  J = df/dz,  g = grad log p(x),  M keeps the unknown pixels,
                  e ~ N(0, 1)
        take y with probability min(1, (p(y) / p(x))^(1/T)); s grows if it was taken, else shrinks
        T falls from `temperature` to 0 in equal steps

    This is gradient ascent on log p(x) over the unknown pixels, with noise, its known pixels put
    back after each step, as in NICE. Two things differ. The step is made in latent space, which
    multiplies the gradient and the noise by M J J^T M, about the covariance of the pixels, so that
    a region changes as one; steps of single pixels get stuck in grey noise. And a step is taken by
    Metropolis' rule while T falls (simulated annealing), which finds the step size and, at
    temperature 0, never lowers log p(x). Other seeds find other pixels, but these are not exact
    samples of p(unknown | known).

    A step costs about four times what a gradient of `log_prob` does.

    Args:
        flow: any flow.
        x: `[n, *event_shape]`; see `tfflows.edit.latent.as_points` for what pixels mean. The
            values of unknown pixels do not matter.
        mask: booleans, True where unknown: of x's shape, or for all examples of the event shape or,
            for images, `[height, width]`.
        num_steps: proposals for each example.
        step_size: s at the start.
        temperature: T at the start; 0 for gradient ascent alone.
        seed: of the noise; see `tfflows.random.stateless_seed`.
        context: `[n, context_dim]` or labels `[n]` for a conditional flow, or one for all.
        progress: called with the number of proposals made, after every few of them.

    Returns:
        `[n, *event_shape]`, continuous, its known pixels exactly those of x.

    Raises:
        ValueError: for a mask of another shape or dtype, one that leaves nothing known, arguments
            out of range, or as `Flow.log_prob` does.

    Source: Dinh, Krueger and Bengio, "NICE", 2015, section 5.2; Kirkpatrick, Gelatt and Vecchi,
    "Optimization by simulated annealing", 1983.

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
    filled = tf.constant(_with_means(x.numpy(), mask.numpy()))
    z = flow.encode(filled, context)  # says what is wrong with x or the context, if anything
    context = flow.layer_context(context, filled)
    settings = [tf.constant(value, x.dtype) for value in (num_steps, temperature)]
    start = _most_likely_start(flow, filled, z, mask, context)
    state = _start_state(flow, start, step_size, stateless_seed(seed))
    for first in range(0, num_steps, _STEPS_A_CALL):
        done = min(first + _STEPS_A_CALL, num_steps)
        state = _anneal(flow, state, tf.constant(done, x.dtype), mask, context, *settings)
        if progress is not None:
            progress(done)
    return state[2]


def _most_likely_start(flow, filled, z, mask, context):
    """Of the images f(t z) around the known pixels, the most likely one for each example."""
    best, best_log_prob = filled, _log_prob_and_z(flow, filled, context)[0]
    for factor in _START_FACTORS:
        found = _decoded(flow, factor * z, filled, mask, context)
        log_prob = _log_prob_and_z(flow, found, context)[0]
        better = log_prob > best_log_prob
        best = tf.where(_like(better, best), found, best)
        best_log_prob = tf.where(better, log_prob, best_log_prob)
    return best


def _start_state(flow, x, step_size, seed):
    """What a step hands on: its number, what is proposed, what was taken, step sizes, seed."""
    n = len(x)
    zeros = tf.zeros([n, *flow.transform.latent_shape], x.dtype)
    nothing = tf.fill([n], tf.constant(-np.inf, x.dtype))  # so that the start is taken
    sizes = tf.fill([n], tf.constant(step_size, x.dtype))
    return tf.zeros([], x.dtype), x, x, nothing, zeros, zeros, sizes, seed


@tf.function(autograph=False, reduce_retracing=True)
def _anneal(flow, state, last, mask, context, num_steps, temperature):
    """Steps up to the number `last`, traced once for a flow and a shape of x."""

    def step(i, proposed, x, log_prob, z, direction, size, seed):
        """Take or leave what was proposed, and make the next proposal."""
        seed, noise_seed = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        rows = tf.random.split(noise_seed, tf.shape(x)[0], alg="philox")
        # Not TensorFlow's floats, which XLA makes of other bits.
        noise = RowNoise(tf.cast(rows, tf.int64), x.dtype)
        cooled = temperature * (1 - i / num_steps)
        found = _log_prob_z_and_direction(flow, proposed, mask, context)
        chance = noise.part(0).uniform(1)[:, 0]
        taken = tf.math.is_finite(found[0])
        taken &= found[0] - log_prob >= cooled * tf.math.log(chance)
        x = tf.where(_like(taken, x), proposed, x)
        log_prob = tf.where(taken, found[0], log_prob)
        z = tf.where(_like(taken, z), found[1], z)
        direction = tf.where(_like(taken, z), found[2], direction)
        size *= tf.where(taken, tf.constant(_GROW, x.dtype), _SHRINK)
        s = _like(size, z)
        e = tf.reshape(noise.part(1).normal(math.prod(z.shape[1:])), tf.shape(z))
        z_proposed = z + s * direction + tf.sqrt(2 * s * cooled) * e
        proposed = _decoded(flow, z_proposed, x, mask, context)
        return i + 1, proposed, x, log_prob, z, direction, size, seed

    return tf.while_loop(lambda i, *_: i <= last, step, state)


def _log_prob_and_z(flow, x, context):
    # Not flow.log_prob, which refuses values that are not finite: such a proposal is not taken.
    z, log_det = flow.transform.inverse_and_log_det(x, context)
    return flow.base.log_prob(z) + log_det, z


def _log_prob_z_and_direction(flow, x, mask, context):
    """log p(x), z, and J^T M grad log p(x)."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_prob, z = _log_prob_and_z(flow, x, context)
    gradient = tf.where(mask, tape.gradient(log_prob, x), 0.0)
    with tf.GradientTape() as tape:
        tape.watch(z)
        decoded = flow.transform.forward_and_log_det(z, context)[0]
    return log_prob, z, tape.gradient(decoded, z, gradient)


def _decoded(flow, z, x, mask, context):
    """f(z), within the range of pixels, where unknown, and x where known."""
    decoded = flow.transform.forward_and_log_det(z, context)[0]
    if flow.num_bits is not None:
        last = np.nextafter(x.dtype.as_numpy_dtype(2**flow.num_bits), 0)
        decoded = tf.clip_by_value(decoded, 0, last)
    return tf.where(mask, decoded, x)


def _like(values, x):
    """`[n]` values in a shape that broadcasts with x, `[n, ...]`."""
    return tf.reshape(values, [-1, *[1] * (x.shape.rank - 1)])


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


def _with_means(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """x with the mean of the known values of each example and channel where unknown."""

    def mean(axes):
        count = np.sum(~mask, axis=axes, keepdims=True)
        return np.sum(x * ~mask, axis=axes, keepdims=True) / np.maximum(count, 1), count > 0

    of_channel, has_any = mean(tuple(range(1, x.ndim - 1)))
    of_all, _ = mean(tuple(range(1, x.ndim)))
    return np.where(mask, np.where(has_any, of_channel, of_all), x).astype(x.dtype)
