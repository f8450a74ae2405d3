"""A flow: a base distribution and one invertible layer, as a Keras model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import getrandbits

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.checks.inputs import FlowInputs
from tfflows.checks.values import as_dtype, require_finite
from tfflows.distributions.dequantization import VariationalDequantizer
from tfflows.layers.base import InvertibleLayer
from tfflows.layers.chain import set_memory_mode
from tfflows.layers.scopes import noise_seed, without_log_dets
from tfflows.random.seeds import hashed_seed, replica_and_number, stateless_seed, step_seed

tfd = tfp.distributions

# AutoGraph has nothing to convert here, and takes three times as long as the tracing itself.
_not_converted = tf.autograph.experimental.do_not_convert
# Instead of a run's seed: what is evaluated again meets the same noise.
_EVALUATION = -1
_BASES = {"normal": tfd.Normal, "logistic": tfd.Logistic}


@keras.saving.register_keras_serializable(package="tfflows")
class Flow(FlowInputs, keras.Model):
    """Normalizing flow: an exact density, a sampler and a Keras model.

        x = f(z), z ~ base
        log p(x) = log base(f^-1(x)) + log|det d f^-1(x) / dx|

    `fit(x)` minimises the mean negative log-likelihood and needs no targets and no loss; a
    conditional flow takes its context where Keras takes targets, `fit(x, context)`. An image
    flow (`num_bits`) is fitted and evaluated on integer pixels, which it dequantises with fresh
    uniform noise; the metrics are `nll` (nats per example) and, for images, `bits_per_dim`.

    Everywhere else a tensor of floats is a point of the continuous space (for images
    [0, 2**num_bits) per pixel), and a tensor of integers is an image that is dequantised first,
    with noise drawn from `seed`.

    Args:
        transform: an `InvertibleLayer`, forward from the base to the data.
        event_shape: shape of one example, e.g. `(2,)` or `(28, 28, 1)`.
        base: `"normal"` or `"logistic"`, the factorial standard distribution of z.
        num_bits: for images, bits per pixel (1 to 8); `None` for other data.
        context_dim: size of the vector that a conditional flow is conditioned on.
        num_classes: number of class labels that a conditional flow is conditioned on; the context
            is then an integer label per example.
        dtype: `"float32"` or `"float64"`.
        dequantizer: a `tfflows.distributions.VariationalDequantizer` (or its serialised form),
            which is trained with the flow; `log_prob` of an integer image is then
            log p(x + u) - log q(u|x). `None` for uniform noise.
        memory: `"store"`, `"checkpoint"` or `"invert"`: how training comes by the activations of
            the transform's chains, see `tfflows.layers.Chain`. `flow.memory` may be set anew.

    Raises:
        ValueError: if one of these is out of its range, both kinds of context are given, or
            activations shall be computed anew and there is dropout.

    Example:
        >>> keras.utils.set_random_seed(0)
        >>> flow = tfflows.Flow(tfflows.layers.Scale(), event_shape=(2,))
        >>> flow.compile(keras.optimizers.Adam(0.1))
        >>> x = 3 * np.random.default_rng(0).normal(size=(512, 2))
        >>> history = flow.fit(x, epochs=5, verbose=0)
        >>> expected = np.log(2 * np.pi * np.e * 3**2)  # entropy of the Gaussian, nats
        >>> bool(abs(history.history["nll"][-1] - expected) < 0.2)
        True
        >>> flow.log_prob(flow.sample(5, seed=0)).shape
        TensorShape([5])
    """

    # How many examples of an array `fit` adapts to.
    adapt_examples = 10_000

    def __init__(
        self,
        transform: InvertibleLayer,
        event_shape: Sequence[int],
        base: str = "normal",
        num_bits: int | None = None,
        context_dim: int | None = None,
        num_classes: int | None = None,
        dtype: str = "float32",
        dequantizer: VariationalDequantizer | dict | None = None,
        memory: str = "store",
        **kwargs,
    ):
        # Keras would cast the inputs under a global low-precision policy.
        super().__init__(dtype=dtype, **kwargs)
        if base not in _BASES:
            raise ValueError(f"base must be one of {sorted(_BASES)}, but found {base!r}.")
        if num_bits is not None and num_bits not in range(1, 9):
            raise ValueError(f"num_bits must be an integer from 1 to 8, but found {num_bits!r}.")
        if context_dim is not None and num_classes is not None:
            raise ValueError(
                f"Give context_dim or num_classes, but not both; found {context_dim} and "
                f"{num_classes}."
            )
        for name, value in {"context_dim": context_dim, "num_classes": num_classes}.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, but found {value}.")
        if transform.compute_dtype != self.compute_dtype:
            raise ValueError(
                f"The flow's dtype is {self.compute_dtype}, but its transform has dtype "
                f"{transform.compute_dtype}; give both the same dtype."
            )
        if isinstance(dequantizer, dict):
            dequantizer = keras.saving.deserialize_keras_object(dequantizer)
        if dequantizer is not None and num_bits is None:
            raise ValueError("A dequantizer is for images, but num_bits is None.")
        if dequantizer is not None and dequantizer.compute_dtype != self.compute_dtype:
            raise ValueError(
                f"The flow's dtype is {self.compute_dtype}, but its dequantizer has dtype "
                f"{dequantizer.compute_dtype}; give both the same dtype."
            )
        self.event_shape = tuple(int(size) for size in event_shape)
        self.base_name = base
        self.num_bits = num_bits
        self.context_dim = context_dim
        self.num_classes = num_classes
        self.transform = transform
        self.dequantizer = dequantizer
        if dequantizer is not None and not dequantizer.built:
            dequantizer.build((None, *self.event_shape))
        if not transform.built:
            context_size = context_dim or num_classes
            transform.build(
                (None, *transform.inverse_event_shape(self.event_shape)),
                None if context_size is None else (None, context_size),
            )
        if transform.event_shape != self.event_shape:
            raise ValueError(
                f"The transform produces events of shape {transform.event_shape}, but the flow "
                f"was given event_shape {self.event_shape}."
            )
        self.memory = memory
        self._nll = keras.metrics.Mean("nll")
        self._bits_per_dim = None if num_bits is None else keras.metrics.Mean("bits_per_dim")
        self._run_seed = 0
        self.built = True

    # The density.

    @_not_converted
    def log_prob(self, x, context=None, seed=None, training=False):
        """Log-density of x in nats, `[batch]`.

        Args:
            x: `[batch, *event_shape]`; integer images are dequantised, with uniform noise or by
                the flow's `dequantizer`, whose log q(u|x) is then taken off.
            context: `[batch, context_dim]` or labels `[batch]` for a conditional flow.
            seed: of the dequantisation noise, and of the noise of layers that estimate their
                log-det; see `tfflows.random.stateless_seed` and `tfflows.layers.noise_seed`.
            training: whether dropout and the like are on.

        Raises:
            ValueError: for a wrong shape or dtype, an empty batch, a missing or needless context,
                pixels or labels out of range, NaN or infinite values, or a log-density that is
                not finite because x lies outside the flow's support.
            tf.errors.InvalidArgumentError: for wrong values within a `tf.function`. XLA drops such
                checks.
        """
        x, log_q = self._continuous_and_log_q(x, seed, training)
        context = self.layer_context(context, x)
        if seed is None and training and self.memory != "store":
            # What the backward pass computes anew is to meet the same noise again.
            seed = stateless_seed(None)
        with noise_seed(seed):
            z, log_det = self.transform.inverse_and_log_det(x, context, training)
        return require_finite(
            self.base.log_prob(z) + log_det - log_q,
            f"The log_prob of {self.name} should be finite (is x outside its support, or did "
            "training diverge?)",
        )

    @_not_converted
    def encode(self, x, context=None, seed=None):
        """Latent z of x, `[batch, *latent_shape]`; arguments and errors as for `log_prob`."""
        x = self._continuous(x, seed)
        with without_log_dets():
            z, _ = self.transform.inverse_and_log_det(x, self.layer_context(context, x))
        return require_finite(z, f"The z of {self.name} should be finite (is x in its support?)")

    @_not_converted
    def decode(self, z, context=None):
        """Data x of a latent z, `[batch, *event_shape]`: the inverse of `encode`."""
        z = require_finite(as_dtype(z, self.compute_dtype), f"{self.name} needs finite z")
        if z.shape.rank and z.shape[0] == 0:
            raise ValueError(f"{self.name} was given an empty batch, of shape {tuple(z.shape)}.")
        return self._forward(z, context)

    @_not_converted
    def sample(self, n: int, temperature: float = 1.0, seed=None, context=None):
        """Draw `[n, *event_shape]` samples, continuous values also for images.

        Args:
            n: number of samples.
            temperature: factor on z, 1 for the density itself, below 1 for more typical samples.
            seed: an integer (or a pair) for reproducible samples, the same in eager mode, in
                `tf.function` and under XLA.
            context: `[n, context_dim]` or labels `[n]`, or one context for all samples.

        Raises:
            ValueError: if n is below 1, the temperature negative, or the context does not fit.
        """
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(f"sample needs an integer n of at least 1, but found {n}.")
        if not tf.is_tensor(temperature) and not temperature >= 0:
            raise ValueError(f"sample needs a temperature of at least 0, but found {temperature}.")
        z = self._draw_base(n, stateless_seed(seed))
        if context is not None:
            context = tf.convert_to_tensor(context)
            if context.shape.rank == (0 if self.num_classes else 1):
                context = tf.repeat(context[tf.newaxis], n, axis=0)
        z = z * as_dtype(temperature, z.dtype)
        return self._forward(z, context)

    # TFP's side.

    @property
    def base(self):
        """Distribution of z, a `tfd.Independent`."""
        shape = self.transform.latent_shape
        zeros = tf.zeros(shape, self.compute_dtype)
        return tfd.Independent(_BASES[self.base_name](zeros, 1.0), len(shape))

    @property
    def bijector(self):
        """The transform as a `tfb.Bijector`; see `tfflows.bijectors.LayerBijector`."""
        return self.transform.bijector

    @property
    def distribution(self):
        """The flow as a `tfd.TransformedDistribution` over continuous x."""
        return tfd.TransformedDistribution(self.base, self.bijector)

    @property
    def log_det_estimator(self) -> str | None:
        """How `log_prob` estimates log-dets; `None` for a flow that computes them."""
        return self.transform.log_det_estimator

    # Keras's side.

    def adapt(self, x, context=None, seed=None):
        """Set the data-dependent state of all layers from one batch x.

        `fit` does it if it was not done before, with `adapt_examples` random examples of an array
        or the first batch of a `tf.data.Dataset`.
        """
        x = self._continuous(x, seed)
        with without_log_dets():
            self.transform.adapt(x, self.layer_context(context, x))

    def fit(self, x=None, y=None, *args, **kwargs):
        """Train by maximum likelihood; arguments and result as for `keras.Model.fit`.

        The noise of a step follows from `keras.utils.set_random_seed` and the number of the step,
        and is the same on one device and on several that share a batch.

        x is an array or a `tf.data.Dataset` of x, or of `(x, context)` for a conditional flow; y
        is the context where x is an array. Arrays are checked as a whole before training starts,
        and the batches of a data set before each step.
        """
        x = self.check_data(x, y)
        if self.transform.needs_adapt:
            self.adapt(*self.examples_to_adapt_to(x, y))
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Mean `nll` and `bits_per_dim` over x; arguments as for `fit`.

        The same x meets the same dequantisation noise at each call, on any number of replicas.
        """
        x = self.check_data(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def call(self, inputs, training=False):
        """`log_prob` of x, or of a pair `(x, context)`; images must be integer pixels."""
        x, context = inputs if isinstance(inputs, tuple) else (inputs, None)
        self._check_pixels_dtype(x)
        return self.log_prob(x, context, training=training)

    def build(self, input_shape=None):
        """Nothing to do: a flow is built when it is made."""

    def compute_output_shape(self, input_shape):
        is_pair = isinstance(input_shape[0], tuple)
        return (input_shape[0] if is_pair else input_shape)[:1]

    @property
    def memory(self) -> str:
        """How training comes by the activations of the transform's chains."""
        return self._memory

    @memory.setter
    def memory(self, value: str):
        set_memory_mode(self.transform, value)
        self._memory = value
        # The step that was traced has the old one.
        self.train_function = None

    def make_train_function(self, force=False):
        # Otherwise Keras makes the optimizer's slots within the first trace, and traces twice.
        if self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        if self.train_function is None or force:
            self._run_seed = getrandbits(31)  # `keras.utils.set_random_seed` decides it
        return super().make_train_function(force)

    def train_step(self, data):
        with self._step_seed(self._run_seed, self.optimizer.iterations):
            return self._logs(super().train_step(self._with_context_as_input(data)))

    def test_step(self, data):
        with self._step_seed(_EVALUATION, 0):
            return self._logs(super().test_step(self._with_context_as_input(data)))

    def _step_seed(self, run, step):
        """Scope of the noise of one step, which how many replicas there are does not change."""
        # Of this epoch; gradients that are accumulated belong to one step.
        _, num_replicas = replica_and_number()
        examples_seen = num_replicas * tf.cast(self._nll.count, tf.int64)
        return step_seed(hashed_seed(run, step, examples_seen))

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # There is nothing to build, and Keras would take a batch off the data under a strategy.
        return

    def _logs(self, logs):
        # Of several workers' figures Keras takes the mean along an axis (keras-team/keras#20585).
        if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            return {name: value[tf.newaxis] for name, value in logs.items()}
        return logs

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        nll = -y_pred if sample_weight is None else -y_pred * tf.cast(sample_weight, y_pred.dtype)
        # Keras adds the replicas' gradients up.
        loss = tf.reduce_mean(nll) / tf.distribute.get_strategy().num_replicas_in_sync
        return loss + sum(self._aggregate_additional_loss(extra) for extra in self.losses)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self._nll.update_state(-y_pred, sample_weight)
        if self._bits_per_dim is not None:
            num_dims = math.prod(self.event_shape)
            self._bits_per_dim.update_state(-y_pred / (num_dims * math.log(2)), sample_weight)
        return self.get_metrics_result()

    def summary(self, *args, **kwargs):
        kwargs.setdefault("expand_nested", True)
        return super().summary(*args, **kwargs)

    def get_config(self):
        transform = keras.saving.serialize_keras_object(self.transform)
        return {"transform": transform, **self._flow_config()}

    @classmethod
    def from_config(cls, config):
        if "transform" in config:
            transform = keras.saving.deserialize_keras_object(config["transform"])
            config = {**config, "transform": transform}
        return cls(**config)

    def _flow_config(self):
        """The hyper-parameters that every flow has."""
        config = {
            "event_shape": list(self.event_shape),
            "base": self.base_name,
            "num_bits": self.num_bits,
            "context_dim": self.context_dim,
            "num_classes": self.num_classes,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
        if self.memory != "store":
            config["memory"] = self.memory
        if self.dequantizer is not None:
            config["dequantizer"] = keras.saving.serialize_keras_object(self.dequantizer)
        return config

    # Helpers.

    def _draw_base(self, n, seed):
        """n latents of the base, n a number or a scalar tensor."""
        shape = (n, *self.transform.latent_shape)
        random = {"seed": seed, "dtype": self.compute_dtype, "alg": "philox"}
        if self.base_name == "normal":
            return tf.random.stateless_normal(shape, **random)
        # The generator draws multiples of eps from [0, 1), and the quantile of 0 is infinite.
        random["minval"] = np.finfo(self.compute_dtype).eps / 4
        return self.base.distribution.quantile(tf.random.stateless_uniform(shape, **random))

    def _forward(self, z, context):
        with without_log_dets():
            return self.transform.forward_and_log_det(z, self.layer_context(context, z))[0]

    def _with_context_as_input(self, data):
        x, context, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if context is not None:
            x = (x, context)
        return x, None, sample_weight

    def examples_to_adapt_to(self, x, y):
        """Pair of x and context for `adapt`: `adapt_examples` random ones, or a first batch."""
        if isinstance(x, tf.data.Dataset):
            # What each worker sees of a data set is not the same.
            if isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
                raise ValueError(
                    f"{self.name} has layers that start from data; on several workers call adapt "
                    "with the same batch on each before fit."
                )
            x, y, _ = keras.utils.unpack_x_y_sample_weight(next(iter(x)))
            return x if isinstance(x, tuple) else (x, y)
        if not (isinstance(x, (tuple, np.ndarray)) or tf.is_tensor(x)):
            raise ValueError(
                f"{self.name} has layers that start from data, but cannot look ahead into "
                f"{type(x).__name__}; call adapt with one batch before fit."
            )
        x, y = x if isinstance(x, tuple) else (x, y)
        rows = np.random.default_rng(0).permutation(len(x))[: self.adapt_examples]
        return np.asarray(x)[rows], None if y is None else np.asarray(y)[rows]
