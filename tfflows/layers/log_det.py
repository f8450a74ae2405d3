"""Log-determinants of I + J, J the Jacobian of a contraction: exact, or estimated from products."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.settings import Settings, set_positive
from tfflows.layers.passes import Pass
from tfflows.random import counter, stateless
from tfflows.random.seeds import own_rows, stateless_seed


@dataclasses.dataclass(frozen=True)
class LogDetEstimator(Settings):
    """How log|det(I + J)| is computed, J the Jacobian of a contraction g, as a value.

    `str()` of one says what it does. A new one is a frozen dataclass, registered with Keras, that
    implements `log_det`, and `noise` and `draw` if it has random numbers.
    """

    def log_det(self, function: Callable, x: tf.Tensor, *noise) -> tuple[tf.Tensor, tf.Tensor]:
        """`function(x)` and log|det(I + J)| or its estimate, `[batch]`.

        Args:
            function, x: as for `exact_log_det`.
            noise: as `draw` or `noise` returned it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it is computed.")

    def draw(self, x: tf.Tensor, seed: ArrayLike | None = None) -> tuple:
        """New random numbers for a batch x, see `tfflows.random.stateless_seed`."""
        return ()

    def noise(self, x: tf.Tensor, call: Pass, layer: int) -> tuple:
        """Random numbers for a batch x in a pass; those of different `layer`s are independent."""
        return ()

    def bias_bound(self, num_dims: int, coefficient: float) -> float:
        """Largest |bias| in nats, for a Lipschitz constant in (0, 1) and D dimensions."""
        return 0.0

    def num_products(self, num_dims: int) -> float:
        """Products v^T J for an example of D dimensions, in the mean."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it costs.")


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Exact(LogDetEstimator):
    """log|det(I + J)| itself, from the whole matrix, at the cost of D products v^T J.

    Example:
        >>> x = tf.ones([1, 2])
        >>> y, log_det = tfflows.layers.Exact().log_det(lambda x, n: x * [0.5, -0.5], x)
        >>> print(np.round(log_det, 4))  # log 1.5 + log 0.5
        [-0.2877]
    """

    def __str__(self):
        return "exact"

    def log_det(self, function: Callable, x: tf.Tensor, *noise) -> tuple[tf.Tensor, tf.Tensor]:
        return exact_log_det(function, x)

    def num_products(self, num_dims: int) -> float:
        return num_dims


class _Series(LogDetEstimator):
    """What estimators by the series of log(1 + J) share; a subclass has `terms` and `samples`.

    v has independent signs, so that E v^T J^k v = tr J^k, and the estimate is the mean over
    `samples` such v. Its gradient is that of v^T J v in which the first v is replaced by the
    constant sum_k (-1)^k w_k v^T J^k with the same terms and weights w: it has the same expectation
    as that of the series, and needs one product v^T J in memory instead of n.
    """

    def __post_init__(self):
        set_positive(self, "terms", "samples", integers=True)

    @property
    def _samples_text(self):
        return f"{self.samples} sample{'s' if self.samples > 1 else ''}"

    def log_det(self, function: Callable, x: tf.Tensor, *noise) -> tuple[tf.Tensor, tf.Tensor]:
        y, log_dets = series_log_det(function, x, self, *noise)
        return y, tf.reduce_mean(log_dets, 0)

    def noise(self, x: tf.Tensor, call: Pass, layer: int) -> Sequence[tf.Tensor]:
        if call.row_seeds is not None:
            return self.draw_rows(x, call.row_seeds, layer + call.step)
        if call.training or call.seed is not None:
            return self.draw(x, stateless_seed(call.seed) + [0, 1 + layer + call.step])
        if isinstance(call.step, int) or tf.executing_eagerly():
            return self.draw_constants(x, layer + int(call.step))
        # In a loop over steps, one of the draws of all.
        draws = [self.draw_constants(x, layer + step) for step in range(call.steps)]
        return [tf.gather(tf.stack(values), call.step) for values in zip(*draws, strict=True)]

    def draw(self, x: tf.Tensor, seed: ArrayLike | None = None) -> tuple[tf.Tensor, ...]:
        """Signs v and tails T for a batch x, other signs for each example.

        Args:
            x: `[batch, *event_shape]`.
            seed: see `tfflows.random.stateless_seed`.

        Returns:
            v, `[samples, batch, *event_shape]`, and T, int32 `[samples]`.
        """
        seed = stateless_seed(seed)

        def draw_bits(n):
            shape = tf.concat([[self.samples, n], tf.shape(x)[1:]], 0)
            return tf.random.stateless_uniform(shape, seed, 0, 2, tf.int32, alg="philox")

        signs = tf.cast(2 * own_rows(draw_bits, tf.shape(x)[0], axis=1) - 1, x.dtype)
        return signs, self._tails(seed + [1, 0])

    def draw_rows(self, x: tf.Tensor, seeds: tf.Tensor, layer: int) -> tuple[tf.Tensor, ...]:
        """Signs and tails of which those of row i depend on seeds[i] alone, with a tail for each.

        Args:
            x: `[batch, *event_shape]`.
            seeds: int64 `[batch, 2]`, see `tfflows.random.counter`.
            layer: a number from 0; the noise of different ones is independent.
        """
        shape = [-1, self.samples, *x.shape[1:]]
        u = counter.uniform(seeds, self.samples * math.prod(x.shape[1:]), 2 * layer + 1)
        signs = tf.cast(tf.where(tf.reshape(u, shape) < 0.5, -1.0, 1.0), x.dtype)
        signs = tf.transpose(signs, [1, 0, *range(2, len(shape))])
        return signs, self._tails_of_rows(seeds, 2 * layer + 2)

    def draw_constants(self, x: tf.Tensor, seed: int) -> tuple[tf.Tensor, ...]:
        """Constant signs, `[samples, 1, *event_shape]`, and tails: the estimate is one of x."""
        generator = np.random.default_rng(seed)
        signs = generator.choice([-1.0, 1.0], (self.samples, 1, *x.shape[1:]))
        return tf.constant(signs, x.dtype), self._constant_tails(generator)

    def _tails(self, seed):
        return self._no_tails()

    def _tails_of_rows(self, seeds, stream):
        return self._no_tails()

    def _constant_tails(self, generator):
        return self._no_tails()

    def _no_tails(self):
        return tf.zeros([self.samples], tf.int32)

    def weights(self, k: tf.Tensor, tails: tf.Tensor) -> tf.Tensor:
        """Weight of term k of the series for the tails T, of their shape."""
        return tf.ones_like(tails, "float64")


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Truncated(_Series):
    """The series of log(1 + J), cut off; biased.

        log|det(I + J)| ~ sum_{k <= n} (-1)^(k+1) / k  v^T J^k v,  v independent signs

    Args:
        terms: n.
        samples: number of v, over which the mean is taken.

    Raises:
        ValueError: if one of these is not an integer of at least 1.

    Source: Behrmann et al., "Invertible residual networks", 2019, section 3.2.

    Example:
        >>> estimator = tfflows.layers.Truncated(terms=10)
        >>> print(estimator)
        truncated at 10 terms, 1 sample
        >>> round(estimator.bias_bound(num_dims=2, coefficient=0.9), 3)
        0.368
    """

    terms: int = 10
    samples: int = 1

    def __str__(self):
        return f"truncated at {self.terms} terms, {self._samples_text}"

    def bias_bound(self, num_dims: int, coefficient: float) -> float:
        series = sum(coefficient**k / k for k in range(1, self.terms + 1))
        return num_dims * (-math.log1p(-coefficient) - series)

    def num_products(self, num_dims: int) -> float:
        return self.samples * self.terms


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Roulette(_Series):
    """The series of log(1 + J), cut off at random; unbiased.

        log|det(I + J)| = E sum_{k <= n + T} (-1)^(k+1) / k  w_k v^T J^k v,  v independent signs,
        T geometric,  w_{n + j} = 1 / P(T >= j)

    The variance is finite only if rho^2 < q, rho the spectral radius of J and q = tail / (1 + tail)
    the probability of each further term. (With a Poisson tail it never is.)

    Args:
        terms: n.
        samples: number of v and T, over which the mean is taken.
        tail: mean of T.

    Raises:
        ValueError: if one of the first two is not an integer of at least 1, or the tail is not
            positive.

    Source: Chen et al., "Residual flows for invertible generative modeling", 2019, sections 3.1
    and 3.2.

    Example:
        >>> print(tfflows.layers.Roulette(terms=4))
        roulette of 4 terms and a tail of mean 1, 1 sample
    """

    terms: int = 2
    samples: int = 1
    tail: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        set_positive(self, "tail")

    def __str__(self):
        return (
            f"roulette of {self.terms} terms and a tail of mean {self.tail:g}, {self._samples_text}"
        )

    def num_products(self, num_dims: int) -> float:
        return self.samples * (self.terms + self.tail)

    @property
    def _further(self):
        """Probability of each further term."""
        return self.tail / (1 + self.tail)

    def _tails(self, seed):
        # In float64: float32 would end all tails at 24.
        u = stateless.uniform([self.samples], seed, "float64")
        return tf.cast(tf.math.log1p(-u) / math.log(self._further), tf.int32)

    def _tails_of_rows(self, seeds, stream):
        u = tf.transpose(counter.uniform(seeds, self.samples, stream))
        return tf.cast(tf.math.log(u) / math.log(self._further), tf.int32)

    def _constant_tails(self, generator):
        return tf.constant(generator.geometric(1 - self._further, self.samples) - 1, tf.int32)

    def weights(self, k: tf.Tensor, tails: tf.Tensor) -> tf.Tensor:
        j = tf.maximum(k - self.terms, 0)
        weight = tf.pow(tf.constant(self._further, "float64"), -tf.cast(j, "float64"))
        return tf.where(tails >= j, weight, 0.0)


def exact_log_det(function: Callable, x: tf.Tensor):
    """`function(x)` and log|det(I + J)|, `[batch]`.

    Args:
        function: of x repeated n times along the batch, and n.
        x: `[batch, *event_shape]`.
    """
    size = math.prod(x.shape[1:])
    repeated = _repeat(x, size)
    with tf.GradientTape() as tape:
        tape.watch(repeated)
        y = function(repeated, size)
    batch = tf.shape(x)[0]
    rows = tf.reshape(tf.eye(size, dtype=x.dtype), [size, 1, *x.shape[1:]])
    products = tape.gradient(y, repeated, tf.repeat(rows[:, 0], batch, axis=0))
    jacobian = tf.transpose(tf.reshape(products, [size, -1, size]), [1, 0, 2])
    # By QR, since XLA has no log-determinant of a general matrix.
    upper = tf.linalg.qr(jacobian + tf.eye(size, dtype=x.dtype)).r
    log_det = tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(upper))), -1)
    return y[:batch], log_det


def series_log_det(
    function: Callable,
    x: tf.Tensor,
    estimator: Truncated | Roulette,
    signs: tf.Tensor,
    tails: tf.Tensor,
):
    """`function(x)` and the estimates of log|det(I + J)|, one a sample: `[samples, batch]`.

    Args:
        function, x: as for `exact_log_det`.
        estimator: a `Truncated` or a `Roulette`.
        signs, tails: as `estimator.draw` or `estimator.draw_rows` returns them.
    """
    samples = estimator.samples
    batch = tf.shape(x)[0]
    # One tail a sample, or one a sample and example.
    tails = tf.broadcast_to(tf.reshape(tails, [samples, -1]), [samples, batch])
    repeated = _repeat(x, samples)
    v = tf.broadcast_to(signs, tf.concat([[samples], tf.shape(x)], 0))
    v = tf.ensure_shape(tf.reshape(v, tf.shape(repeated)), repeated.shape)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(repeated)
        y = function(repeated, samples)

    def product(w):
        """w^T J."""
        return tf.ensure_shape(tape.gradient(y, repeated, w), repeated.shape)

    def dot(a, b):
        return tf.reduce_sum(a * b, list(range(1, x.shape.rank)))

    def add_term(k, w, total, neumann):
        weight = tf.cast(tf.reshape(estimator.weights(k, tails), [-1]), x.dtype)
        weight = tf.where(k % 2 == 1, weight, -weight)
        neumann += tf.reshape(weight, [-1] + [1] * (x.shape.rank - 1)) * w
        w = product(w)
        total += weight / tf.cast(k, x.dtype) * dot(w, v)
        # Loops want to know that shapes stay as they are.
        return k + 1, w, tf.ensure_shape(total, v.shape[:1]), tf.ensure_shape(neumann, v.shape)

    last = estimator.terms + tf.reduce_max(tails)
    start = (tf.constant(1), v, tf.zeros_like(dot(v, v)), tf.zeros_like(v))
    _, _, total, neumann = tf.while_loop(lambda k, *_: k <= last, add_term, start)
    surrogate = dot(product(tf.stop_gradient(neumann)), v)
    # The difference is zero, but for its gradient.
    total = tf.stop_gradient(total) + (surrogate - tf.stop_gradient(surrogate))
    return y[:batch], tf.reshape(total, [samples, -1])


def _repeat(x, n):
    return x if n == 1 else tf.tile(x, [n] + [1] * (x.shape.rank - 1))
