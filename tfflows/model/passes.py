"""A flow's density and maps as passes: of checked values, within a graph or without."""

from __future__ import annotations

import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import require_finite
from tfflows.layers.passes import Pass


class FlowPasses:
    """What `log_prob`, `score`, `encode` and `decode` of a flow compute.

    Example:
        >>> flow = tfflows.NICE((2,), num_couplings=2, hidden=(4,))
        >>> flow.log_prob_pass(tf.zeros([3, 2]), tfflows.layers.Pass()).shape
        TensorShape([3])
    """

    def log_prob_pass(self, x: ArrayLike, call: Pass) -> tf.Tensor:
        """Log-density of continuous x in nats, `[batch]`; `call.context` is the layers' one."""
        z, log_det = self.transform.inverse_pass(x, call)
        return self.base_layer.log_prob(z, call) + log_det

    def score_pass(self, x: ArrayLike, call: Pass) -> tf.Tensor:
        """Gradient of `log_prob_pass` with respect to x."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = self.log_prob_pass(x, call)
        return tf.cast(tape.gradient(log_prob, x), self.compute_dtype)

    def encode_pass(self, x: ArrayLike, call: Pass) -> tf.Tensor:
        """Latent z of continuous x."""
        return self.transform.inverse_pass(x, call)[0]

    def decode_pass(self, z: ArrayLike, call: Pass) -> tf.Tensor:
        """Data x of z."""
        return self.transform.forward_pass(z, call)[0]

    def require_finite_z(self, z: ArrayLike) -> tf.Tensor:
        """Latents themselves, if they are finite; see `tfflows.checks.values`."""
        return require_finite(z, f"The z of {self.name} should be finite (is x in its support?)")

    def require_finite(self, log_prob: tf.Tensor) -> tf.Tensor:
        """Log-densities themselves, if they are finite; see `tfflows.checks.values`."""
        message = f"The log_prob of {self.name} should be finite (is x outside its support, or did "
        return require_finite(log_prob, f"{message}training diverge?)")
