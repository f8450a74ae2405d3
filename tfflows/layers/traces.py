"""How a continuous layer computes the trace of a Jacobian, as values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar

import keras
import tensorflow as tf

from tfflows.checks.settings import Settings, as_value
from tfflows.layers.passes import Pass
from tfflows.random import counter, stateless
from tfflows.random.seeds import own_rows, stateless_seed

_NOISES = ("rademacher", "gaussian")


@dataclasses.dataclass(frozen=True)
class Trace(Settings):
    """How tr(df/dz) is computed along a path, as a value.

    All that is asked of f are products v^T df/dz with vectors v, which are chosen once a solve. A
    new trace is a frozen dataclass, registered with Keras, that implements `vectors` and
    `divergence`.

    Attributes:
        estimator: what is said of log-densities that are estimates; `None` if they are not.
    """

    estimator: ClassVar[str | None] = None

    def require_affordable(self, size: int, owner: str) -> None:
        """Raise `ValueError` if z has too many entries for it; `owner` names the layer."""

    def vectors(self, z: tf.Tensor, call: Pass, stream: int) -> tf.Tensor:
        """The vectors v of one solve, of z's dtype.

        Args:
            z: `[batch, *event_shape]`, where the solve starts.
            call: what noise may depend on.
            stream: a number from 0; the noise of different ones is independent.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what its vectors are.")

    def divergence(
        self, velocity: Callable, z: tf.Tensor, t: tf.Tensor, vectors: tf.Tensor, **constants
    ) -> tuple[tf.Tensor, ...]:
        """f(z, t), its divergence and the squared Frobenius norm of df/dz, or estimates of those.

        Args:
            velocity: f, called as `velocity(z, t, **constants)`.
            z, t: a batch of states, and their time.
            vectors: as `vectors` returned them.
            constants: what else f depends on; `context` is `[batch, context_dim]`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it is computed.")


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class ExactTrace(Trace):
    """The trace itself, from all D rows of the Jacobian, D the entries of z.

        tr(df/dz) = sum_i e_i^T (df/dz) e_i,  |df/dz|^2 = sum_i |e_i^T df/dz|^2

    That costs D evaluations of f and of its gradient, and is refused above 256 entries.

    Example:
        >>> velocity = lambda z, t: z * [2.0, 3.0]
        >>> trace, z = tfflows.layers.ExactTrace(), tf.ones([1, 2])
        >>> vectors = trace.vectors(z, tfflows.layers.Pass(), stream=0)
        >>> f, divergence, norm = trace.divergence(velocity, z, 0.0, vectors)
        >>> print(divergence.numpy(), norm.numpy())
        [5.] [13.]
    """

    largest: ClassVar[int] = 256

    def __str__(self):
        return "exact trace"

    def require_affordable(self, size: int, owner: str) -> None:
        if size > self.largest:
            raise ValueError(
                f"{owner} was asked for the exact trace of {size} dimensions, which costs {size} "
                "evaluations of f and its gradient where Hutchinson's estimate costs one; expected "
                f"at most {self.largest} dimensions, or trace=Hutchinson()."
            )

    def vectors(self, z: tf.Tensor, call: Pass, stream: int) -> tf.Tensor:
        size = math.prod(z.shape[1:])
        unit_vectors = tf.reshape(tf.eye(size, dtype=z.dtype), [size, *z.shape[1:]])
        return _copies(unit_vectors, tf.shape(z)[0], 0)

    def divergence(
        self, velocity: Callable, z: tf.Tensor, t: tf.Tensor, vectors: tf.Tensor, **constants
    ) -> tuple[tf.Tensor, ...]:
        shape, size = z.shape[1:], math.prod(z.shape[1:])
        # Each example once for each row of its Jacobian.
        if "context" in constants:
            constants["context"] = _copies(constants["context"], size, 1)
        f, product = _product(velocity, _copies(z, size, 1), t, vectors, constants)
        divergence, jacobian_norm = _sums(product, vectors)
        return (
            tf.reshape(f, [-1, size, *shape])[:, 0],
            tf.reduce_sum(tf.reshape(divergence, [-1, size]), 1),
            tf.reduce_sum(tf.reshape(jacobian_norm, [-1, size]), 1),
        )


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Hutchinson(Trace):
    """Hutchinson's unbiased estimate of the trace, at the cost of one evaluation of f.

        tr(df/dz) = E e^T (df/dz) e,  |df/dz|^2 = E |e^T df/dz|^2

    The noise e is drawn once a solve and example.

    Args:
        noise: distribution of e: `"rademacher"` (independent signs, of the least variance) or
            `"gaussian"`.

    Raises:
        ValueError: for another noise.

    Source: Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian
    smoothing splines", 1989; Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud, "FFJORD", 2019,
    section 3.1.

    Example:
        >>> velocity = lambda z, t: z * [2.0, 3.0]
        >>> trace, z = tfflows.layers.Hutchinson(), tf.ones([1, 2])
        >>> vectors = trace.vectors(z, tfflows.layers.Pass(), stream=0)
        >>> f, divergence, norm = trace.divergence(velocity, z, 0.0, vectors)
        >>> print(divergence.numpy(), norm.numpy())
        [5.] [13.]
    """

    noise: str = "rademacher"

    def __post_init__(self):
        if self.noise not in _NOISES:
            raise ValueError(
                f"Hutchinson's noise must be one of {_NOISES}, but found {self.noise!r}."
            )

    def __str__(self):
        return f"trace by Hutchinson's estimate with {self.noise.capitalize()} noise"

    @property
    def estimator(self) -> str:
        return f"Hutchinson's trace with one {self.noise} draw"

    def vectors(self, z: tf.Tensor, call: Pass, stream: int) -> tf.Tensor:
        if call.row_seeds is not None:
            return self._of_rows(z, call.row_seeds, 2 * (stream + call.step) + 1)
        seed = 0 if call.seed is None and not call.training else call.seed
        seed = stateless_seed(seed) + [0, 1 + stream + call.step]

        def draw(n):
            shape = tf.concat([[n], tf.shape(z)[1:]], 0)
            if self.noise == "gaussian":
                return stateless.normal(shape, seed, z.dtype)
            bits = tf.random.stateless_uniform(shape, seed, 0, 2, tf.int32, alg="philox")
            return tf.cast(2 * bits - 1, z.dtype)

        return own_rows(draw, tf.shape(z)[0])

    def _of_rows(self, z, seeds, stream):
        """Noise whose row i depends on seeds[i] alone."""
        size = math.prod(z.shape[1:])
        if self.noise == "gaussian":
            noise = counter.normal(seeds, size, stream)
        else:
            noise = tf.where(counter.uniform(seeds, size, stream) < 0.5, -1.0, 1.0)
        return tf.cast(tf.reshape(noise, [-1, *z.shape[1:]]), z.dtype)

    def divergence(
        self, velocity: Callable, z: tf.Tensor, t: tf.Tensor, vectors: tf.Tensor, **constants
    ) -> tuple[tf.Tensor, ...]:
        f, product = _product(velocity, z, t, vectors, constants)
        return f, *_sums(product, vectors)


def checked_trace(name: str, value) -> Trace | None:
    """The trace that an argument of a name is, as itself or in Keras's serialised form, or `None`.

    Raises:
        ValueError: if it is none of these.
    """
    expected = f"{name} is a tfflows.layers.Trace, such as ExactTrace()"
    return None if value is None else as_value(Trace, value, expected)


def _product(velocity, z, t, vectors, constants):
    """f and v^T df/dz, for one vector v an example."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(z)
        f = velocity(z, t, **constants)
    return f, tape.gradient(f, z, vectors, unconnected_gradients="zero")


def _sums(product, vectors):
    """(v^T df/dz) v and |v^T df/dz|^2, `[batch]`."""
    axes = list(range(1, product.shape.rank))
    return tf.reduce_sum(product * vectors, axes), tf.reduce_sum(product**2, axes)


def _copies(value, count, axis):
    """`count` copies: of the whole batch (axis 0), or of each example, side by side (axis 1)."""
    value = tf.expand_dims(value, axis)
    multiples = [1] * value.shape.rank
    multiples[axis] = count
    return tf.reshape(tf.tile(value, multiples), [-1, *value.shape[2:]])
