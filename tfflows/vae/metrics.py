"""Metrics of an autoencoder's latents."""

from __future__ import annotations

import keras
import tensorflow as tf

# Of the variance of a posterior's centre over the data, which is 0 where it is the prior.
ACTIVE_VARIANCE = 0.01


class ActiveUnits(keras.metrics.Metric):
    """Number of latent dimensions whose posterior depends on x.

    One is active if the centre of q(z|x) has a variance above 0.01 over the data; of a collapsed
    posterior, which is the prior for all x, none is.

    Args:
        latent_dim: size of z.

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016, section 5.2,
    https://arxiv.org/abs/1509.00519.

    Example:
        >>> metric = tfflows.vae.metrics.ActiveUnits(latent_dim=2)
        >>> metric.update_state(tf.constant([[1.0, 5.0], [-1.0, 5.0]]))
        >>> int(metric.result())
        1
    """

    def __init__(self, latent_dim: int, name: str = "active_units", **kwargs):
        super().__init__(name=name, **kwargs)
        self.count = self.add_variable((), "zeros", name="count")
        self.total = self.add_variable((latent_dim,), "zeros", name="total")
        self.squares = self.add_variable((latent_dim,), "zeros", name="squares")

    def update_state(self, centres, sample_weight=None):
        """Take the centres of a batch, `[batch, latent_dim]`."""
        centres = tf.cast(centres, self.dtype)
        weights = tf.ones_like(centres[:, 0])
        if sample_weight is not None:
            weights = tf.reshape(tf.cast(sample_weight, self.dtype), [-1])
        self.count.assign_add(tf.reduce_sum(weights))
        self.total.assign_add(tf.linalg.matvec(centres, weights, transpose_a=True))
        self.squares.assign_add(tf.linalg.matvec(centres**2, weights, transpose_a=True))

    def result(self):
        count = tf.maximum(tf.convert_to_tensor(self.count), 1e-9)
        variance = self.squares / count - (self.total / count) ** 2
        return tf.reduce_sum(tf.cast(variance > ACTIVE_VARIANCE, self.dtype))
