"""Autoregressive layers: each dimension is transformed as those before it say."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer, zero_log_det
from tfflows.layers.triangular import implicit_inverse
from tfflows.layers.vectors import require_vectors
from tfflows.networks.masked import MaskedMLP
from tfflows.transformers import Transformer, as_transformer


@keras.saving.register_keras_serializable(package="tfflows")
class Autoregressive(InvertibleLayer):
    """Each dimension is transformed with parameters that the dimensions before it give.

        one_pass="inverse":  z_i = T^-1(x_i; h(x_<i)),  x_i = T(z_i; h(x_<i)) one after the other
        one_pass="forward":  x_i = T(z_i; h(z_<i)),     z_i = T^-1(x_i; h(z_<i)) one after the other
        log-det:             the sum of T's log-derivatives

    The first has the density in one evaluation of the conditioner, as masked autoregressive flows
    do, the second samples, as inverse autoregressive flows do. The other direction takes a step for
    each level of the order, all of which together multiply as much as one evaluation. Its gradient
    is that of the implicit function, whose triangular equation takes as many vector-Jacobian
    products as there are levels.

    Args:
        transformer: T, a `tfflows.transformers.Transformer`.
        conditioner: h, a `tfflows.networks.MaskedMLP` with T's number of parameters, which has the
            order of the dimensions.
        one_pass: the direction that takes one evaluation, `"inverse"` or `"forward"`.

    Raises:
        ValueError: if an argument is none of these, the conditioner has another number of
            parameters, or events are no vectors.

    Source: Papamakarios, Pavlakou and Murray, "Masked autoregressive flow for density estimation",
    2017, https://arxiv.org/abs/1705.07057; Kingma et al., "Improving variational inference with
    inverse autoregressive flow", 2016, https://arxiv.org/abs/1606.04934.

    Example:
        >>> transformer = tfflows.transformers.Affine()
        >>> network = tfflows.networks.MaskedMLP(transformer.num_parameters, hidden=(16,))
        >>> layer = tfflows.layers.Autoregressive(transformer, network)
        >>> x, forward_log_det = layer.forward_and_log_det(tf.ones([5, 4]))
        >>> z, inverse_log_det = layer.inverse_and_log_det(x)
        >>> bool(tf.reduce_max(tf.abs(forward_log_det + inverse_log_det)) < 1e-5)
        True
    """

    def __init__(
        self,
        transformer: Transformer | dict,
        conditioner: MaskedMLP,
        one_pass: str = "inverse",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.transformer = as_transformer(transformer)
        if not isinstance(conditioner, MaskedMLP):
            raise ValueError(
                "Autoregressive takes a tfflows.networks.MaskedMLP as its conditioner, but found "
                f"{conditioner!r}."
            )
        if conditioner.num_parameters != self.transformer.num_parameters:
            raise ValueError(
                f"{type(self.transformer).__name__} takes {self.transformer.num_parameters} "
                "parameters per dimension, but the conditioner of this Autoregressive layer gives "
                f"{conditioner.num_parameters}."
            )
        if conditioner.compute_dtype != self.compute_dtype:
            raise ValueError(
                f"Autoregressive computes in {self.compute_dtype}, but its conditioner has dtype "
                f"{conditioner.compute_dtype}; give both the same dtype."
            )
        if one_pass not in ("inverse", "forward"):
            raise ValueError(
                f"Autoregressive's one_pass is 'inverse' or 'forward', but found {one_pass!r}."
            )
        self.conditioner = conditioner
        self.one_pass = one_pass

    def build(self, z_shape, context_shape=None):
        require_vectors(self, z_shape)
        if not self.conditioner.built:
            self.conditioner.build(z_shape, context_shape)
        super().build(z_shape, context_shape)

    def _forward(self, z, call):
        if self.one_pass == "forward":
            return _summed(*self._at_once(self.transformer.forward, z, *self._sources(z, call)))
        return self._in_order(self.transformer.forward, self.transformer.inverse, z, call)

    def _inverse(self, x, call):
        if self.one_pass == "inverse":
            return _summed(*self._at_once(self.transformer.inverse, x, *self._sources(x, call)))
        return self._in_order(self.transformer.inverse, self.transformer.forward, x, call)

    def _at_once(self, direction, value, parameters, context):
        """A direction's result and its log-derivatives, with parameters from its own argument."""
        outputs = self.conditioner.function(parameters)(value, *context)
        return direction(value, tf.split(outputs, self.transformer.num_parameters, axis=-1))

    def _in_order(self, direction, opposite, value, call):
        """A direction's result and log-det, with parameters from what it gives."""
        sources = self._sources(value, call)
        parameters, context = tf.nest.map_structure(tf.stop_gradient, sources)
        solution = self.conditioner.in_order(
            parameters,
            lambda values, own: direction(values, own)[0],
            tf.stop_gradient(value),
            *context,
        )

        result = implicit_inverse(
            lambda result, *own: self._at_once(opposite, result, *own),
            solution,
            value,
            sources,
            self.conditioner.num_levels,
        )
        if not call.log_dets:
            return result, zero_log_det(result)
        _, log_slopes = self._at_once(opposite, result, *sources)
        return result, -tf.reduce_sum(log_slopes, -1)

    def _sources(self, value, call):
        """The network's parameters, and a list that holds the context, if there is one."""
        # A copy: the gradient of a loop takes no constant of eager mode from its surroundings.
        contexts = [] if call.context is None else [tf.identity(call.context)]
        sources = self.conditioner.parameters(), contexts
        # A precise Chain hands on float64.
        return tf.nest.map_structure(lambda source: tf.cast(source, value.dtype), sources)

    def get_config(self):
        return {
            **super().get_config(),
            "transformer": keras.saving.serialize_keras_object(self.transformer),
            "conditioner": keras.saving.serialize_keras_object(self.conditioner),
            "one_pass": self.one_pass,
        }

    @classmethod
    def from_config(cls, config):
        conditioner = keras.saving.deserialize_keras_object(config["conditioner"])
        return cls(**{**config, "conditioner": conditioner})


def _summed(value, log_slopes):
    return value, tf.reduce_sum(log_slopes, -1)
