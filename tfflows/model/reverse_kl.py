"""Training from an unnormalised density instead of data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from tfflows.checks.values import require_finite
from tfflows.layers.batch_normalization import BatchNormalization
from tfflows.layers.parts import layers_of_kind
from tfflows.layers.passes import Pass
from tfflows.model.losses import Loss
from tfflows.random.seeds import own_rows, stateless_seed

if TYPE_CHECKING:
    from tfflows.flow import Flow


@keras.saving.register_keras_serializable(package="tfflows")
@dataclasses.dataclass(frozen=True)
class ReverseKL(Loss):
    """Reverse Kullback-Leibler divergence to a target that is known up to a factor.

        loss = log q(x) - log p(x),  x = f(z),  z ~ base

    Its mean is KL(q | p / Z) - log Z, where Z is the target's integral, so that the metric `elbo`,
    the negative loss, is a bound on log Z from below. x is drawn anew in each step; of the data
    that `fit` is given only the batch size counts. `flow.fit_to(target_log_prob)` is the short way.

    With the path gradient, that of log q(x) is taken through x alone, which leaves out a term whose
    mean is zero. Where q is the target it has no variance at all, so that it is for the end of a
    training; it costs a pass in the inverse direction more.

    Args:
        target_log_prob: function of x, `[batch, *event_shape]`, that returns log p(x) in nats,
            `[batch]`, up to a constant, in TensorFlow's operations.
        path_gradient: whether log q has the path gradient.

    Raises:
        ValueError: from `compile`, for a flow of pixels, with a context, with a base to be trained
            whose draws have no gradient, or for path gradients through batch normalisation; from
            `fit`, if the target returns another shape, and `tf.errors.InvalidArgumentError` if it
            is not finite.

    Source: Rezende and Mohamed, "Variational inference with normalizing flows", 2015,
    https://arxiv.org/abs/1505.05770; path gradient: Roeder, Wu and Duvenaud, "Sticking the
    landing", 2017, https://arxiv.org/abs/1703.09194; by the score of the flow: Vaitl, Nicoli,
    Nakajima and Kessel, "Gradients should stay on path", 2022, https://arxiv.org/abs/2207.08219.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        >>> loss = tfflows.training.ReverseKL(lambda x: -tf.reduce_sum(x**2, -1) / 2)
        >>> values = loss(flow, tf.zeros([1000, 2]), seed=0)  # which is a normal density already
        >>> print(np.mean(values["elbo"]).round(4), np.log(2 * np.pi).round(4))
        1.8379 1.8379
    """

    target_log_prob: Callable
    path_gradient: bool = False

    def check(self, flow: Flow) -> None:
        import tensorflow_probability as tfp

        if flow.num_bits is not None:
            raise ValueError(
                f"ReverseKL is for densities of continuous x, but {flow.name} is one of pixels."
            )
        if flow.num_classes or flow.context_dim:
            raise ValueError(
                f"ReverseKL has one target for all x, but {flow.name} is conditional; make it "
                "without a context."
            )
        norms = layers_of_kind(flow.transform, BatchNormalization)
        if self.path_gradient and norms:
            raise ValueError(
                f"ReverseKL's path gradient needs one density for all batches, but {flow.name} has "
                f"batch normalisation ('{norms[0].name}'); use path_gradient=False."
            )
        fully = tfp.distributions.FULLY_REPARAMETERIZED
        if flow.base_layer.trainable_weights and flow.base.reparameterization_type != fully:
            raise ValueError(
                f"ReverseKL cannot train the base of {flow.name}, {flow.base_layer!r}, whose draws "
                "have no gradient; make it with trainable=False."
            )

    def metrics(self, flow: Flow) -> tuple[str, ...]:
        return ("elbo",)

    def __call__(
        self,
        flow: Flow,
        x: tf.Tensor,
        context: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        training: bool = True,
    ) -> dict[str, tf.Tensor]:
        seed = stateless_seed(seed)
        z = own_rows(lambda n: flow.draw_base(n, seed), tf.shape(x)[0])
        call = Pass(training=training, seed=seed)
        x, log_det = flow.transform.forward_pass(z, call)
        log_q = flow.base_layer.log_prob(z, call) - log_det
        if not (training and self.path_gradient):
            loss = log_q - target_values(self.target_log_prob, x)
            return {"loss": loss, "elbo": -loss}
        point = tf.stop_gradient(x)
        with tf.GradientTape() as tape:
            tape.watch(point)
            log_p = target_values(self.target_log_prob, point)
        direction = flow.score_pass(point, call) - tape.gradient(log_p, point)
        # Its value is the loss, its gradient that of x in this direction.
        along = tf.reduce_sum(tf.stop_gradient(direction) * x, list(range(1, x.shape.rank)))
        loss = tf.stop_gradient(log_q - log_p)
        return {"loss": loss + along - tf.stop_gradient(along), "elbo": -loss}


class Annealing(keras.callbacks.Callback):
    """The power of a target that rises to 1 over the first epochs, see `flow.fit_to`."""

    def __init__(self, num_epochs: int):
        super().__init__()
        self._num_epochs = num_epochs
        self._power = keras.Variable(1.0, trainable=False, name="power")

    def of(self, target_log_prob: Callable) -> Callable:
        """The target's logarithm, multiplied by the power of the epoch."""
        if not self._num_epochs:
            return target_log_prob

        def annealed(x):
            log_p = tf.convert_to_tensor(target_log_prob(x))
            return tf.cast(self._power.value, log_p.dtype) * log_p

        return annealed

    def on_epoch_begin(self, epoch, logs=None):
        self._power.assign(min(1.0, (epoch + 1) / (self._num_epochs + 1)))


def target_values(target_log_prob: Callable, x) -> tf.Tensor:
    """A target's log p(x), `[batch]`, in x's dtype.

    Raises:
        ValueError: if it is of another shape, or eagerly if a value is not finite.
        tf.errors.InvalidArgumentError: for that within a `tf.function`.
    """
    log_p = tf.convert_to_tensor(target_log_prob(x))
    # What broadcasts would be taken for a sum over the batch.
    if log_p.shape.rank != 1 or (log_p.shape[0] == 1 and x.shape[0] != 1):
        raise ValueError(
            f"target_log_prob should return one number for each x, of shape [batch], but for x of "
            f"shape {tuple(x.shape)} it returned {tuple(log_p.shape)}; sum over the other axes."
        )
    return require_finite(
        tf.cast(log_p, x.dtype), "target_log_prob should be finite wherever the flow draws"
    )
