"""Images by way of their latents: temperatures, paths, directions, levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import require_finite
from tfflows.distributions.dequantization import require_pixels
from tfflows.flow import Flow
from tfflows.layers import Chain, MultiScale
from tfflows.random.seeds import stateless_seed

_KINDS = ("spherical", "linear")


def sample(
    flow: Flow,
    n: int,
    temperatures: float | Sequence[float] = 1.0,
    seed: ArrayLike | None = None,
    context: ArrayLike | None = None,
) -> tf.Tensor:
    """Draw `[n, *event_shape]` samples with a temperature for each level of a multi-scale flow.

        x = f([T_0 z_0, ..., T_{L-1} z_{L-1}]),  z ~ base

    The coarsest levels make the shapes of things and the finest their texture, so that other
    temperatures than one for all trade variety for quality where it matters.

    Args:
        flow: with as many levels as temperatures; any flow for a single temperature.
        n: number of samples.
        temperatures: one number, as for `Flow.sample`, or one a level, coarsest first.
        seed, context: see `Flow.sample`, whose samples these are if all temperatures are equal.

    Raises:
        ValueError: for another number of temperatures, a negative one, a flow without levels, or
            as `Flow.sample` does.

    Source: Kingma and Dhariwal, "Glow", 2018, section 6 (one temperature for all levels).

    Example:
        >>> flow = tfflows.Glow((8, 8, 3), levels=2, steps=1, width=8, prior_width=8, num_bits=8)
        >>> tfflows.edit.sample(flow, 5, temperatures=[0.9, 0.5], seed=0).shape
        TensorShape([5, 8, 8, 3])
    """
    if np.ndim(temperatures) == 0:
        return flow.sample(n, temperatures, seed, context)
    multiscale = multiscale_of(flow)
    shapes = multiscale.part_shapes
    if len(temperatures) != len(shapes):
        raise ValueError(
            f"sample needs one temperature for each of the {len(shapes)} levels of {flow.name}, "
            f"coarsest first, but found {len(temperatures)}."
        )
    if not all(temperature >= 0 for temperature in temperatures):
        raise ValueError(
            f"sample needs temperatures of at least 0, but found {list(temperatures)}."
        )
    pairs = zip(shapes, temperatures, strict=True)
    factors = multiscale.join([np.full((1, *s), t, flow.compute_dtype) for s, t in pairs])
    return flow.sample(n, factors, seed, context)


def interpolate(
    flow: Flow,
    a: ArrayLike,
    b: ArrayLike,
    num_steps: int = 8,
    kind: str = "spherical",
    context: ArrayLike | None = None,
) -> tf.Tensor:
    """Images on a path between two images in latent space, both ends included.

        linear:     z(t) = (1 - t) z_a + t z_b
        spherical:  z(t) = |z|(t) [sin((1 - t) w) z_a / |z_a| + sin(t w) z_b / |z_b|] / sin w
        t = 0, ..., 1;  w the angle between z_a and z_b;  |z|(t) = (1 - t) |z_a| + t |z_b|

    Nearly all draws from a normal in D dimensions have a norm close to sqrt(D). The spherical path
    keeps it; the middle of the linear one is as short as a sample of temperature 0.7.

    Args:
        flow: any flow.
        a, b: one example each, of the event shape; see `as_points` for what pixels mean.
        num_steps: number of images, at least 2.
        kind: `"spherical"` or `"linear"`; the spherical path between latents that are parallel or
            opposite is the linear one.
        context: of both examples, for a conditional flow: one vector or label.

    Returns:
        `[num_steps, *event_shape]`, continuous.

    Raises:
        ValueError: for examples of different or other shapes, fewer steps, or an unknown kind.

    Source: White, "Sampling generative networks", 2016, section 2.1 (of vectors of one norm).

    Example:
        >>> flow = tfflows.Glow((8, 8, 3), levels=2, steps=1, width=8, prior_width=8, num_bits=8)
        >>> black, white = np.zeros([8, 8, 3], "uint8"), np.full([8, 8, 3], 255, "uint8")
        >>> path = tfflows.edit.interpolate(flow, black, white, num_steps=5)
        >>> path.shape, bool(np.all(tfflows.distributions.quantize(path[-1], 8) == white))
        (TensorShape([5, 8, 8, 3]), True)
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, but found {kind!r}.")
    if num_steps < 2:
        raise ValueError(f"interpolate needs num_steps of at least 2, but found {num_steps}.")
    if not np.shape(a) == np.shape(b) == flow.event_shape:
        raise ValueError(
            f"interpolate takes two examples of shape {flow.event_shape}, but found shapes "
            f"{np.shape(a)} and {np.shape(b)}."
        )
    x = tf.stack([as_points(flow, a), as_points(flow, b)])
    z = tf.cast(flow.encode(x, repeated_context(flow, context, 2)), tf.float64)
    t = tf.linspace(tf.zeros([], z.dtype), 1.0, num_steps)
    z_a, z_b = (tf.repeat(end[tf.newaxis], num_steps, axis=0) for end in z)
    if kind == "spherical":
        path = spherical_path(z_a, z_b, t)
    else:
        t = tf.reshape(t, [-1] + [1] * (z.shape.rank - 1))
        path = (1 - t) * z_a + t * z_b
    path = tf.cast(path, flow.compute_dtype)
    return _decoded(flow, path, repeated_context(flow, context, num_steps))


def spherical_path(z_a: tf.Tensor, z_b: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """Row by row, the point t of the spherical path of `interpolate`.

    Args:
        z_a, z_b: `[batch, *latent_shape]`.
        t: `[batch]`, from 0 to 1.

    Example:
        >>> ends = tf.constant([[3.0, 0.0]]), tf.constant([[0.0, 4.0]])
        >>> path = tfflows.edit.spherical_path(*ends, tf.constant([0.5]))
        >>> print(np.round(path.numpy(), 3))  # of length 3.5
        [[2.475 2.475]]
    """
    axes = list(range(1, z_a.shape.rank))
    t = tf.reshape(t, [-1] + [1] * len(axes))
    norm_a, norm_b = (tf.sqrt(tf.reduce_sum(z**2, axes, keepdims=True)) for z in (z_a, z_b))
    tiny = np.finfo(z_a.dtype.as_numpy_dtype).tiny
    unit_a, unit_b = z_a / tf.maximum(norm_a, tiny), z_b / tf.maximum(norm_b, tiny)
    cosine = tf.clip_by_value(tf.reduce_sum(unit_a * unit_b, axes, keepdims=True), -1.0, 1.0)
    angle = tf.acos(cosine)
    # Of latents that are parallel, opposite or zero the path is the straight line.
    is_curved = tf.minimum(tf.minimum(norm_a, norm_b), tf.sin(angle)) > 1e-6
    angle = tf.where(is_curved, angle, tf.ones_like(angle))
    direction = (tf.sin((1 - t) * angle) * unit_a + tf.sin(t * angle) * unit_b) / tf.sin(angle)
    curved = ((1 - t) * norm_a + t * norm_b) * direction
    return tf.where(is_curved, curved, (1 - t) * z_a + t * z_b)


def attribute_direction(
    flow: Flow,
    x: ArrayLike,
    attribute: ArrayLike,
    context: ArrayLike | None = None,
    batch_size: int = 100,
) -> np.ndarray:
    """Direction in latent space from examples without an attribute to examples with it.

        d = mean(z of examples with the attribute) - mean(z of the others)

    Its standard error in each dimension is about sqrt(1/n_with + 1/n_without): thousands of
    examples make a clean direction.

    Args:
        flow: any flow. One that is conditioned on the attribute has little of it left in z.
        x: `[n, *event_shape]`; see `as_points` for what pixels mean.
        attribute: `[n]`, booleans or 0 and 1, both present; or `[n, k]` for several attributes
            of examples that are encoded once.
        context: `[n, context_dim]` or labels `[n]` for a conditional flow.
        batch_size: examples encoded at a time.

    Returns:
        `[*latent_shape]`, for `manipulate`; `[k, *latent_shape]` for several attributes.

    Raises:
        ValueError: for an attribute of another length, with other values or a constant one, or as
            `Flow.encode` does.

    Source: Kingma and Dhariwal, "Glow", 2018, section 6 ("Semantic manipulation").

    Example:
        >>> flow = tfflows.Glow((8, 8, 3), levels=2, steps=1, width=8, prior_width=8, num_bits=8)
        >>> x = flow.sample(20, seed=0)
        >>> bright = np.mean(x, axis=(1, 2, 3)) > 128
        >>> direction = tfflows.edit.attribute_direction(flow, x, bright)
        >>> tfflows.edit.manipulate(flow, x[:2], direction, strengths=[-1, 0, 1]).shape
        TensorShape([2, 3, 8, 8, 3])
    """
    attribute = np.asarray(attribute)
    if attribute.shape[:1] != (len(x),) or attribute.ndim > 2:
        raise ValueError(
            f"attribute_direction needs one attribute for each of the {len(x)} examples, or a row "
            f"of them, but found shape {attribute.shape}."
        )
    columns = attribute.reshape(len(x), -1)
    for column in columns.T:
        values = sorted(set(column.tolist()))
        if values != [0, 1]:
            raise ValueError(
                "attribute_direction needs examples with the attribute (True or 1) and without it "
                f"(False or 0), but the values found are {values[:5]}."
            )
    has_it = columns.astype(bool)
    weights = np.where(has_it, 1 / has_it.sum(0), -1 / (~has_it).sum(0))
    direction = 0.0
    for start in range(0, len(x), batch_size):
        batch = slice(start, start + batch_size)
        z = flow.encode(as_points(flow, x[batch]), None if context is None else context[batch])
        direction += np.tensordot(weights[batch].T, z.numpy().astype("float64"), axes=1)
    return direction.reshape(*attribute.shape[1:], *z.shape[1:]).astype(flow.compute_dtype)


def manipulate(
    flow: Flow,
    x: ArrayLike,
    direction: ArrayLike,
    strengths: Sequence[float],
    context: ArrayLike | None = None,
) -> tf.Tensor:
    """Examples moved along a direction in latent space, once for each strength.

        x_s = f(f^-1(x) + s d)

    Args:
        flow: any flow.
        x: `[n, *event_shape]`; see `as_points` for what pixels mean.
        direction: `[*latent_shape]`, e.g. of `attribute_direction`.
        strengths: the values of s; 0 is x itself, and 1 adds the whole mean difference.
        context: `[n, context_dim]` or labels `[n]` for a conditional flow, or one for all.

    Returns:
        `[n, len(strengths), *event_shape]`, continuous.

    Raises:
        ValueError: for a direction of another shape, strengths that are not a list, images that
            are not finite because a strength is too large, or as `Flow.encode` does.

    Source and example: see `attribute_direction`.
    """
    if np.shape(direction) != flow.transform.latent_shape:
        raise ValueError(
            f"manipulate needs a direction of shape {flow.transform.latent_shape}, but found "
            f"{np.shape(direction)}."
        )
    if np.ndim(strengths) != 1 or len(strengths) == 0:
        raise ValueError(f"manipulate takes a list of strengths, but found {strengths!r}.")
    x = as_points(flow, x)
    context = repeated_context(flow, context, len(x))
    z = flow.encode(x, context)
    moves = [strength * np.asarray(direction, flow.compute_dtype) for strength in strengths]
    return tf.stack([_decoded(flow, z + move, context) for move in moves], axis=1)


def reconstruct(
    flow: Flow,
    x: ArrayLike,
    num_levels: int,
    temperature: float = 0.0,
    seed: ArrayLike | None = None,
    context: ArrayLike | None = None,
) -> tf.Tensor:
    """Examples made from the coarsest levels of their latents, the others drawn anew.

        x' = f([z_0, ..., z_{l-1}, T e_l, ..., T e_{L-1}]),  z = f^-1(x),  e ~ base

    What a level adds is drawn from its prior given the coarser ones; at temperature 0 it is that
    prior's mean.

    Args:
        flow: with levels.
        x: `[n, *event_shape]`; see `as_points` for what pixels mean.
        num_levels: l, how many levels are kept, from 1 to L, which gives back x.
        temperature: factor on what is drawn.
        seed: of what is drawn; see `tfflows.random.stateless_seed`.
        context: `[n, context_dim]` or labels `[n]` for a conditional flow, or one for all.

    Returns:
        `[n, *event_shape]`, continuous.

    Raises:
        ValueError: if num_levels is out of range, the temperature negative or the flow without
            levels, or as `Flow.encode` does.

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017, appendix D.

    Example:
        >>> flow = tfflows.Glow((8, 8, 3), levels=2, steps=1, width=8, prior_width=8, num_bits=8)
        >>> x = np.random.default_rng(0).integers(0, 256, [4, 8, 8, 3])
        >>> tfflows.edit.reconstruct(flow, x, num_levels=1).shape
        TensorShape([4, 8, 8, 3])
    """
    multiscale = multiscale_of(flow)
    levels = len(multiscale.part_shapes)
    if num_levels not in range(1, levels + 1):
        raise ValueError(
            f"reconstruct keeps from 1 to all {levels} levels of {flow.name}, but found "
            f"num_levels {num_levels!r}."
        )
    if not temperature >= 0:
        raise ValueError(f"reconstruct needs a temperature of at least 0, but found {temperature}.")
    x = as_points(flow, x)
    context = repeated_context(flow, context, len(x))
    kept = multiscale.split(flow.encode(x, context))[:num_levels]
    drawn = multiscale.split(flow.base.sample(len(x), seed=stateless_seed(seed)))[num_levels:]
    z = multiscale.join([*kept, *[temperature * part for part in drawn]])
    return _decoded(flow, z, context)


def _decoded(flow: Flow, z, context):
    return require_finite(
        flow.decode(z, context),
        f"What {flow.name} makes of an edited z should be finite (is the edit too strong?)",
    )


def as_points(flow: Flow, x) -> tf.Tensor:
    """x in the continuous space: floats as they are, integer pixels at their centres, x + 0.5.

    So an edit does not depend on a draw of dequantisation noise. Dequantise images yourself, with
    `tfflows.distributions.dequantize`, for one that does.

    Raises:
        ValueError: for pixels out of range, or other values than numbers.
    """
    x = x if tf.is_tensor(x) else tf.convert_to_tensor(np.asarray(x))
    if not (x.dtype.is_floating or x.dtype.is_integer):
        raise ValueError(f"{flow.name} expected numbers, but found x of dtype {x.dtype.name}.")
    if flow.num_bits is None or x.dtype.is_floating:
        return tf.cast(x, flow.compute_dtype)
    return tf.cast(require_pixels(x, flow.num_bits), flow.compute_dtype) + 0.5


def repeated_context(flow: Flow, context, n: int):
    """A context of n examples, where one for all of them may be given."""
    if context is None:
        return None
    context = tf.convert_to_tensor(context)
    is_one = context.shape.rank == (0 if flow.num_classes else 1)
    return tf.repeat(context[tf.newaxis], n, axis=0) if is_one else context


def multiscale_of(flow: Flow) -> MultiScale:
    """The layer that sees the z of a flow level by level.

    Raises:
        ValueError: if there is none next to the base.
    """
    layer = flow.transform
    while isinstance(layer, Chain):
        layer = layer.layers[0]
    if not isinstance(layer, MultiScale):
        raise ValueError(
            f"{flow.name} has no levels: the layer next to its base should be a MultiScale, but "
            f"found {type(layer).__name__}."
        )
    return layer
