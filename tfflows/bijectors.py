"""The bridge between invertible layers and TFP's bijectors, both ways."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from keras.src.backend.common.stateless_scope import in_stateless_scope

from tfflows.layers.base import InvertibleLayer
from tfflows.layers.foreign import require_log_det, shared_weights
from tfflows.layers.view import LayerBijector

tfb = tfp.bijectors

__all__ = ["BijectorLayer", "LayerBijector"]


@keras.saving.register_keras_serializable(package="tfflows")
class BijectorLayer(InvertibleLayer):
    """Any `tfb.Bijector` as an invertible layer, with its variables as Keras weights.

        forward, inverse and log-dets: the bijector's

    Constraints of variables, by which TFP's masked networks keep their masks, hold for values and
    gradients. When the layer is built, and after `Flow.fit`, the bijector's log-det is compared
    with that of its Jacobian at two points (up to 256 dimensions).

    Args:
        make_bijector: function of the event shape that returns a new `tfb.Bijector`; the
            `tf.Variable`s that it has after its first call are trained and saved. To save a model
            to `.keras`, register it with `keras.saving.register_keras_serializable`.

    Raises:
        ValueError: if the function does not return a bijector, or one that changes the
            event shape, whose log-det is wrong or which has `tfb.BatchNormalization`, or for one
            with variables within a `tfflows.layers.Stack`; from `check`, if it has other variables
            by then.

    Example:
        >>> @keras.saving.register_keras_serializable(package="example")
        ... def softplus_scale(event_shape):
        ...     return tfb.Chain([tfb.Softplus(), tfb.Scale(tf.Variable(tf.ones(event_shape)))])
        >>> layer = tfflows.bijectors.BijectorLayer(softplus_scale)
        >>> x, log_det = layer.forward_and_log_det(tf.ones([3, 2]))
        >>> [tuple(weight.shape) for weight in layer.trainable_weights]
        [(2,)]
    """

    def __init__(self, make_bijector: Callable[[tuple[int, ...]], object], **kwargs):
        super().__init__(**kwargs)
        self.make_bijector = make_bijector

    def build(self, z_shape, context_shape=None):
        event_shape, owner = tuple(z_shape[1:]), f"BijectorLayer '{self.name}'"
        bijector = self.make_bijector(event_shape)
        if not isinstance(bijector, tfb.Bijector):
            raise ValueError(
                f"make_bijector must return a tfb.Bijector, but it returned {bijector!r}."
            )
        found = tuple(bijector.forward_event_shape(event_shape))
        if found != event_shape:
            raise ValueError(
                f"BijectorLayer takes bijectors that keep the shape of the event, but {bijector} "
                f"maps {event_shape} to {found}."
            )
        parts = (bijector, *bijector.submodules)
        if any(isinstance(part, tfb.BatchNormalization) for part in parts):
            raise ValueError(
                f"{owner} found tfb.BatchNormalization, whose moving averages no Keras model "
                "updates; use tfflows.layers.BatchNormalization."
            )
        # Networks make their variables in their first call.
        require_log_det(bijector, event_shape, self.compute_dtype, owner)
        if bijector.variables and in_stateless_scope():
            raise ValueError(
                f"{owner} has tf.Variables of TFP's, which a Stack cannot replace by those of each "
                "step; put as many BijectorLayers into a Chain."
            )
        self._event_ndims = len(event_shape)
        self._wrapped = bijector
        self.bijector_weights = shared_weights(bijector, owner)
        super().build(z_shape, context_shape)

    def check(self) -> None:
        """Raise `ValueError` if the bijector's log-det is wrong, or it made new variables."""
        owner = f"BijectorLayer '{self.name}'"
        found, expected = len(self._wrapped.variables), len(self.bijector_weights)
        if found != expected:
            raise ValueError(
                f"{owner} had {expected} variables when it was built and has {found} now: those "
                "that came later were neither trained nor saved. Make them in make_bijector."
            )
        require_log_det(self._wrapped, self.event_shape, self.compute_dtype, owner)

    def _forward(self, z, call):
        return self._apply(self._wrapped.forward, self._wrapped.forward_log_det_jacobian, z)

    def _inverse(self, x, call):
        return self._apply(self._wrapped.inverse, self._wrapped.inverse_log_det_jacobian, x)

    def _apply(self, transform, log_det_jacobian, value):
        # A new tensor on the way in and out: no value of an earlier call can come out of TFP's
        # global cache.
        value = tf.identity(value)
        result = tf.identity(transform(value))
        log_det = log_det_jacobian(value, event_ndims=self._event_ndims)
        return result, tf.broadcast_to(log_det, tf.shape(value)[:1])

    def get_config(self):
        make_bijector = keras.saving.serialize_keras_object(self.make_bijector)
        return {**super().get_config(), "make_bijector": make_bijector}

    @classmethod
    def from_config(cls, config):
        make_bijector = keras.saving.deserialize_keras_object(config["make_bijector"])
        return cls(**{**config, "make_bijector": make_bijector})
