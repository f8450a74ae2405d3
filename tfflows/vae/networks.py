"""Encoders and decoders to start from: plain Keras models, made for given sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from tfflows.networks import MLP


def mlp_encoder(
    event_shape: Sequence[int],
    num_outputs: int,
    hidden: Sequence[int] = (256, 256),
    activation: str = "relu",
    dtype: str | None = None,
) -> keras.Sequential:
    """A perceptron of the flattened x, `[batch, *event_shape]` to `[batch, num_outputs]`.

    Args:
        event_shape: shape of one x.
        num_outputs: what the posterior needs, `posterior.num_parameters(latent_dim)`.
        hidden, activation: see `tfflows.networks.MLP`.
        dtype: Keras's dtype policy; `None` for the global one.

    Example:
        >>> tfflows.vae.mlp_encoder((28, 28, 1), 64).output_shape
        (None, 64)
    """
    layers = [keras.layers.Flatten(dtype=dtype), MLP(num_outputs, hidden, activation, dtype=dtype)]
    return _built(layers, event_shape, dtype)


def mlp_decoder(
    latent_dim: int,
    output_shape: Sequence[int],
    hidden: Sequence[int] = (256, 256),
    activation: str = "relu",
    dtype: str | None = None,
) -> keras.Sequential:
    """A perceptron of z, `[batch, latent_dim]` to `[batch, *output_shape]`.

    Args:
        latent_dim: size of z.
        output_shape: what the observation model needs, `observation.output_shape(event_shape)`.
        hidden, activation, dtype: as for `mlp_encoder`.

    Example:
        >>> tfflows.vae.mlp_decoder(32, (28, 28, 1)).output_shape
        (None, 28, 28, 1)
    """
    size = math.prod(output_shape)
    layers = [
        MLP(size, hidden, activation, dtype=dtype),
        keras.layers.Reshape(tuple(output_shape), dtype=_last(dtype)),
    ]
    return _built(layers, (latent_dim,), dtype)


def conv_encoder(
    event_shape: Sequence[int],
    num_outputs: int,
    filters: Sequence[int] = (32, 64),
    units: int = 256,
    activation: str = "relu",
    dtype: str | None = None,
) -> keras.Sequential:
    """Convolutions of stride 2, each of which halves the image, and a perceptron.

    Args:
        event_shape: (height, width, channels).
        num_outputs: as for `mlp_encoder`.
        filters: of the convolutions, whose kernels are 4x4.
        units: of the hidden layer after them.
        activation: of all but the last layer.
        dtype: as for `mlp_encoder`.

    Example:
        >>> tfflows.vae.conv_encoder((28, 28, 1), 64).output_shape
        (None, 64)
    """
    settings = {"padding": "same", "kernel_initializer": "he_normal", "dtype": dtype}
    layers = [keras.layers.Conv2D(n, 4, 2, activation=activation, **settings) for n in filters]
    layers.append(keras.layers.Flatten(dtype=dtype))
    layers.append(MLP(num_outputs, (units,), activation, dtype=dtype))
    return _built(layers, event_shape, dtype)


def conv_decoder(
    latent_dim: int,
    output_shape: Sequence[int],
    filters: Sequence[int] = (64, 32),
    units: int = 256,
    activation: str = "relu",
    dtype: str | None = None,
) -> keras.Sequential:
    """A perceptron, and transposed convolutions of stride 2, each of which doubles the image.

    Where sides are no multiples of 2**len(filters), the last image is cut to size.

    Args:
        latent_dim, output_shape: as for `mlp_decoder`; the shape has three dimensions.
        filters: channels before each of the transposed convolutions, whose kernels are 4x4.
        units: of the hidden layer before them.
        activation, dtype: as for `conv_encoder`.

    Example:
        >>> tfflows.vae.conv_decoder(32, (27, 30, 3)).output_shape
        (None, 27, 30, 3)
    """
    height, width, channels = output_shape
    factor = 2 ** len(filters)
    rows, columns = math.ceil(height / factor), math.ceil(width / factor)
    layers = [
        MLP(rows * columns * filters[0], (units,), activation, dtype=dtype),
        keras.layers.Activation(activation, dtype=dtype),
        keras.layers.Reshape((rows, columns, filters[0]), dtype=dtype),
    ]
    settings = {"padding": "same", "dtype": dtype}
    for n in filters[1:]:
        conv = keras.layers.Conv2DTranspose(
            n, 4, 2, activation=activation, kernel_initializer="he_normal", **settings
        )
        layers.append(conv)
    settings["dtype"] = _last(dtype)
    layers.append(keras.layers.Conv2DTranspose(channels, 4, 2, **settings))
    cropping = ((0, factor * rows - height), (0, factor * columns - width))
    layers.append(keras.layers.Cropping2D(cropping, dtype=_last(dtype)))
    return _built(layers, (latent_dim,), dtype)


def encoder_for(event_shape, num_outputs: int, dtype: str | None) -> keras.Sequential:
    """A convolutional encoder for images (height, width, channels), else a perceptron."""
    make = conv_encoder if len(event_shape) == 3 else mlp_encoder
    return make(event_shape, num_outputs, dtype=dtype)


def decoder_for(latent_dim: int, output_shape, dtype: str | None) -> keras.Sequential:
    """A convolutional decoder for images (height, width, channels), else a perceptron."""
    make = conv_decoder if len(output_shape) == 3 else mlp_decoder
    return make(latent_dim, output_shape, dtype=dtype)


def _last(dtype):
    """Dtype of what comes last, whose rounding would be that of the likelihood."""
    return "float64" if dtype == "float64" else "float32"


def _built(layers, shape, dtype):
    return keras.Sequential([keras.Input(tuple(shape), dtype=dtype), *layers])
