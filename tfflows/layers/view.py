"""An invertible layer seen as a bijector of TensorFlow Probability."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util

if TYPE_CHECKING:
    from tfflows.layers.base import InvertibleLayer


_ASSIGNMENTS = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")


class _GraphScopedCache(cache_util.BijectorCacheWithGreedyAttrs):
    """TFP's bijector cache with the life of one graph, and none in eager mode.

    TFP keeps one global cache. It returns values from before a weight update, with wrong gradients,
    and keeps every traced graph alive for ever. Within one graph it is what lets `log_prob` run
    each conditioner once.
    """

    def __get__(self, bijector, cls=None):
        storage = cache_util.EphemeralDict()
        if not tf.executing_eagerly():
            graph = tf.compat.v1.get_default_graph()
            kept, length = getattr(graph, "_tfflows_bijector_cache", (storage, 0))
            operations = graph.get_operations()
            # What was computed before weights were assigned is not what they give now.
            if not any(operation.type in _ASSIGNMENTS for operation in operations[length:]):
                storage = kept
            graph._tfflows_bijector_cache = storage, len(operations)
        return type(self)(self._forward_name, self._inverse_name, bijector, cls, storage)


class LayerBijector(tfp.bijectors.Bijector):
    """View of an invertible layer as a `tfb.Bijector`; get it by `layer.bijector`.

        forward, inverse and log-dets: the layer's

    The view owns nothing: `trainable_variables` are the layer's weights. Any number of batch
    dimensions is allowed. A conditional layer takes its context as a keyword, `[..., c]` with
    batch dimensions that broadcast with those of the event: `bijector.forward(z, context=c)`,
    `distribution.log_prob(x, bijector_kwargs={"context": c})`. Class labels enter as
    `tf.one_hot(labels, num_classes)`.

    Within one graph a tensor is mapped once between two assignments of weights, and its value and
    log-det are kept, as TFP's own bijectors do. To differentiate what was computed before the tape,
    pass `tf.identity(x)`.

    Args:
        layer: a built `InvertibleLayer`.
        context: what a call without one is conditioned on.
        map_context: function of a context that gives what the layer takes.

    Example:
        >>> layer = tfflows.layers.Scale()
        >>> layer.build((None, 2))
        >>> bijector = tfb.Invert(layer.bijector)
        >>> bijector.forward(tf.zeros([7, 5, 2])).shape
        TensorShape([7, 5, 2])
    """

    _cache = _GraphScopedCache("_augmented_forward", "_augmented_inverse")

    def __init__(
        self,
        layer: InvertibleLayer,
        name: str | None = None,
        *,
        context: tf.Tensor | None = None,
        map_context: Callable = tf.identity,
    ):
        super().__init__(
            forward_min_event_ndims=len(layer.latent_shape),
            inverse_min_event_ndims=len(layer.event_shape),
            dtype=tf.as_dtype(layer.compute_dtype),
            parameters={
                "layer": layer,
                "context": context,
                "map_context": map_context,
                "name": name,
            },
            name=name or layer.name,
        )
        self._layer, self._context, self._map_context = layer, context, map_context
        # TFP finds tf.Variables, not Keras's; the attribute makes them this module's own.
        self._layer_variables = [variable._value for variable in layer.variables]

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _forward_event_shape(self, shape):
        return tf.TensorShape(self._layer.forward_event_shape(tuple(shape)))

    def _inverse_event_shape(self, shape):
        return tf.TensorShape(self._layer.inverse_event_shape(tuple(shape)))

    def _forward_event_shape_tensor(self, shape):
        return tf.constant(self._layer.event_shape, shape.dtype)

    def _inverse_event_shape_tensor(self, shape):
        return tf.constant(self._layer.latent_shape, shape.dtype)

    def _augmented_forward(self, z, context=None):
        x, log_det = self._with_one_batch_dimension(
            self._layer.forward_and_log_det, z, self._layer.latent_shape, context
        )
        return x, {"fldj": log_det, "ildj": -log_det}

    def _augmented_inverse(self, x, context=None):
        z, log_det = self._with_one_batch_dimension(
            self._layer.inverse_and_log_det, x, self._layer.event_shape, context
        )
        return z, {"ildj": log_det, "fldj": -log_det}

    def _with_one_batch_dimension(self, method, value, event_shape, context):
        context = self._context if context is None else context
        static_batch = value.shape[: value.shape.rank - len(event_shape)]
        batch = tf.shape(value)[: static_batch.rank]
        if context is not None:
            context = tf.convert_to_tensor(context)
            if not context.dtype.is_floating:
                raise ValueError(
                    f"A bijector's context is a float vector, but found {context.dtype.name}; "
                    "class labels enter as tf.one_hot(labels, num_classes)."
                )
            context = tf.cast(self._map_context(context), value.dtype)
            static_batch = tf.broadcast_static_shape(static_batch, context.shape[:-1])
            batch = tf.broadcast_dynamic_shape(batch, tf.shape(context)[:-1])
            value = tf.broadcast_to(value, tf.concat([batch, event_shape], 0))
            size = context.shape[-1]
            context = tf.broadcast_to(context, tf.concat([batch, [size]], 0))
            context = tf.reshape(context, [-1, size])
        # Keras layers want exactly one batch dimension.
        result, log_det = method(tf.reshape(value, [-1, *event_shape]), context)
        result_shape = result.shape[1:]
        result = tf.reshape(result, tf.concat([batch, result_shape], 0))
        log_det = tf.reshape(log_det, batch)
        return (
            tf.ensure_shape(result, static_batch.concatenate(result_shape)),
            tf.ensure_shape(log_det, static_batch),
        )

    def _forward(self, z, context=None):
        return self._augmented_forward(z, context)[0]

    def _inverse(self, x, context=None):
        return self._augmented_inverse(x, context)[0]

    def _forward_log_det_jacobian(self, z, context=None):
        keywords = {} if context is None else {"context": context}
        attributes = self._cache.forward_attributes(z, **keywords)
        if "fldj" not in attributes:
            attributes.update(self._augmented_forward(z, context)[1])
        return attributes["fldj"]

    def _inverse_log_det_jacobian(self, x, context=None):
        keywords = {} if context is None else {"context": context}
        attributes = self._cache.inverse_attributes(x, **keywords)
        if "ildj" not in attributes:
            attributes.update(self._augmented_inverse(x, context)[1])
        return attributes["ildj"]
