"""Coupling layers: one part of the event conditions an elementwise map of the other part."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfflows.layers.base import InvertibleLayer, zero_log_det
from tfflows.layers.permutation import permute

# In Glow's scale. On images that a flow was trained on s stays below 3.
_LARGEST_LOG_SCALE = 5.0


def coupling_mask(mask: str | Sequence[bool], size: int) -> np.ndarray:
    """Boolean mask of `[size]`, True where the coupling conditions and leaves values as they are.

    Args:
        mask: `"half"` (the first half conditions), `"alternating"` (even positions condition),
            or `size` booleans.
        size: size of the last axis of the event.

    Raises:
        ValueError: if the name is unknown, the length is wrong, `"half"` meets an odd size, or
            one of the two parts is empty.

    Example:
        >>> print(tfflows.layers.coupling_mask("alternating", 4))
        [ True False  True False]
    """
    if isinstance(mask, str):
        if mask not in ("half", "alternating"):
            raise ValueError(
                "A coupling's mask is 'half', 'alternating' or a list of booleans, but found "
                f"{mask!r}."
            )
        if mask == "half" and size % 2:
            raise ValueError(
                f"The mask 'half' needs an even number of dimensions, but found {size}; use "
                "'alternating' or give the mask as a list of booleans."
            )
        positions = np.arange(size)
        result = positions < size // 2 if mask == "half" else positions % 2 == 0
    else:
        result = np.asarray(mask, bool)
        if result.shape != (size,):
            raise ValueError(
                f"The coupling's mask has shape {result.shape}, but its event has {size} "
                f"dimensions; expected shape {(size,)}."
            )
    if result.all() or not result.any():
        raise ValueError(
            "A coupling needs at least one dimension that conditions and one that is transformed, "
            f"but found {int(result.sum())} and {int((~result).sum())} of {size}."
        )
    return result


class Coupling(InvertibleLayer):
    """What couplings share: splitting by a mask, the conditioner, and putting together.

    A subclass sets `parameters_per_dimension` and implements `_transform(b, parameters)` and
    `_restore(b, parameters)`, each returning the new values and the elementwise log-det.

    Args:
        conditioner: any Keras layer that maps the conditioning part `[batch, ..., n]` to
            `[batch, ..., parameters_per_dimension * m]`, m the number of transformed dimensions.
            With a context it is called as `conditioner(a, context=context)`. For a checkerboard,
            both parts are whole images, with zeros where the other part is.
        mask: `"checkerboard"` for images, whose pixels with an even sum of row and column then
            condition; anything else acts on the last axis, see `coupling_mask`.
        flip: swap the roles of the two parts.

    Raises:
        ValueError: if the mask does not fit the event or the conditioner's output has the wrong
            size.
    """

    parameters_per_dimension: int

    def __init__(
        self,
        conditioner: keras.layers.Layer,
        mask: str | Sequence[bool] = "alternating",
        flip: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.conditioner = conditioner
        self.mask = mask if isinstance(mask, str) else [bool(m) for m in mask]
        self.flip = bool(flip)

    def build(self, z_shape, context_shape=None):
        if self.mask == "checkerboard":
            self._parts = _CheckerboardParts(z_shape[1:], self.flip, self.compute_dtype)
        else:
            self._parts = _AxisParts(coupling_mask(self.mask, z_shape[-1]), self.flip)
        conditioning, transformed = self._parts.sizes

        input_shape = (*z_shape[:-1], conditioning)
        context = {} if context_shape is None else {"context_shape": context_shape}
        if not self.conditioner.built:
            self.conditioner.build(input_shape, **context)
        found = self.conditioner.compute_output_shape(input_shape, **context)[-1]
        expected = self.parameters_per_dimension * transformed
        if found != expected:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' transforms {transformed} dimensions, so its "
                f"conditioner must return {expected} values, but it returns {found}."
            )
        super().build(z_shape, context_shape)

    def _parameters(self, a, call):
        keywords = {} if call.context is None else {"context": call.context}
        parameters = self.conditioner(a, training=call.training, **keywords)
        return self._parts.select(tf.cast(parameters, self.compute_dtype))

    def _forward(self, z, call):
        a, b = self._parts.split(z)
        b, log_det = self._transform(b, self._parameters(a, call))
        return self._parts.merge(a, b), log_det

    def _inverse(self, x, call):
        a, b = self._parts.split(x)
        b, log_det = self._restore(b, self._parameters(a, call))
        return self._parts.merge(a, b), log_det

    def inverse_gradients(self, z, x, call, output_gradients, sources):
        if x is not None:
            return super().inverse_gradients(z, x, call, output_gradients, sources)
        # The part that conditions is the same in z and x, so that one call of the conditioner
        # serves both the way to x and the gradient.
        a, b = self._parts.split(z)
        with tf.GradientTape() as tape:
            tape.watch([a, *sources])
            parameters = self._parameters(a, call)
            with tape.stop_recording():
                b = self._transform(b, parameters)[0]
            tape.watch(b)
            b_of_z, log_det = self._restore(b, parameters)
            outputs = self._parts.merge(a, b_of_z), log_det
        da, db, *others = tape.gradient(
            outputs, [a, b, *sources], output_gradients, unconnected_gradients="zero"
        )
        return self._parts.merge(a, b), self._parts.merge_gradients(da, db), others

    def get_config(self):
        conditioner = keras.saving.serialize_keras_object(self.conditioner)
        settings = {"conditioner": conditioner, "mask": self.mask, "flip": self.flip}
        return {**super().get_config(), **settings}

    @classmethod
    def from_config(cls, config):
        conditioner = keras.saving.deserialize_keras_object(config["conditioner"])
        return cls(**{**config, "conditioner": conditioner})


class _AxisParts:
    """The two parts of an event whose last axis is split by a mask."""

    def __init__(self, mask: np.ndarray, flip: bool):
        order = np.concatenate([np.flatnonzero(mask), np.flatnonzero(~mask)])
        in_order = np.array_equal(order, np.arange(len(order)))
        self._order = None if in_order else order
        self._masked_sizes = [int(mask.sum()), int((~mask).sum())]
        self._flip = flip
        self.sizes = self._masked_sizes[::-1] if flip else self._masked_sizes

    def split(self, value):
        if self._order is not None:
            value = permute(value, self._order, np.argsort(self._order))
        first, second = tf.split(value, self._masked_sizes, axis=-1)
        return (second, first) if self._flip else (first, second)

    def select(self, parameters):
        return parameters

    def merge(self, a, b):
        value = tf.concat([b, a] if self._flip else [a, b], axis=-1)
        if self._order is not None:
            value = permute(value, np.argsort(self._order), self._order)
        return value

    def merge_gradients(self, da, db):
        return self.merge(da, db)


class _CheckerboardParts:
    """The two colours of a checkerboard over an image, each a whole image with zeros."""

    def __init__(self, event_shape, flip: bool, dtype: str):
        if len(event_shape) != 3 or event_shape[0] * event_shape[1] < 2:
            raise ValueError(
                "The mask 'checkerboard' needs images (height, width, channels) of at least 2 "
                f"pixels, but found the event shape {tuple(event_shape)}."
            )
        height, width, channels = event_shape
        rows, columns = np.mgrid[:height, :width]
        self._conditions = ((rows + columns + flip) % 2 == 0).astype(dtype)[..., None]
        self.sizes = [channels, channels]

    def split(self, value):
        return value * self._conditions, value * (1 - self._conditions)

    def select(self, parameters):
        # No change, and no log-det, where the pixel conditions.
        return parameters * (1 - self._conditions)

    def merge(self, a, b):
        return a + b

    def merge_gradients(self, da, db):
        return da * self._conditions + db * (1 - self._conditions)


@keras.saving.register_keras_serializable(package="tfflows")
class AdditiveCoupling(Coupling):
    """Coupling that shifts one part by a function of the other; it preserves volume.

        forward:  x_a = z_a,  x_b = z_b + t(z_a)
        inverse:  z_a = x_a,  z_b = x_b - t(x_a)
        log-det:  0

    Args and errors: see `Coupling`; the conditioner returns t, one value per transformed
    dimension.

    Source: Dinh, Krueger and Bengio, "NICE", 2015, section 3.2.

    Example:
        >>> layer = tfflows.layers.AdditiveCoupling(keras.layers.Dense(2), mask="half")
        >>> x, log_det = layer.forward_and_log_det(tf.ones([5, 4]))
        >>> print(log_det.numpy())
        [0. 0. 0. 0. 0.]
    """

    parameters_per_dimension = 1

    def _transform(self, b, t):
        return b + t, zero_log_det(b)

    def _restore(self, b, t):
        return b - t, zero_log_det(b)


@keras.saving.register_keras_serializable(package="tfflows")
class AffineCoupling(Coupling):
    """Coupling that scales and shifts one part by functions of the other.

        forward:  x_a = z_a,  x_b = z_b * exp(s(z_a)) + t(z_a)
        inverse:  z_a = x_a,  z_b = (x_b - t(x_a)) * exp(-s(x_a))
        log-det:  sum(s), forward; -sum(s), inverse

    The log-scale is bounded, s = c tanh(h / c) with c = `log_scale_bound`, without which deep
    stacks overflow; h and t are the two halves of what the conditioner returns. With
    `log_scale_bound=None` the inverse multiplies by Glow's exp(-s) = sigmoid(h + 2), but not by
    less than exp(-5): far from the data h may be large, and samples would overflow.

    Args:
        conditioner, mask, flip: see `Coupling`; the conditioner returns two values per
            transformed dimension.
        log_scale_bound: c > 0, the largest |s|, or `None` for Glow's scale.

    Raises:
        ValueError: if `log_scale_bound` is not positive, and as `Coupling` does.

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017,
    section 3.2 (its scale's tanh has a learned factor in place of c).

    Example:
        >>> layer = tfflows.layers.AffineCoupling(keras.layers.Dense(4), mask="half")
        >>> x, forward_log_det = layer.forward_and_log_det(tf.ones([5, 4]))
        >>> z, inverse_log_det = layer.inverse_and_log_det(x)
        >>> bool(tf.reduce_max(tf.abs(forward_log_det + inverse_log_det)) < 1e-6)
        True
    """

    parameters_per_dimension = 2

    def __init__(
        self,
        conditioner: keras.layers.Layer,
        mask: str | Sequence[bool] = "alternating",
        flip: bool = False,
        log_scale_bound: float | None = 2.0,
        **kwargs,
    ):
        super().__init__(conditioner, mask, flip, **kwargs)
        if log_scale_bound is not None and not log_scale_bound > 0:
            raise ValueError(
                f"AffineCoupling needs a positive log_scale_bound, but found {log_scale_bound}."
            )
        self.log_scale_bound = None if log_scale_bound is None else float(log_scale_bound)
        if log_scale_bound is None and mask == "checkerboard":
            raise ValueError(
                "Glow's scale is not 1 at h = 0, which a checkerboard needs where pixels only "
                "condition; give a log_scale_bound."
            )

    def _log_scale_and_shift(self, parameters):
        h, t = tf.split(parameters, 2, axis=-1)
        if self.log_scale_bound is None:
            s = tf.minimum(tf.math.softplus(-h - 2.0), _LARGEST_LOG_SCALE)
        else:
            s = self.log_scale_bound * tf.tanh(h / self.log_scale_bound)
        return s, t, tf.reduce_sum(s, list(range(1, s.shape.rank)))

    def _transform(self, b, parameters):
        s, t, log_det = self._log_scale_and_shift(parameters)
        return b * tf.exp(s) + t, log_det

    def _restore(self, b, parameters):
        s, t, log_det = self._log_scale_and_shift(parameters)
        return (b - t) * tf.exp(-s), -log_det

    def get_config(self):
        return {**super().get_config(), "log_scale_bound": self.log_scale_bound}
