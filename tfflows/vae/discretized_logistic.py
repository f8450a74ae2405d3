"""The logistic distribution, rounded to whole numbers."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp


class DiscretizedLogistic(tfp.distributions.Distribution):
    """Whole numbers in [0, size), as a logistic distribution that is rounded to them.

        P(x = v) = sigmoid(b) - sigmoid(a),  a, b = (v -+ 1/2 - loc) / scale
        log P = log sigmoid(b) + log sigmoid(-a) + log(1 - exp(-1 / scale))

    a is -infinity for v = 0, and b infinity for v = size - 1. The second form has all its digits in
    both tails.

    Args:
        loc, scale: of the logistic distribution, of one shape.
        size: number of values.

    Example:
        >>> p = tfflows.vae.discretized_logistic.DiscretizedLogistic([2.0, 300.0], [0.5, 0.01], 4)
        >>> print(p.prob([2, 3]).numpy().round(4), p.mean().numpy().round(4))
        [0.4621 1.    ] [1.9526 3.    ]
    """

    def __init__(self, loc, scale, size: int, name: str = "DiscretizedLogistic"):
        parameters = {"loc": loc, "scale": scale, "size": size, "name": name}
        self.loc, self.scale = tf.convert_to_tensor(loc), tf.convert_to_tensor(scale)
        self.size = size
        super().__init__(
            dtype=tf.int32,
            reparameterization_type=tfp.distributions.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {
            "loc": tfp.util.ParameterProperties(),
            "scale": tfp.util.ParameterProperties(),
            "size": tfp.util.ParameterProperties(event_ndims=None),
        }

    def _event_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _log_prob(self, x):
        x = tf.cast(x, self.loc.dtype)
        centred = x - self.loc
        below = tf.math.log_sigmoid((centred + 0.5) / self.scale)
        above = tf.math.log_sigmoid((0.5 - centred) / self.scale)
        between = below + above + tf.math.log(-tf.math.expm1(-1 / self.scale))
        return tf.where(x < 0.5, below, tf.where(x > self.size - 1.5, above, between))

    def _mean(self):
        # The sum of P(x >= v) over v from 1.
        def add(v, total):
            edge = tf.cast(v, total.dtype) - 0.5
            return v + 1, total + tf.sigmoid((self.loc - edge) / self.scale)

        start = tf.constant(1), tf.zeros_like(self.loc)
        count = self.size - 1
        return tf.while_loop(lambda v, _: v <= count, add, start, maximum_iterations=count)[1]

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], tf.shape(self.loc)], 0)
        logistic = tfp.distributions.Logistic(tf.zeros([], self.loc.dtype), 1)
        x = tf.round(self.loc + self.scale * logistic.sample(shape, seed=seed))
        return tf.cast(tf.clip_by_value(x, 0, self.size - 1), tf.int32)
