"""Networks of angles."""

from __future__ import annotations

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfflows")
class PeriodicFeatures(keras.layers.Layer):
    """A network that sees the cosines and sines of angles in their place.

        output = network([cos(pi x / B), sin(pi x / B)], context)

    Whatever the network computes is then periodic: the same for x and x + 2 B.

    Args:
        network: a network with an optional context, such as `tfflows.networks.MLP`.
        bound: B, half of the period, by default pi.

    Inputs: x `[batch, n]` and context `[batch, c]` or `None`; output as the network's.

    Raises:
        ValueError: if `bound` is not positive.

    Source: Rezende et al., "Normalizing flows on tori and spheres", 2020, section 2.1.4,
    https://arxiv.org/abs/2002.02428.

    Example:
        >>> network = tfflows.networks.PeriodicFeatures(tfflows.networks.MLP(3, hidden=(8,)))
        >>> a, b = network(tf.constant([[0.5], [0.5 - 2 * np.pi]]))
        >>> bool(tf.reduce_max(tf.abs(a - b)) < 1e-5)
        True
    """

    def __init__(self, network: keras.layers.Layer, bound: float = math.pi, **kwargs):
        kwargs.setdefault("dtype", network.dtype_policy)
        super().__init__(**kwargs)
        if not bound > 0:
            raise ValueError(f"PeriodicFeatures needs a positive bound, but found {bound}.")
        self.network, self.bound = network, float(bound)

    def build(self, x_shape, context_shape=None):
        if not self.network.built:  # a copy's may be
            context = {} if context_shape is None else {"context_shape": context_shape}
            self.network.build((*x_shape[:-1], 2 * x_shape[-1]), **context)
        self.built = True

    def call(self, x, context=None, training=False):
        angles = x * (math.pi / self.bound)
        features = ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)
        return self.network(features, context, training=training)

    def compute_output_shape(self, x_shape, context_shape=None):
        return self.network.compute_output_shape((*x_shape[:-1], 2 * x_shape[-1]), context_shape)

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "bound": self.bound}

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})
