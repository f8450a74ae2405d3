"""Deep networks of sigmoids and logits, as maps of the real line."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfflows.transformers.base import Transformer, checked_bound, of_rank
from tfflows.transformers.mixture import log_sum, logit_of_mixture, mixture_starts
from tfflows.transformers.roots import increasing_root


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class DenseSigmoid(Transformer):
    """Deep dense sigmoidal flow: layers of sigmoids of increasing lines, under logits.

    With h_0 = x, and matrices U and W of positive entries, whose rows sum to 1, in each layer,

        inverse:  h_l = logit(W sigmoid((U h_l-1 - m) / e^s)),  z = h_L
        forward:  the root x of that, by Newton's method and bisection, to rounding
        log-det:  log dz/dx, from the layers' Jacobians, inverse; minus that, forward

    Layer l has K_l sigmoids, and as many outputs, the last one a single one. One layer is
    `tfflows.transformers.LogisticMixture`.

    Parameters, in this order, of each layer: the logits of U, row by row (none in the first
    layer, whose U is of ones); the means, m = b tanh(h / b + m_0); the log-scales,
    s = c tanh(h / c + s_0); and the logits of W, row by row. Domain and range are the real line.
    Zeros give layers whose units differ, as they must to become different in training, and thus the
    identity but roughly.

    Args:
        hidden: numbers K_l of sigmoids, each at least 2.
        bound: b > 0, of the means. Standardised data are mostly within 3.
        log_scale_bound: c > 0. Slopes of layers multiply: float32 holds those of two layers with
            the defaults, those of more with smaller bounds.

    Raises:
        ValueError: if an argument is out of its range, and as `Transformer` does.

    Source: Huang, Krueger, Lacoste and Courville, "Neural autoregressive flows", 2018, section 3.2,
    https://arxiv.org/abs/1804.00779, whose slopes and biases are not bounded.

    Example:
        >>> transformer = tfflows.transformers.DenseSigmoid(hidden=(2, 2))
        >>> zeros = [[0.0]] * transformer.num_parameters
        >>> z, log_det = transformer.inverse([-2.0, 0.0, 2.0], zeros)
        >>> print(transformer.num_parameters, z.numpy().round(3), log_det.numpy().round(3))
        18 [-1.148  0.     1.148] [ 0.48  -1.886  0.48 ]
    """

    zeros_are_identity = False

    hidden: Sequence[int] = (4, 4)
    bound: float = 3.0
    log_scale_bound: float = 1.0

    def __post_init__(self):
        sizes = self.hidden if isinstance(self.hidden, Sequence) else ()
        if not sizes or any(not isinstance(k, numbers.Integral) or k < 2 for k in sizes):
            raise ValueError(
                "DenseSigmoid needs hidden to be integers of at least 2, one a layer, but found "
                f"{self.hidden!r}."
            )
        hidden = tuple(int(k) for k in sizes)
        object.__setattr__(self, "hidden", hidden)
        for name in ("bound", "log_scale_bound"):
            object.__setattr__(self, name, checked_bound(self, getattr(self, name), name))

    @property
    def num_parameters(self) -> int:
        """Number of parameters per dimension."""
        return sum(sum(sizes) for sizes in self._sizes())

    def _sizes(self):
        """Of each layer's parts: U, means, log-scales and W."""
        inputs, outputs = (0, *self.hidden[:-1]), (*self.hidden[:-1], 1)
        return [(k * n, k, k, m * k) for n, k, m in zip(inputs, self.hidden, outputs, strict=True)]

    def _layers(self, parameters, rank):
        parameters, layers = of_rank(parameters, rank), []
        for sizes in self._sizes():
            parts = []
            for size in sizes:
                parts.append(parameters[:size])
                parameters = parameters[size:]
            layers.append(_Layer(self, *parts))
        return layers

    def _inverse(self, x, *parameters):
        return _composed(self._layers(parameters, x.shape.rank), x)

    def _forward(self, z, *parameters):
        layers = self._layers(parameters, z.shape.rank)
        lower = upper = z
        # A layer's outputs are between the least and the largest of its sigmoids' arguments.
        for layer in reversed(layers):
            lower, upper = layer.least_input(lower), layer.largest_input(upper)
        frozen = self._layers([tf.stop_gradient(p) for p in parameters], z.shape.rank)
        function, search = (functools.partial(_composed, part) for part in (layers, frozen))
        x = increasing_root(function, z, lower, upper, search)
        return x, -function(x)[1]


class _Layer:
    """Sigmoids along the first axis, before all axes of the values."""

    def __init__(self, transformer, u, means, log_scales, w):
        b, c, k = transformer.bound, transformer.log_scale_bound, len(means)
        self.log_u = _log_rows(u, k) if u else None
        self.log_w = _log_rows(w, len(w) // k)
        starts, log_scale = mixture_starts(k, b, c)
        means, log_scales = tf.stack(means), tf.stack(log_scales)
        shifts = np.arctanh(starts / b).reshape([k] + [1] * (means.shape.rank - 1))
        self.means = b * tf.tanh(means / b + tf.constant(shifts, means.dtype))
        self.log_scales = c * tf.tanh(log_scales / c + math.atanh(log_scale / c))

    def __call__(self, h, log_dh):
        """Outputs, and logarithms of their derivatives, along the first axis."""
        if self.log_u is not None:
            log_dh = log_sum(self.log_u + log_dh, axis=1)[0]
            h = tf.reduce_sum(tf.exp(self.log_u) * h, 1)
        arguments = (h - self.means) * tf.exp(-self.log_scales)
        return logit_of_mixture(self.log_w, arguments, log_dh - self.log_scales, axis=1)

    def least_input(self, output):
        """That at which no sigmoid's argument is above an output."""
        return tf.reduce_min(self.means + output * tf.exp(self.log_scales), 0)

    def largest_input(self, output):
        """That at which no sigmoid's argument is below an output."""
        return tf.reduce_max(self.means + output * tf.exp(self.log_scales), 0)


def _composed(layers, x):
    """z at x, and log dz/dx."""
    h, log_dh = x[tf.newaxis], tf.zeros_like(x)[tf.newaxis]
    for layer in layers:
        h, log_dh = layer(h, log_dh)
    return h[0], log_dh[0]


def _log_rows(logits, rows):
    """Logarithms of rows that sum to 1, `[rows, columns, ...]`, in which the diagonal is larger."""
    logits = tf.stack(logits)
    columns = logits.shape[0] // rows
    shape = tf.concat([[rows, columns], tf.shape(logits)[1:]], 0)
    diagonal = np.eye(rows, columns).reshape([rows, columns] + [1] * (logits.shape.rank - 1))
    if rows == 1:
        diagonal = 0 * diagonal
    logits = tf.reshape(logits, shape) + tf.constant(diagonal, logits.dtype)
    return log_sum(logits, axis=1)[1]
