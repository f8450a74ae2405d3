"""A flow as a distribution of TFP's."""

from __future__ import annotations

import math

import tensorflow as tf
from tensorflow_probability.python.distributions.transformed_distribution import (
    _TransformedDistribution,
)


# `tfd.TransformedDistribution` makes one of these of any bijector that is no composite tensor, but
# its subclasses are composite tensors.
class FlowDistribution(_TransformedDistribution):
    """A transformed distribution whose density outside of its support is 0.

    There the log-density of the transform is NaN, which samplers and optimizers do not expect; here
    it is -inf, as that of TFP's own distributions. Its gradient stays NaN.

    Args: as those of `tfd.TransformedDistribution`.

    Example:
        >>> logit = tfflows.layers.Logit(alpha=0.0)
        >>> logit.build((None, 1))
        >>> base = tfd.Sample(tfd.Logistic(0.0, 1.0), 1)
        >>> uniform = tfflows.distributions.FlowDistribution(base, logit.bijector)
        >>> print(uniform.log_prob([[0.5], [1.5]]).numpy())
        [  0. -inf]
    """

    def experimental_local_measure(self, y, backward_compat=False, **kwargs):
        log_prob, space = super().experimental_local_measure(y, backward_compat, **kwargs)
        outside = tf.constant(-math.inf, log_prob.dtype)
        return tf.where(tf.math.is_nan(log_prob), outside, log_prob), space
