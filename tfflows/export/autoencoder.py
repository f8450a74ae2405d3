"""Export of an autoencoder as a SavedModel."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from tfflows.checks.values import require_finite
from tfflows.export.saved_model import new_directory, traced
from tfflows.layers.passes import Pass
from tfflows.random.noise import RowNoise
from tfflows.vae import VAE


def save_autoencoder(vae: VAE, path: str | os.PathLike) -> Path:
    """Write an autoencoder as a SavedModel that needs neither Keras nor TFP nor tfflows.

    | signature | inputs                                     | outputs                           |
    |-----------|--------------------------------------------|-----------------------------------|
    | `elbo`    | `x`, `seed` int64 `[B, 2]`                 | `elbo` `[B]`, in nats, of one z   |
    | `encode`  | `x`                                        | `z`, as `VAE.encode` without seed |
    | `decode`  | `z` `[B, latent_dim]`                      | `x`, which is E[x given z]        |
    | `sample`  | `seed` int64 `[B, 2]`, `temperature` `[B]` | `z` and `x`, E[x given z]         |

    `serving_default` is `encode`. x is int32 `[B, *event_shape]` for pixels; floats are float32 on
    the outside. Row i of `elbo` and of `sample` follows from `seed[i]` and the other inputs' row i.

    Args:
        vae: the autoencoder; its weights are copied.
        path: the directory to write, which must not exist.

    Raises:
        FileExistsError: if the path exists.
        OSError: if nothing can be written next to it.

    A loaded signature fails with `tf.errors.InvalidArgumentError` for inputs of the wrong shape,
    pixels out of range, and NaN or infinite values.

    Example:
        >>> import os, tempfile
        >>> vae = tfflows.VAE((4,), latent_dim=2)
        >>> path = vae.export(os.path.join(tempfile.mkdtemp(), "1"))
        >>> served = tf.saved_model.load(path).signatures
        >>> served["encode"](x=tf.ones([3, 4], tf.int32))["z"].shape
        TensorShape([3, 2])
    """
    path = Path(path)
    with new_directory(path) as folder:
        module, concrete = traced(_Signatures(vae))
        served = {"serving_default": concrete["encode"], **concrete}
        # Servers take no gradients, and to store custom ones would trace each of them.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(folder), served, options)
    return path


class _Signatures:
    """Functions of tensors with a batch dimension, as `traced` takes them."""

    def __init__(self, vae):
        self.vae = vae
        x_dtype = tf.float32 if vae.num_bits is None else tf.int32
        self.specs = {
            "x": tf.TensorSpec([None, *vae.event_shape], x_dtype, "x"),
            "z": tf.TensorSpec([None, vae.latent_dim], tf.float32, "z"),
            "seed": tf.TensorSpec([None, 2], tf.int64, "seed"),
            "temperature": tf.TensorSpec([None], tf.float32, "temperature"),
        }

    def share_traces(self):
        """Each function is traced once as it is."""

    def functions(self):
        """Pairs of a function and its inputs' specs by the signature's name."""
        inputs = {
            "elbo": ("x", "seed"),
            "encode": ("x",),
            "decode": ("z",),
            "sample": ("seed", "temperature"),
        }
        return {
            name: (getattr(self, f"_{name}"), [self.specs[tensor] for tensor in tensors])
            for name, tensors in inputs.items()
        }

    def _elbo(self, x, seed):
        x, seed = self._x(x), self._checked("seed", seed)
        noise = RowNoise(seed, self.vae.compute_dtype).normal(self.vae.latent_dim)
        terms = self.vae.terms_of_noise(x, noise[:, tf.newaxis], Pass(row_seeds=seed))
        return {"elbo": tf.cast(terms.elbo, tf.float32)}

    def _encode(self, x):
        z = self.vae.centre(self.vae.posterior_parameters(self._x(x)))
        return {"z": tf.cast(z, tf.float32)}

    def _decode(self, z):
        z = require_finite(self._checked("z", z), f"{self.vae.name} needs finite z")
        return {"x": self._mean(tf.cast(z, self.vae.compute_dtype))}

    def _sample(self, seed, temperature):
        seed, temperature = self._checked("seed", seed), self._checked("temperature", temperature)
        temperature = tf.cast(temperature, self.vae.compute_dtype)[:, tf.newaxis]
        z = self.vae.prior.draw(RowNoise(seed, self.vae.compute_dtype), temperature)
        return {"z": tf.cast(z, tf.float32), "x": self._mean(z)}

    def _mean(self, z):
        outputs = self.vae.decoder_outputs(z)
        return tf.cast(self.vae.observation.mean(outputs, self.vae.event_shape), tf.float32)

    def _x(self, x):
        return self.vae.observed(self._checked("x", x))

    def _checked(self, name, value):
        # Servers do not compare shapes with the signature's.
        return tf.ensure_shape(value, self.specs[name].shape)
