"""The contract that every invertible layer keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.layers.passes import Pass
from tfflows.layers.untracked import Untracked

if TYPE_CHECKING:
    from tfflows.layers.view import LayerBijector


class InvertibleLayer(keras.layers.Layer):
    """A Keras layer that is an invertible map with a tractable log-determinant.

    Forward goes from the base to the data, `x = f(z)`; inverse from the data to the base,
    `z = f^-1(x)`. Each direction returns its own log-det in nats, one number per example:

        forward:  x, log|det dx/dz|        inverse:  z, log|det dz/dx|

    A new layer implements `_forward(z, call)` and `_inverse(x, call)`, each returning the pair and
    evaluating its conditioner once; `call` is a `tfflows.layers.Pass`, all else that the result may
    depend on. Shapes are checked here, so that no layer has to. Tensors carry exactly one
    batch dimension; `layer.bijector` is the view with nested batch shapes for TFP. Calling the
    layer, as in any Keras model, is `forward` without the log-det.

    The layer computes in `dtype` (default float32, whatever Keras's global policy says), so that
    log-dets stay exact when only the conditioner networks run in low precision.

    Args of both directions:
        z, x: `[batch, *event_shape]`, the layer's dtype.
        context: what a conditional flow is conditioned on, `[batch, context_dim]`, or `None`.
        training: whether dropout and the like are on.
        seed: of the noise of layers that estimate their log-det, see `tfflows.layers.Pass`.

    Raises:
        ValueError: if the event shape or the dtype is not the one that the layer was built for.
    """

    # Whether a float32 layer maps a float64 x, which it is the first to see, to its own dtype.
    takes_float64 = False

    def __init__(self, **kwargs):
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if self.compute_dtype not in ("float32", "float64"):
            raise ValueError(
                f"{type(self).__name__} was given dtype {self.compute_dtype!r}, but log-dets need "
                "'float32' or 'float64'; give the lower precision to the conditioner instead."
            )

    # What a new layer implements.

    def _forward(self, z, call: Pass):
        raise NotImplementedError(f"{type(self).__name__} has no forward map.")

    def _inverse(self, x, call: Pass):
        raise NotImplementedError(f"{type(self).__name__} has no inverse map.")

    def forward_event_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Event shape of x for a given event shape of z."""
        return tuple(shape)

    def inverse_event_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Event shape of z for a given event shape of x."""
        return tuple(shape)

    def adapt(self, x: ArrayLike, context: ArrayLike | None = None) -> tf.Tensor:
        """Set data-dependent state from one batch and return that batch's `z`.

        Most layers have no such state and only hand the batch on.
        """
        return self.inverse_pass(x, Pass(context, log_dets=False))[0]

    def check(self) -> None:
        """Raise `ValueError` where training has made it another map than it says; most cannot."""

    def build_in_float64(self) -> None:
        """Make what float64 values will need besides the weights, before a graph is traced."""

    @property
    def needs_adapt(self) -> bool:
        """Whether the layer has data-dependent state that was not set yet."""
        return False

    @property
    def log_det_estimator(self) -> str | None:
        """How the log-det is estimated outside of training; `None` if it is computed."""
        return None

    # What users call.

    def forward_and_log_det(
        self,
        z: ArrayLike,
        context: ArrayLike | None = None,
        training: bool = False,
        seed: ArrayLike | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Map `z` to `x` and return `x, log|det dx/dz|`."""
        return self.forward_pass(z, Pass(context, training, seed))

    def inverse_and_log_det(
        self,
        x: ArrayLike,
        context: ArrayLike | None = None,
        training: bool = False,
        seed: ArrayLike | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Map `x` to `z` and return `z, log|det dz/dx|`."""
        return self.inverse_pass(x, Pass(context, training, seed))

    def forward_pass(self, z: ArrayLike, call: Pass) -> tuple[tf.Tensor, tf.Tensor]:
        """`forward_and_log_det` with all that it may depend on in one object."""
        return self._forward(self._checked(z, "z", call), call)

    def inverse_pass(self, x: ArrayLike, call: Pass) -> tuple[tf.Tensor, tf.Tensor]:
        """`inverse_and_log_det` with all that it may depend on in one object."""
        return self._inverse(self._checked(x, "x", call), call)

    def inverse_gradients(
        self,
        z: tf.Tensor,
        x: tf.Tensor | None,
        call: Pass,
        output_gradients: Sequence,
        sources: Sequence,
    ) -> tuple:
        """Vector-Jacobian product of the inverse pass at x = f(z), which may be `None`.

        Args:
            output_gradients: with respect to what `inverse_and_log_det` returns.
            sources: tensors and variables to differentiate with respect to, besides x.

        Returns:
            x, the gradient with respect to x, and a list of those with respect to the sources.
        """
        if x is None:
            x = self._forward(z, call)[0]
        with tf.GradientTape() as tape:
            tape.watch([x, *sources])
            outputs = self._inverse(x, call)
        dx, *others = tape.gradient(
            outputs, [x, *sources], output_gradients, unconnected_gradients="zero"
        )
        return x, dx, others

    @property
    def bijector(self) -> LayerBijector:
        """This layer as a `tfb.Bijector`; its variables are the layer's weights."""
        # TFP takes seconds to import, and a layer is of use without it.
        from tfflows.layers.view import LayerBijector

        if getattr(self, "_bijector", None) is None:
            self._require_built("ask for its bijector")
            self._bijector = Untracked(LayerBijector(self))
        return self._bijector.value

    def __dir__(self):
        # Keras saves and loads what these names lead to, and would load TFP and make a view each
        # time. Completion in IPython and Python's shell asks the class, too.
        return [name for name in super().__dir__() if name != "bijector"]

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Event shape of z."""
        self._require_built("ask for its shapes")
        return self._latent_shape

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Event shape of x."""
        return self.forward_event_shape(self.latent_shape)

    # Keras's side of the contract.

    def build(self, z_shape, context_shape=None):
        self._latent_shape = tuple(z_shape[1:])
        self._context_dim = None if context_shape is None else context_shape[-1]
        self.built = True

    def call(self, z, context=None, training=False):
        return self.forward_and_log_det(z, context, training)[0]

    def compute_output_shape(self, z_shape, context_shape=None):
        return (z_shape[0], *self.forward_event_shape(z_shape[1:]))

    def _require_built(self, purpose):
        if not self.built:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' is not built yet: call it on a batch or "
                f"call build((None, *event_shape)) before you {purpose}."
            )

    def _checked(self, value, name, call):
        value, context = self._as_tensor(value, name, call), call.context
        if not self.built:
            shape = tuple(value.shape[1:])
            if name == "x":
                shape = self.inverse_event_shape(shape)
            with tf.init_scope():
                self.build((None, *shape), None if context is None else (None, context.shape[-1]))
        expected = self.latent_shape if name == "z" else self.event_shape
        if value.shape.rank != len(expected) + 1 or not value.shape[1:].is_compatible_with(
            expected
        ):
            raise ValueError(
                f"{type(self).__name__} '{self.name}' expected {name} of shape "
                f"{('batch', *expected)}, but found {tuple(value.shape)}."
            )
        if self._context_dim is not None and (
            context is None or context.shape[-1] != self._context_dim
        ):
            found = "none" if context is None else f"shape {tuple(context.shape)}"
            raise ValueError(
                f"{type(self).__name__} '{self.name}' expected a context of shape "
                f"{('batch', self._context_dim)}, but found {found}."
            )
        return value

    def _as_tensor(self, value, name, call):
        dtype = call.dtype or self.compute_dtype
        if not tf.is_tensor(value):
            return tf.convert_to_tensor(value, dtype)
        wide = tf.float64 if name == "x" and self.takes_float64 else dtype
        if value.dtype not in (dtype, wide):
            raise ValueError(
                f"{type(self).__name__} '{self.name}' computes in {dtype}, but found "
                f"{name} of dtype {value.dtype.name}; cast it first."
            )
        return tf.convert_to_tensor(value)


def zero_log_det(x):
    """Log-det of a volume-preserving map: zeros of shape `[batch]`."""
    return tf.zeros(tf.shape(x)[:1], x.dtype)


def constant_log_det(value, x):
    """Log-det that is the same for every example, `[batch]`."""
    return tf.fill(tf.shape(x)[:1], tf.convert_to_tensor(value, x.dtype))
