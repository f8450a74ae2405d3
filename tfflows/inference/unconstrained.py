"""A joint distribution's parts as one vector of real numbers."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

tfb = tfp.bijectors


class Unconstrained:
    """The density of a joint distribution over flat, unconstrained vectors u.

        log p(u) = log p(parts) + log|det d parts / du|,  parts = bijector(u)

    The bijector is the joint distribution's own: a scale is exp or softplus of a real number, a
    vector of probabilities has one number less, and so on.

    Args:
        joint: a `tfd.JointDistribution`, or one with `experimental_pin`ned parts.

    Attributes:
        bijector: from u, `[..., size]`, to the parts that are not pinned.
        size: number of reals.
        dtype: of them.

    Raises:
        ValueError: for anything else, a batch of distributions, or parts that are integers or of
            several dtypes.
    """

    def __init__(self, joint):
        self.joint = joint
        if not hasattr(joint, "experimental_default_event_space_bijector") or not hasattr(
            joint, "unnormalized_log_prob_parts"
        ):
            raise ValueError(
                f"fit_posterior takes a tfd.JointDistribution, or its experimental_pin(name=data), "
                f"but found {type(joint).__name__}."
            )
        batches = [shape for shape in _shapes(joint.batch_shape) if shape]
        if batches:
            raise ValueError(
                f"fit_posterior takes one joint distribution, but {joint.name} has parts of batch "
                f"shape {batches[0]}: make a vector one event (tfd.Sample, tfd.Independent), or "
                "use an auto-batched joint distribution."
            )
        dtypes = {dtype.name for dtype in map(tf.as_dtype, tf.nest.flatten(joint.dtype))}
        if len(dtypes) != 1 or not dtypes <= {"float32", "float64"}:
            raise ValueError(
                f"fit_posterior takes parts of real numbers, all float32 or all float64, but those "
                f"of {joint.name} are of {', '.join(sorted(dtypes))}: sum integers out, or pin "
                "them."
            )
        (self.dtype,) = dtypes
        to_support = joint.experimental_default_event_space_bijector()
        shapes = to_support.inverse_event_shape(joint.event_shape)
        sizes = [math.prod(shape) for shape in _shapes(shapes)]
        reshapes = [tfb.Reshape(shape, [-1]) for shape in _shapes(shapes)]
        parts = tf.nest.pack_sequence_as(joint.dtype, reshapes)
        pack = tfb.pack_sequence_as(joint.dtype)
        self.bijector = tfb.Chain([to_support, tfb.JointMap(parts), pack, tfb.Split(sizes)])
        self.size = sum(sizes)

    def log_prob(self, u):
        """Log-density of u, `[batch]`, in nats, up to the constant that the pins leave open."""
        log_prob = self.joint.unnormalized_log_prob(self.bijector.forward(u))
        return log_prob + self.bijector.forward_log_det_jacobian(u, event_ndims=1)

    def prior_sample(self, n: int, seed):
        """n draws of u from the joint distribution before its parts were pinned, `[n, size]`."""
        is_pinned = hasattr(self.joint, "sample_unpinned")
        draw = self.joint.sample_unpinned if is_pinned else self.joint.sample
        return self.bijector.inverse(draw(n, seed=seed))


def _shapes(structure) -> list[tuple[int, ...]]:
    return [tuple(shape) for shape in tf.nest.flatten(structure)]
