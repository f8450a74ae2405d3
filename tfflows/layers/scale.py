"""Elementwise affine maps that are learned or set from data."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import tensorflow as tf

from tfflows.layers.base import constant_log_det
from tfflows.layers.data_dependent import DataDependentLayer

# Steps between neighbouring numbers, in standard deviations, that decoding may have unsaid.
_MOST_ROUNDING = 1e-3


@keras.saving.register_keras_serializable(package="tfflows")
class Scale(DataDependentLayer):
    """Learned diagonal scaling, the last layer of NICE.

        forward:  x = z * exp(c w)
        inverse:  z = x * exp(-c w)
        log-det:  c sum(w)

    The weight w has one entry per dimension of the event. It starts at zero, and `adapt` sets it
    from the standard deviation of the batch (to zero where that is constant).

    Args:
        factor: c, which multiplies the steps that Adam takes in the log-scale. Scales of data
            differ by orders of magnitude, and have a longer way to go than other weights.

    Source: Dinh, Krueger and Bengio, "NICE", 2015, section 3.3 (whose log-scale is `-c w`); the
    factor is that of Kingma and Dhariwal's code for "Glow", 2018.

    Example:
        >>> layer = tfflows.layers.Scale()
        >>> x, log_det = layer.forward_and_log_det(tf.ones([1, 3]))
        >>> _ = layer.weight.assign([0.0, 1.0, 2.0])
        >>> float(layer.forward_and_log_det(tf.ones([1, 3]))[1][0])
        3.0
    """

    def __init__(self, factor: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        if not factor > 0:
            raise ValueError(f"Scale needs a positive factor, but found {factor}.")
        self.factor = float(factor)

    def build(self, z_shape, context_shape=None):
        self.weight = self.add_weight(
            shape=z_shape[1:], initializer="zeros", name="log_scale", autocast=False
        )
        super().build(z_shape, context_shape)

    def _set_from(self, x):
        self.weight.assign(tf.math.log(mean_and_stddev(x)[1]) / self.factor)

    def _forward(self, z, call):
        s = self.factor * tf.convert_to_tensor(self.weight)
        return z * tf.exp(s), constant_log_det(tf.reduce_sum(s), z)

    def _inverse(self, x, call):
        s = self.factor * tf.convert_to_tensor(self.weight)
        return x * tf.exp(-s), constant_log_det(-tf.reduce_sum(s), x)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="tfflows")
class Standardize(DataDependentLayer):
    """Affine map to zero mean and unit standard deviation, set from data by `adapt`.

        forward:  x = mean + stddev * z
        inverse:  z = (x - mean) / stddev
        log-det:  sum(log(stddev))

    Mean and standard deviation have one entry per dimension, are saved with the weights and are
    not trained. Before `adapt` they are 0 and 1. A constant dimension keeps a standard deviation
    of 1. A float64 x is centred before it is rounded to the layer's dtype, so that times in
    seconds since 1970, say, keep their differences; what is decoded is of the layer's dtype, and
    `adapt` warns where that is coarse.

    Args:
        prior_examples: weight, in examples, of the variance averaged over all dimensions, with
            which that of each dimension is mixed. Pixels need it: one that is dark in the whole
            batch would otherwise be blown up beyond measure in the first image where it is not.

    Raises:
        ValueError: if `prior_examples` is negative.

    Example:
        >>> layer = tfflows.layers.Standardize()
        >>> z = layer.adapt(tf.constant([[0.0, 10.0], [4.0, 30.0]]))
        >>> print(z.numpy())
        [[-1. -1.]
         [ 1.  1.]]
    """

    takes_float64 = True

    def __init__(self, prior_examples: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        if not prior_examples >= 0:
            raise ValueError(
                f"Standardize needs prior_examples of at least 0, but found {prior_examples}."
            )
        self.prior_examples = float(prior_examples)

    def build(self, z_shape, context_shape=None):
        settings = {"shape": z_shape[1:], "trainable": False, "autocast": False}
        self.mean = self.add_weight(initializer="zeros", name="mean", **settings)
        self.stddev = self.add_weight(initializer="ones", name="stddev", **settings)
        super().build(z_shape, context_shape)

    def _set_from(self, x):
        mean, stddev = mean_and_stddev(x, self.prior_examples)
        self._warn_of_rounding(np.asarray(mean).ravel(), np.asarray(stddev).ravel())
        self.mean.assign(tf.cast(mean, self.variable_dtype))
        self.stddev.assign(tf.cast(stddev, self.variable_dtype))

    def _warn_of_rounding(self, mean, stddev):
        steps = np.spacing(np.abs(mean).astype(self.compute_dtype))
        rounded = np.flatnonzero(steps > _MOST_ROUNDING * stddev)
        if len(rounded):
            first = rounded[0]
            warnings.warn(
                f"What {self.name} decodes is {self.compute_dtype}, in which {len(rounded)} of "
                f"{len(mean)} columns are coarse: column {first + 1}, of values about "
                f"{mean[first]:.6g}, has steps of {steps[first]:.3g}, and a standard deviation of "
                f"{stddev[first]:.3g}. log_prob and encode of float64 data are not rounded; for "
                "samples give the data less a number near their mean, or a flow dtype='float64'.",
                stacklevel=2,
            )

    def _forward(self, z, call):
        mean, stddev = tf.cast(self.mean, z.dtype), tf.cast(self.stddev, z.dtype)
        return mean + stddev * z, constant_log_det(tf.reduce_sum(tf.math.log(stddev)), z)

    def _inverse(self, x, call):
        mean, stddev = tf.cast(self.mean, x.dtype), tf.cast(self.stddev, x.dtype)
        z = tf.cast((x - mean) / stddev, call.dtype or self.compute_dtype)
        log_stddev = tf.cast(tf.math.log(stddev), z.dtype)
        return z, constant_log_det(-tf.reduce_sum(log_stddev), z)

    def get_config(self):
        return {**super().get_config(), "prior_examples": self.prior_examples}


def mean_and_stddev(x, prior_examples: float = 0.0):
    """Per dimension, computed in float64; see `Standardize` for `prior_examples`."""
    dtype, x = x.dtype, tf.cast(x, tf.float64)
    mean, variance = tf.nn.moments(x, axes=[0])
    # A constant may differ from row to row by a rounding or two.
    least, most = tf.reduce_min(x, axis=0), tf.reduce_max(x, axis=0)
    eps = np.finfo(dtype.as_numpy_dtype).eps.astype("float64")
    is_constant = most - least <= 4 * eps * tf.reduce_max(tf.abs(x), axis=0)
    variance = tf.where(is_constant, tf.zeros_like(variance), variance)
    n = tf.cast(tf.shape(x)[0], tf.float64)
    variance = (n * variance + prior_examples * tf.reduce_mean(variance)) / (n + prior_examples)
    stddev = tf.where(variance > 0, tf.sqrt(variance), tf.ones_like(variance))
    return tf.cast(mean, dtype), tf.cast(stddev, dtype)
