"""The transformers of RealNVP's and Glow's couplings: a scale and a shift."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from tfflows.transformers.base import Transformer, checked_bound

# In Glow's scale. On images that a flow was trained on s stays below 3.
_LARGEST_LOG_SCALE = 5.0


class _ScaleAndShift(Transformer):
    """What both have in common, given the log-scale s as a function of h."""

    num_parameters = 2

    def _log_scale(self, h):
        raise NotImplementedError(f"{type(self).__name__} does not say what its scale is.")

    def _forward(self, z, h, t):
        s = self._log_scale(h)
        return z * tf.exp(s) + t, s

    def _inverse(self, x, h, t):
        s = self._log_scale(h)
        return (x - t) * tf.exp(-s), -s


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class Affine(_ScaleAndShift):
    """Scale and shift, the scale bounded on both sides.

        forward:  x = z * exp(s) + t,  s = c tanh(h / c)
        inverse:  z = (x - t) * exp(-s)
        log-det:  s, forward; -s, inverse

    Without the bound c deep stacks overflow.

    Parameters, in this order: h, t. Zeros give the identity. Domain and range are the real line.

    Args:
        bound: c > 0, the largest |s|, or `None` for s = h, which overflows where |h| is large
            (beyond 88 in float32).

    Raises:
        ValueError: if `bound` is not a positive finite number, and as `Transformer` does.

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017,
    section 3.2, https://arxiv.org/abs/1605.08803 (its scale's tanh has a learned factor in place
    of c).

    Example:
        >>> x, log_det = tfflows.transformers.Affine(bound=0.5).forward([1.0, 2.0], [100.0, 1.0])
        >>> print(x.numpy().round(3), log_det.numpy())
        [2.649 4.297] [0.5 0.5]
    """

    bound: float | None = 2.0

    def __post_init__(self):
        if self.bound is not None:
            object.__setattr__(self, "bound", checked_bound(self, self.bound))

    def _log_scale(self, h):
        return h if self.bound is None else self.bound * tf.tanh(h / self.bound)


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class SigmoidAffine(_ScaleAndShift):
    """Scale and shift with Glow's scale, a sigmoid on the way from the data.

        forward:  x = z * exp(s) + t,  s = min(softplus(-h - 2), 5)
        inverse:  z = (x - t) * exp(-s),  exp(-s) = max(sigmoid(h + 2), exp(-5))
        log-det:  s, forward; -s, inverse

    Far from the data h may be large and negative; without the least factor samples would overflow.

    Parameters, in this order: h, t. Zeros do not give the identity but z = sigmoid(2) x, a factor
    of 0.88. Domain and range are the real line.

    Raises:
        ValueError: as `Transformer` does.

    Source: Kingma and Dhariwal, "Glow", 2018, https://arxiv.org/abs/1807.03039, as in its code
    (https://github.com/openai/glow), but for the least factor.

    Example:
        >>> z, log_det = tfflows.transformers.SigmoidAffine().inverse([1.0], [[0.0], [0.0]])
        >>> print(z.numpy().round(4), log_det.numpy().round(4))
        [0.8808] [-0.1269]
    """

    zeros_are_identity = False

    def _log_scale(self, h):
        return tf.minimum(tf.math.softplus(-h - 2.0), _LARGEST_LOG_SCALE)
