"""Coupling layers: one part of the event conditions an elementwise map of the other part."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfflows.checks.values import require_keras_layer
from tfflows.layers.base import InvertibleLayer
from tfflows.layers.masks import parts_of
from tfflows.layers.passes import Pass
from tfflows.transformers import Affine, Shift, SigmoidAffine, Transformer, as_transformer


@keras.saving.register_keras_serializable(package="tfflows")
class Coupling(InvertibleLayer):
    """Coupling: one part of the event is transformed, with parameters that the other part gives.

        forward:  x_a = z_a,  x_b = T(z_b; h(z_a))
        inverse:  z_a = x_a,  z_b = T^-1(x_b; h(x_a))
        log-det:  the sum of T's log-derivatives over the dimensions of b

    Args:
        transformer: T, a `tfflows.transformers.Transformer`.
        conditioner: h, any Keras layer that maps the conditioning part `[batch, ..., n]` to
            `[batch, ..., p * m]`, T's p parameters one after the other, each for all m transformed
            dimensions. With a context it is called as `conditioner(a, context=context)`. For a
            checkerboard, both parts are whole images, with zeros where the other part is.
        mask: `"checkerboard"` for images, whose pixels with an even sum of row and column then
            condition; anything else acts on the last axis, see `tfflows.layers.coupling_mask`.
        flip: swap the roles of the two parts.

    Raises:
        ValueError: if the transformer or the conditioner is none, the mask does not fit the event
            or the conditioner's output has the wrong size.

    Source: Dinh, Krueger and Bengio, "NICE", 2015, section 3.2.

    Example:
        >>> transformer = tfflows.transformers.SinhArcsinh()
        >>> network = tfflows.networks.MLP(transformer.num_parameters * 2, hidden=(8,))
        >>> layer = tfflows.layers.Coupling(transformer, network, mask="half")
        >>> x, forward_log_det = layer.forward_and_log_det(tf.ones([5, 4]))
        >>> z, inverse_log_det = layer.inverse_and_log_det(x)
        >>> bool(tf.reduce_max(tf.abs(forward_log_det + inverse_log_det)) < 1e-5)
        True
    """

    def __init__(
        self,
        transformer: Transformer | dict,
        conditioner: keras.layers.Layer,
        mask: str | Sequence[bool] = "alternating",
        flip: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.transformer = as_transformer(transformer)
        require_keras_layer("conditioner", type(self).__name__, conditioner)
        self.conditioner = conditioner
        self.mask = mask if isinstance(mask, str) else [bool(m) for m in mask]
        self.flip = bool(flip)

    def build(self, z_shape, context_shape=None):
        self._parts = parts_of(self.mask, self.flip, z_shape[1:], self.compute_dtype)
        conditioning, transformed = self._parts.sizes

        input_shape = (*z_shape[:-1], conditioning)
        context = {} if context_shape is None else {"context_shape": context_shape}
        if not self.conditioner.built:
            self.conditioner.build(input_shape, **context)
        found = self.conditioner.compute_output_shape(input_shape, **context)[-1]
        expected = self.transformer.num_parameters * transformed
        if found != expected:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' transforms {transformed} dimensions, so its "
                f"conditioner must return {expected} values, but it returns {found}."
            )
        super().build(z_shape, context_shape)

    @property
    def conditions(self) -> np.ndarray:
        """True where a value conditions: `[channels]`, of a checkerboard `[height, width, 1]`."""
        self._require_built("ask for its mask")
        return self._parts.conditions

    def _parameters(self, a, call):
        keywords = {} if call.context is None else {"context": call.context}
        parameters = self.conditioner(a, training=call.training, **keywords)
        parameters = tf.cast(parameters, self.compute_dtype)
        return tf.split(parameters, self.transformer.num_parameters, axis=-1)

    def _transformed(self, direction, b, parameters):
        b, log_det = self._parts.select(*direction(b, parameters))
        return b, tf.reduce_sum(log_det, list(range(1, log_det.shape.rank)))

    def _forward(self, z, call):
        a, b = self._parts.split(z)
        b, log_det = self._transformed(self.transformer.forward, b, self._parameters(a, call))
        return self._parts.merge(a, b), log_det

    def _inverse(self, x, call):
        a, b = self._parts.split(x)
        b, log_det = self._transformed(self.transformer.inverse, b, self._parameters(a, call))
        return self._parts.merge(a, b), log_det

    def inverse_gradients(
        self,
        z: tf.Tensor,
        x: tf.Tensor | None,
        call: Pass,
        output_gradients: Sequence,
        sources: Sequence,
    ) -> tuple:
        if x is not None:
            return super().inverse_gradients(z, x, call, output_gradients, sources)
        # The part that conditions is the same in z and x, so that one call of the conditioner
        # serves both the way to x and the gradient.
        a, b = self._parts.split(z)
        with tf.GradientTape() as tape:
            tape.watch([a, *sources])
            parameters = self._parameters(a, call)
            with tape.stop_recording():
                b, _ = self._transformed(self.transformer.forward, b, parameters)
            tape.watch(b)
            b_of_z, log_det = self._transformed(self.transformer.inverse, b, parameters)
            outputs = self._parts.merge(a, b_of_z), log_det
        da, db, *others = tape.gradient(
            outputs, [a, b, *sources], output_gradients, unconnected_gradients="zero"
        )
        return self._parts.merge(a, b), self._parts.merge_gradients(da, db), others

    def get_config(self):
        return {
            **super().get_config(),
            "transformer": keras.saving.serialize_keras_object(self.transformer),
            "conditioner": keras.saving.serialize_keras_object(self.conditioner),
            "mask": self.mask,
            "flip": self.flip,
        }

    @classmethod
    def from_config(cls, config):
        conditioner = keras.saving.deserialize_keras_object(config["conditioner"])
        return cls(**{**config, "conditioner": conditioner})


@keras.saving.register_keras_serializable(package="tfflows")
class AdditiveCoupling(Coupling):
    """Coupling that shifts one part by a function of the other; it preserves volume.

        forward:  x_a = z_a,  x_b = z_b + t(z_a)
        inverse:  z_a = x_a,  z_b = x_b - t(x_a)
        log-det:  0

    It is `Coupling(tfflows.transformers.Shift(), conditioner, mask, flip)`.

    Source: Dinh, Krueger and Bengio, "NICE", 2015, section 3.2.

    Example:
        >>> layer = tfflows.layers.AdditiveCoupling(keras.layers.Dense(2), mask="half")
        >>> x, log_det = layer.forward_and_log_det(tf.ones([5, 4]))
        >>> print(log_det.numpy())
        [0. 0. 0. 0. 0.]
    """

    def __init__(
        self,
        conditioner: keras.layers.Layer,
        mask: str | Sequence[bool] = "alternating",
        flip: bool = False,
        **kwargs,
    ):
        super().__init__(Shift(), conditioner, mask, flip, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["transformer"]
        return config


@keras.saving.register_keras_serializable(package="tfflows")
class AffineCoupling(Coupling):
    """Coupling that scales and shifts one part by functions of the other.

        forward:  x_a = z_a,  x_b = z_b * exp(s(z_a)) + t(z_a)
        inverse:  z_a = x_a,  z_b = (x_b - t(x_a)) * exp(-s(x_a))
        log-det:  sum(s), forward; -sum(s), inverse

    It is a `Coupling` whose transformer is `tfflows.transformers.Affine(log_scale_bound)`, or for
    `None` Glow's `tfflows.transformers.SigmoidAffine()`.

    Args:
        conditioner, mask, flip: see `Coupling`.
        log_scale_bound: the largest |s|, positive, or `None` for Glow's scale.

    Raises:
        ValueError: if `log_scale_bound` is not positive, and as `Coupling` does.

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017,
    section 3.2.

    Example:
        >>> layer = tfflows.layers.AffineCoupling(keras.layers.Dense(4), mask="half")
        >>> x, forward_log_det = layer.forward_and_log_det(tf.ones([5, 4]))
        >>> z, inverse_log_det = layer.inverse_and_log_det(x)
        >>> bool(tf.reduce_max(tf.abs(forward_log_det + inverse_log_det)) < 1e-6)
        True
    """

    def __init__(
        self,
        conditioner: keras.layers.Layer,
        mask: str | Sequence[bool] = "alternating",
        flip: bool = False,
        log_scale_bound: float | None = 2.0,
        **kwargs,
    ):
        transformer = SigmoidAffine() if log_scale_bound is None else Affine(log_scale_bound)
        super().__init__(transformer, conditioner, mask, flip, **kwargs)
        self.log_scale_bound = log_scale_bound

    def get_config(self):
        config = {**super().get_config(), "log_scale_bound": self.log_scale_bound}
        del config["transformer"]
        return config
