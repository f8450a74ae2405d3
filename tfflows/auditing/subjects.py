"""What is audited, as functions that return a value and a log-det each, and a density."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.flow import Flow
from tfflows.layers.base import InvertibleLayer
from tfflows.random import stateless

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class Subject:
    """A map x = f(z) with its inverse and the log-dets of both, and the density of x.

    Attributes:
        name: for the report.
        forward, inverse: functions of `[..., *event_shape]` that return the value and the log-det.
        event_shape, dtype: of z.
        takes_any_batch: whether there may be any number of batch dimensions, or has to be one.
        log_prob, sample: of a distribution's own; `None` for a map alone.
    """

    name: str
    forward: Callable
    inverse: Callable
    event_shape: tuple[int, ...]
    dtype: tf.DType
    takes_any_batch: bool = True
    log_prob: Callable | None = None
    sample: Callable | None = None

    def standard(self, n: int, seed: int) -> tf.Tensor:
        """n standard normal z."""
        return stateless.normal([n, *self.event_shape], [seed, n], self.dtype)


def subject_of(thing, event_shape, dtype) -> Subject:
    """The subject that a bijector, layer, flow, distribution or pair of functions is.

    Args:
        thing: see `tfflows.auditing.audit`.
        event_shape, dtype: of z, for what does not know them; `None` where they are not known.
    """
    if isinstance(thing, Flow) and thing.is_conditional:
        raise ValueError(
            f"{thing.name} is conditional: audit the distribution given a context, "
            "flow.given(context)."
        )
    distribution = thing.distribution if isinstance(thing, Flow) else thing
    # What a flow has is no instance of `tfd.TransformedDistribution`, but of what that makes.
    if isinstance(distribution, tfd.Distribution) and hasattr(distribution, "bijector"):
        shape = tuple(distribution.distribution.event_shape)
        found = _of_bijector(distribution.bijector, shape, distribution.dtype)
        return dataclasses.replace(
            found,
            name=thing.name,
            log_prob=lambda x: distribution.log_prob(tf.identity(x)),
            sample=lambda n, seed: tf.identity(distribution.sample(n, seed=[seed, n])),
        )
    if isinstance(thing, InvertibleLayer):
        if not thing.built:
            raise ValueError(f"{thing.name} is not built yet: call build((None, *event_shape)).")
        return _of_bijector(thing.bijector, thing.latent_shape, thing.compute_dtype)
    if event_shape is None:
        raise ValueError("The shape of z is not known: pass event_shape, or z itself.")
    if isinstance(thing, tfp.bijectors.Bijector):
        return _of_bijector(thing, tuple(event_shape), thing.dtype or dtype or "float64")
    if isinstance(thing, tuple) and len(thing) == 2 and all(map(callable, thing)):
        name, dtype = getattr(thing[0], "__name__", "functions"), tf.as_dtype(dtype or "float64")
        return Subject(name, *thing, tuple(event_shape), dtype, takes_any_batch=False)
    raise ValueError(
        "audit takes a tfb.Bijector, a tfd.TransformedDistribution, a layer or flow of tfflows, or "
        "a pair of functions (forward, inverse) that return a value and a log-det each, but found "
        f"{thing!r}."
    )


def _of_bijector(bijector, event_shape, dtype):
    ndims = len(event_shape)
    ndims_of_x = len(bijector.forward_event_shape(event_shape))

    # New tensors on the way in and out: TFP's cache finds values by the tensor that they came from.
    def forward(z):
        x = tf.identity(bijector.forward(tf.identity(z)))
        return x, bijector.forward_log_det_jacobian(tf.identity(z), ndims)

    def inverse(x):
        z = tf.identity(bijector.inverse(tf.identity(x)))
        return z, bijector.inverse_log_det_jacobian(tf.identity(x), ndims_of_x)

    return Subject(bijector.name, forward, inverse, event_shape, tf.as_dtype(dtype))
