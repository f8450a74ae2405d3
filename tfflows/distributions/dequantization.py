"""Between discrete pixels and the continuous values that a flow models."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import require_range
from tfflows.layers import AffineCoupling, Chain, Logit
from tfflows.networks import ConvNetwork
from tfflows.random import stateless
from tfflows.random.seeds import own_rows, stateless_seed


def dequantize(
    x: ArrayLike, num_bits: int, seed: ArrayLike | None = None, dtype: str = "float32"
) -> tf.Tensor:
    """Uniform dequantisation of n-bit pixels, `x + u` with `u ~ U[0, 1)` per pixel.

    The density p of the result bounds the probability P of the discrete image from below:
    `E_u log p(x + u) <= log P(x)` (Theis, van den Oord and Bethge, "A note on the evaluation of
    generative models", 2016).

    Args:
        x: integer pixels `[batch, ...]` in [0, 2**num_bits).
        num_bits: bits per pixel, 1 to 8.
        seed: see `tfflows.random.stateless_seed`; equal seeds give equal noise.
        dtype: of the result.

    Returns:
        Values in [0, 2**num_bits), of x's shape.

    Raises:
        ValueError: eagerly, if x is not of an integer dtype or a pixel is outside the range.
        tf.errors.InvalidArgumentError: for such a pixel within a `tf.function`.

    Example:
        >>> x = tfflows.distributions.dequantize(np.array([[0, 15]]), num_bits=4, seed=0)
        >>> print(tf.floor(x).numpy())
        [[ 0. 15.]]
    """
    x = _pixels(x, num_bits, dtype)
    return _within_pixel(x, _uniform(x, seed))


def _pixels(x, num_bits, dtype):
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_integer:
        raise ValueError(
            f"Dequantisation takes integer pixels in [0, {2**num_bits}), but found dtype "
            f"{x.dtype.name}."
        )
    return tf.cast(require_pixels(x, num_bits), dtype)


def _uniform(x, seed, minval=0.0):
    """Uniform noise of x's shape and dtype, below 1."""
    seed = stateless_seed(seed)

    def draw(n):
        shape = tf.concat([[n], tf.shape(x)[1:]], 0)
        return minval + (1 - minval) * stateless.uniform(shape, seed, x.dtype)

    return own_rows(draw, tf.shape(x)[0])


def _within_pixel(x, u):
    # Next to 255 float32 cannot hold every u < 1; stay below the next pixel value.
    return tf.minimum(x + u, np.nextafter(x.dtype.as_numpy_dtype(1), 0) * (x + 1))


@keras.saving.register_keras_serializable(package="tfflows")
class VariationalDequantizer(keras.layers.Layer):
    """Learned dequantisation: the noise of each pixel is drawn from a flow given the image.

        v ~ U(0, 1)^D,  u = sigmoid(f(logit v; h(x))),  log q(u|x) = -log|det du/dv|

    f is a stack of affine couplings and h a small convolutional network. The bound on the
    probability P of the discrete image is `E_q log p(x + u) - log q(u|x) <= log P(x)`, with a gap
    of KL(q || p(u|x)), which training makes small along with everything else. f starts as the
    identity, so that q starts as the uniform distribution.

    `tfflows.Flow(..., dequantizer=VariationalDequantizer())`, or any image flow that takes
    `**kwargs`, draws with it wherever it would draw uniform noise. q does not depend on the
    context of a conditional flow.

    Args:
        width: channels of h and of the couplings' networks, which compute in Keras's global dtype
            policy.
        num_couplings: affine couplings; the checkerboard's colours take turns, and every other
            pair splits the channels instead if there is more than one.
        log_scale_bound: see `tfflows.layers.AffineCoupling`.
        dtype: of u and log q, that of the flow: `"float32"` or `"float64"`.

    Raises:
        ValueError: if an argument is out of its range, or images have fewer than two pixels.

    Source: Ho, Chen, Srinivas, Duan and Abbeel, "Flow++", 2019, section 3.1 (its couplings are
    mixtures of logistics and start from normal noise).

    Example:
        >>> noise = tfflows.distributions.VariationalDequantizer(width=8, num_couplings=2)
        >>> flow = tfflows.ImageRealNVP(
        ...     (4, 4, 1), levels=1, width=8, num_blocks=1, num_bits=8, dequantizer=noise
        ... )
        >>> flow.log_prob(np.zeros([2, 4, 4, 1], int), seed=0).shape
        TensorShape([2])
    """

    def __init__(
        self, width: int = 32, num_couplings: int = 4, log_scale_bound: float = 2.0, **kwargs
    ):
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        for name, value in {"width": width, "num_couplings": num_couplings}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, but found {value}.")
        self.width, self.num_couplings = int(width), int(num_couplings)
        self.log_scale_bound = float(log_scale_bound)

    def build(self, x_shape):
        dtype = self.compute_dtype
        network_dtype = dtype if dtype == "float64" else None
        channels = x_shape[-1]
        conv = {"padding": "same", "activation": "relu", "dtype": network_dtype}
        self._first = keras.layers.Conv2D(self.width, 3, **conv)
        self._second = keras.layers.Conv2D(self.width, 3, **conv)
        self._first.build(x_shape)
        self._second.build((*x_shape[:-1], self.width))
        couplings = []
        for i in range(self.num_couplings):
            flip = bool(i % 2)
            if channels == 1 or i % 4 < 2:
                mask, transformed = "checkerboard", channels
            else:
                mask = np.arange(channels) < channels // 2
                transformed = int(np.sum(mask == flip))
            network = NetworkGivenImage(
                2 * transformed, self.width, zero_output=True, dtype=network_dtype
            )
            couplings.append(AffineCoupling(network, mask, flip, self.log_scale_bound, dtype=dtype))
        self._couplings = Chain(couplings, dtype=dtype)
        # The layers hand any context on as it is: here h(x), an image.
        self._couplings.build(x_shape, (*x_shape[:-1], self.width))
        self._logit = Logit(alpha=0.0, dtype=dtype)
        self._logit.build(x_shape)
        self.built = True

    def dequantize(
        self, x: ArrayLike, num_bits: int, seed: ArrayLike | None = None, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`x + u` with u drawn from q(u|x), and log q(u|x) in nats, `[batch]`.

        Arguments and errors as for `tfflows.distributions.dequantize`.
        """
        x = _pixels(x, num_bits, self.compute_dtype)
        # The generator draws multiples of eps from [0, 1), and the logit of 0 is infinite.
        v = _uniform(x, seed, np.finfo(self.compute_dtype).eps / 4)
        return self._from_uniform(v, x, num_bits, training)

    def dequantize_with(
        self, v: ArrayLike, x: ArrayLike, num_bits: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """As `dequantize`, with the uniform noise v in (0, 1) given instead of drawn."""
        x = _pixels(x, num_bits, self.compute_dtype)
        return self._from_uniform(tf.cast(v, self.compute_dtype), x, num_bits, training=False)

    def _from_uniform(self, v, x, num_bits, training):
        z, logit_log_det = self._logit.inverse_and_log_det(v)
        z, log_det = self._couplings.forward_and_log_det(z, self._image(x, num_bits), training)
        u, sigmoid_log_det = self._logit.forward_and_log_det(z)
        return _within_pixel(x, u), -(logit_log_det + log_det + sigmoid_log_det)

    def log_prob(self, u: ArrayLike, x: ArrayLike, num_bits: int) -> tf.Tensor:
        """log q(u|x) in nats, `[batch]`, of noise u in (0, 1) and integer pixels x."""
        x = _pixels(x, num_bits, self.compute_dtype)
        z, logit_log_det = self._logit.inverse_and_log_det(tf.cast(u, self.compute_dtype))
        z, log_det = self._couplings.inverse_and_log_det(z, self._image(x, num_bits))
        return logit_log_det + log_det + self._logit.forward_and_log_det(z)[1]

    def _image(self, x, num_bits):
        """h(x), the context of the couplings."""
        return self._second(self._first(x / 2**num_bits - 0.5))

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "num_couplings": self.num_couplings,
            "log_scale_bound": self.log_scale_bound,
        }


class NetworkGivenImage(ConvNetwork):
    """A `ConvNetwork` whose context is an image, which it takes as further channels."""

    def build(self, x_shape, context_shape):
        super().build((*x_shape[:-1], x_shape[-1] + context_shape[-1]))

    def call(self, x, context, training=False):
        return super().call(tf.concat([x, context], axis=-1), training=training)


def require_pixels(x: tf.Tensor, num_bits: int) -> tf.Tensor:
    """x itself, if all its values are n-bit pixels; see `tfflows.checks.values.require_range`."""
    message = f"Pixels must be in [0, {2**num_bits}) for num_bits={num_bits}"
    return require_range(x, 2**num_bits, message)


def quantize(x: ArrayLike, num_bits: int) -> np.ndarray:
    """The n-bit image that a continuous sample stands for: rounded down, cut to the range.

    Args:
        x: `[...]`, any float values.
        num_bits: bits per pixel, 1 to 8.

    Returns:
        uint8 array of x's shape.

    Example:
        >>> print(tfflows.distributions.quantize(np.array([-0.3, 7.9, 16.2]), num_bits=4))
        [ 0  7 15]
    """
    return np.clip(np.floor(np.asarray(x)), 0, 2**num_bits - 1).astype(np.uint8)
