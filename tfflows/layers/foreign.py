"""TFP's objects and their variables within Keras layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

# A Jacobian of more entries costs too many passes for a check.
_MOST_DIMENSIONS = 256


def shared_weights(module: tf.Module, owner: str) -> list[keras.Variable]:
    """A module's variables as Keras's, which it trains and saves, in the same storage.

    Keras 2's optimizers apply a variable's constraint after each step; Keras 3's know nothing of
    it. The module reads `constraint(variable)` from here on, so that values and gradients fulfil
    it however the variable is trained: TFP's masked networks keep their masks so.

    Args:
        module: one of TFP's objects; variables with a constraint are attributes of it or of its
            submodules.
        owner: who wraps it, for errors.

    Raises:
        ValueError: if a variable with a constraint is no such attribute.
    """
    variables = module.variables
    _constrain([v for v in variables if getattr(v, "constraint", None) is not None], module, owner)
    return [
        keras.Variable(v, dtype=v.dtype.name, trainable=v.trainable, name=f"weight_{i}")
        for i, v in enumerate(variables)
    ]


def _constrain(variables, module, owner):
    if not variables:
        return
    # TFP takes seconds to import, and layers are of use without it.
    from tensorflow_probability import util as tfp_util

    constrained, found = {id(variable) for variable in variables}, set()
    for part in (module, *module.submodules):
        for name, value in [*vars(part).items()]:
            if id(value) in constrained:  # several modules may share one
                setattr(part, name, tfp_util.DeferredTensor(value, value.constraint))
                found.add(id(value))
    if found != constrained:
        raise ValueError(
            f"{owner} has {len(constrained - found)} variables with a constraint that Keras 3 "
            "would not apply, since they are no attributes of a tf.Module; use "
            "tfp.util.TransformedVariable, whose value is constrained by itself."
        )


def require_log_det(bijector, event_shape: tuple[int, ...], dtype: str, owner: str):
    """Raise `ValueError` unless a bijector's log-dets are those of its Jacobian at a few points.

    Events of more than 256 dimensions are only mapped, not differentiated.

    Args:
        bijector: a `tfb.Bijector` that keeps the event's shape.
        event_shape: the shape.
        dtype: of the points.
        owner: who wraps it, for errors.
    """
    num_dims, event_ndims = math.prod(event_shape), len(event_shape)
    z, x = _points(bijector, event_shape, dtype)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        flat = tf.reshape(bijector.inverse(x), [-1, num_dims])
    log_det = bijector.inverse_log_det_jacobian(tf.identity(x), event_ndims)
    opposite = -bijector.forward_log_det_jacobian(tf.identity(z), event_ndims)
    if num_dims > _MOST_DIMENSIONS:
        return
    jacobian = tape.batch_jacobian(flat, x, experimental_use_pfor=False)
    jacobian = tf.reshape(jacobian, [-1, num_dims, num_dims]).numpy().astype("float64")
    expected = np.linalg.slogdet(jacobian)[1]
    found = np.stack([np.broadcast_to(value, expected.shape) for value in (log_det, opposite)])
    known = np.isfinite(expected) & np.isfinite(found).all(0)
    errors = np.abs(found - expected)[:, known]
    # Rounding moves the log-det of a steep map, but by no such part of it.
    if np.any(errors > 0.01 * np.maximum(1, np.abs(expected[known]))):
        raise ValueError(
            f"The log-det of {owner} is not that of its Jacobian: at {known.sum()} points it is "
            f"off by up to {errors.max():.3g} nats, so that densities would not integrate to 1."
        )


def _points(bijector, event_shape, dtype):
    """Two pairs of z and x = f(z) in the bijector's domain, which may be bounded."""
    normal = tf.random.stateless_normal([2, *event_shape], seed=[0, 0], dtype=dtype)
    for z in (normal, tf.math.softplus(normal), tf.sigmoid(normal)):
        # A new tensor: what TFP's cache remembers has no gradient.
        x = tf.identity(bijector.forward(tf.identity(z)))
        if np.all(np.isfinite(x)):
            break
    return z, x


def made_distribution(
    make_distribution: Callable, shape, dtype: str, owner: str, are_events: bool
) -> object:
    """The `tfd.Distribution` that a user's function makes for a shape.

    Args:
        make_distribution: the function of the shape.
        shape: what it is given.
        dtype: that the distribution must have.
        owner: who needs it, for errors.
        are_events: whether the shape is to be the event shape; else it is the batch shape, of
            events that are numbers.

    Raises:
        ValueError: if it returns something else, or a distribution of another shape or dtype.
    """
    # TFP takes seconds to import, and layers are of use without it.
    from tensorflow_probability import distributions as tfd

    made = make_distribution(shape)
    if not isinstance(made, tfd.Distribution):
        raise ValueError(
            f"make_distribution must return a tfd.Distribution, but it returned {made!r}."
        )
    expected = (shape, ()) if are_events else ((), shape)
    found = tuple(made.event_shape), tuple(made.batch_shape)
    if found != expected:
        raise ValueError(
            f"{owner} needs a distribution of event shape {expected[0]} and batch shape "
            f"{expected[1]}, but '{made.name}' has {found[0]} and {found[1]}; tfd.Independent and "
            "tfd.Sample make events of batches and of single numbers."
        )
    if made.dtype != dtype:
        raise ValueError(
            f"{owner} computes in {dtype}, but '{made.name}' has dtype "
            f"{tf.as_dtype(made.dtype).name}; give both the same dtype."
        )
    return made
