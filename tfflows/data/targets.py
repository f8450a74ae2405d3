"""Unnormalised densities whose integrals are known, to try reverse KL on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Target:
    """A density up to a factor.

    Attributes:
        name: of the target.
        description: what it is, and its source.
        dim: number of dimensions.
        log_prob: function of x, `[batch, dim]`, that returns the logarithm of the density, in nats,
            up to a constant, `[batch]`.
        log_evidence: logarithm of its integral, in nats.

    Example:
        >>> from tfflows.data import targets
        >>> target = targets.TARGETS["funnel"]
        >>> print(target.dim, target.log_prob(tf.zeros([1, 10])).numpy().round(3))
        10 [-10.288]
    """

    name: str
    description: str
    dim: int
    log_prob: Callable = dataclasses.field(repr=False)
    log_evidence: float


def _normal(x, scale):
    return -0.5 * (x / scale) ** 2 - math.log(scale) - 0.5 * math.log(2 * math.pi)


def _funnel(x):
    log_scale = x[:, :1] / 2
    others = _normal(x[:, 1:] * tf.exp(-log_scale), 1.0) - log_scale
    return _normal(x[:, 0], 3.0) + tf.reduce_sum(others, -1)


def _banana(x):
    return _normal(x[:, 0], 1.0) + _normal(x[:, 1] - x[:, 0] ** 2, 0.5)


def _end(x):
    """A wall at |x_1| = 4, beyond which the waves would go on for ever."""
    beyond = tf.nn.relu(tf.abs(x[:, 0]) - 4)
    return -0.5 * (beyond / 0.2) ** 2


def _wave(x):
    return tf.sin(math.pi * x[:, 0] / 2)


def _two_moons(x):
    # The root has no gradient at 0.
    radius = tf.sqrt(tf.reduce_sum(x**2, 1) + 1e-20)
    ring = ((radius - 2) / 0.4) ** 2 / 2
    sides = [-(((x[:, 0] - centre) / 0.6) ** 2) / 2 for centre in (2.0, -2.0)]
    return tf.reduce_logsumexp(sides, 0) - ring


def _one_wave(x):
    return -0.5 * ((x[:, 1] - _wave(x)) / 0.4) ** 2 + _end(x)


def _two_waves(x, scales, offset):
    """Of one wave and the same, moved down by an offset."""
    waves = (_wave(x), _wave(x) - offset)
    parts = [
        -0.5 * ((x[:, 1] - wave) / scale) ** 2 for wave, scale in zip(waves, scales, strict=True)
    ]
    return tf.reduce_logsumexp(parts, 0) + _end(x)


def _split_wave(x):
    return _two_waves(x, (0.35, 0.35), 3 * tf.exp(-0.5 * ((x[:, 0] - 1) / 0.6) ** 2))


def _parting_waves(x):
    return _two_waves(x, (0.4, 0.35), 3 * tf.sigmoid((x[:, 0] - 1) / 0.3))


# Effects of coaching in eight schools, and their standard errors.
_EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
_ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)


def _eight_schools(x):
    """Of the mean, the logarithm of the deviation, and eight standardised effects."""
    from tensorflow_probability import distributions as tfd

    constant = lambda value: tf.constant(value, x.dtype)  # noqa: E731
    normal = lambda loc, scale: tfd.Normal(constant(loc), constant(scale))  # noqa: E731

    def observed(standard, log_deviation, mean):
        effects = tf.exp(log_deviation)[..., tf.newaxis] * standard + mean[..., tf.newaxis]
        return tfd.Independent(tfd.Normal(effects, constant(_ERRORS)), 1)

    model = tfd.JointDistributionSequential(
        [normal(0.0, 10.0), normal(5.0, 1.0), tfd.Sample(normal(0.0, 1.0), 8), observed]
    )
    return model.log_prob([x[:, 0], x[:, 1], x[:, 2:], constant(_EFFECTS)])


def _of_waves(widths: float) -> float:
    """Logarithm of the integral of waves whose widths sum to that, with their ends."""
    root = math.sqrt(2 * math.pi)
    return math.log(root * widths * (8 + 0.2 * root))


_MOHAMED = "of Rezende and Mohamed, 'Variational inference with normalizing flows', 2015"

TARGETS = {
    target.name: target
    for target in (
        Target("banana", "A normal density bent along a parabola.", 2, _banana, 0.0),
        Target(
            "funnel",
            "A normal variable, and nine others whose variance is its exponential; Neal, 'Slice "
            "sampling', 2003.",
            10,
            _funnel,
            0.0,
        ),
        Target("u1", f"Two moons on a ring, U1 {_MOHAMED}.", 2, _two_moons, 1.8775016261),
        Target("u2", f"A wave, U2 {_MOHAMED}, within |x_1| < 4.", 2, _one_wave, _of_waves(0.4)),
        Target(
            "u3",
            f"A wave that splits, U3 {_MOHAMED}, within |x_1| < 4.",
            2,
            _split_wave,
            _of_waves(0.7),
        ),
        Target(
            "u4",
            f"Waves that part, U4 {_MOHAMED}, within |x_1| < 4.",
            2,
            _parting_waves,
            _of_waves(0.75),
        ),
        Target(
            "eight_schools",
            "Effects of coaching in eight schools, not centred; Rubin, 'Estimation in parallel "
            "randomized experiments', 1981, with the priors of TFP's example.",
            10,
            _eight_schools,
            -36.1308159112,
        ),
    )
}
