"""A flow: a base distribution and one invertible layer, as a Keras model."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf
from numpy.typing import ArrayLike

from tfflows.checks.values import as_dtype, require_dtype, require_finite
from tfflows.distributions.bases import Base
from tfflows.distributions.dequantization import VariationalDequantizer
from tfflows.layers.base import InvertibleLayer
from tfflows.layers.passes import Pass
from tfflows.model.compiled import CompiledCalls, not_converted
from tfflows.model.config import FlowConfig
from tfflows.model.distributions import FlowDistributions
from tfflows.model.fitting import FlowFitting
from tfflows.model.passes import FlowPasses
from tfflows.model.row_batches import in_batches
from tfflows.model.sampling import FlowSampling
from tfflows.model.training_data import FlowData
from tfflows.random.seeds import stateless_seed


@keras.saving.register_keras_serializable(package="tfflows")
class Flow(
    FlowConfig, FlowData, FlowPasses, FlowSampling, FlowDistributions, FlowFitting, keras.Model
):
    """Normalizing flow: an exact density, a sampler and a Keras model.

        x = f(z), z ~ base
        log p(x) = log base(f^-1(x)) + log|det d f^-1(x) / dx|

    `fit(x)` minimises the mean negative log-likelihood, or the `tfflows.training.losses.Loss` that
    was given to `compile`, and needs no targets; a conditional flow takes its context where Keras
    takes targets, `fit(x, context)`. An image flow (`num_bits`) is fitted and evaluated on integer
    pixels, which it dequantises with fresh uniform noise; the metrics are `nll` (nats per example)
    and, for images, `bits_per_dim`.

    In plain Python `log_prob`, `score`, `sample`, `sample_and_log_prob`, `encode` and `decode` run
    compiled; `flow.run_eagerly = True` switches that off. What was traced sees new values of
    weights, but no new attributes of layers.

    Everywhere else a tensor of floats is a point of the continuous space (for images
    [0, 2**num_bits) per pixel), and a tensor of integers is an image that is dequantised first,
    with noise drawn from `seed`.

    Args:
        transform: an `InvertibleLayer`, forward from the base to the data.
        event_shape: shape of one example, e.g. `(2,)` or `(28, 28, 1)`.
        base: distribution of z, a `tfflows.distributions.Base`, `"normal"` or `"logistic"`; its
            weights are trained with the flow.
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

    def __init__(
        self,
        transform: InvertibleLayer,
        event_shape: Sequence[int],
        *,
        base: str | Base = "normal",
        num_bits: int | None = None,
        context_dim: int | None = None,
        num_classes: int | None = None,
        dtype: str = "float32",
        dequantizer: VariationalDequantizer | dict | None = None,
        memory: str = "store",
        **kwargs,
    ):
        # Keras would cast the inputs, some of which are to be centred before they are rounded.
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        require_dtype("transform", transform, dtype)
        self.transform = transform
        self._init_inputs(event_shape, num_bits, context_dim, num_classes, dequantizer)
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
        self._init_base(base)
        self._compiled = CompiledCalls(lambda: self.run_eagerly)
        self._init_fitting(memory)
        self._init_adapting()
        self.built = True

    # The density and what one draws from it. In plain Python all of this runs compiled.

    @not_converted
    def log_prob(
        self,
        x: ArrayLike,
        context: ArrayLike | None = None,
        seed: ArrayLike | None = None,
        training: bool = False,
        batch_size: int | None = None,
    ) -> tf.Tensor:
        """Log-density of x in nats, `[batch]`.

        Args:
            x: `[batch, *event_shape]`; integer images are dequantised, with uniform noise or by
                the flow's `dequantizer`, whose log q(u|x) is then taken off.
            context: `[batch, context_dim]` or labels `[batch]` for a conditional flow.
            seed: of the dequantisation noise, and of the noise of layers that estimate their
                log-det; see `tfflows.random.stateless_seed` and `tfflows.layers.Pass`.
            training: whether dropout and the like are on.
            batch_size: rows at a time, for more than fit into memory at once; `None` for all.

        Raises:
            ValueError: for a wrong shape or dtype, an empty batch, a missing or needless context,
                pixels or labels out of range, NaN or infinite values, or a log-density that is
                not finite because x lies outside the flow's support, where
                `flow.distribution.log_prob(x)` is -inf.
            tf.errors.InvalidArgumentError: for wrong values within a `tf.function`. XLA drops such
                checks.
        """
        seed = stateless_seed(seed) if training or seed is not None else None
        x, log_q = self.continuous(x, seed, training)
        log_prob = self._run("log_prob", x, context, seed, batch_size, training=training)
        return self.require_finite(log_prob - log_q)

    @not_converted
    def score(
        self,
        x: ArrayLike,
        context: ArrayLike | None = None,
        seed: ArrayLike | None = None,
        batch_size: int | None = None,
    ) -> tf.Tensor:
        """Gradient of `log_prob` with respect to x, of x's shape, in nats per unit of x.

        Arguments and errors as for `log_prob`; that of an integer image is at the dequantised one.
        """
        x, _ = self.continuous(x, seed)
        score = self._run("score", x, context, seed, batch_size)
        return require_finite(score, f"The score of {self.name} should be finite")

    @not_converted
    def encode(
        self,
        x: ArrayLike,
        context: ArrayLike | None = None,
        seed: ArrayLike | None = None,
        batch_size: int | None = None,
    ) -> tf.Tensor:
        """Latent z of x, `[batch, *latent_shape]`; arguments and errors as for `log_prob`."""
        x, _ = self.continuous(x, seed)
        z = self._run("encode", x, context, None, batch_size, log_dets=False)
        return self.require_finite_z(z)

    @not_converted
    def decode(
        self, z: ArrayLike, context: ArrayLike | None = None, batch_size: int | None = None
    ) -> tf.Tensor:
        """Data x of a latent z, `[batch, *event_shape]`: `encode` backwards, arguments alike."""
        z = require_finite(as_dtype(z, self.compute_dtype), f"{self.name} needs finite z")
        if z.shape.rank and z.shape[0] == 0:
            raise ValueError(f"{self.name} was given an empty batch, of shape {tuple(z.shape)}.")
        return self._run("decode", z, context, None, batch_size, log_dets=False)

    @property
    def log_det_estimator(self) -> str | None:
        """How `log_prob` estimates log-dets; `None` for a flow that computes them."""
        return self.transform.log_det_estimator

    # Keras's side; how it is fitted is in `FlowFitting`.

    def call(self, inputs, training=False):
        """`log_prob` of x, or of a pair `(x, context)`; images must be integer pixels."""
        if isinstance(inputs, list) and self.is_conditional:
            inputs = tuple(inputs)
        if isinstance(inputs, tuple) and len(inputs) == 3:
            return self.step_values(*inputs, training)
        x, context = inputs if isinstance(inputs, tuple) else (inputs, None)
        self._check_pixels_dtype(x)
        return self.log_prob(x, context, training=training)

    def build(self, input_shape=None):
        """Nothing to do: a flow is built when it is made."""

    def compute_output_shape(self, input_shape):
        is_pair = isinstance(input_shape[0], tuple)
        return (input_shape[0] if is_pair else input_shape)[:1]

    def summary(self, *args, **kwargs):
        kwargs.setdefault("expand_nested", True)
        return super().summary(*args, **kwargs)

    # Helpers.

    def _run(self, method, value, context, seed, batch_size, training=False, log_dets=True):
        context = self.layer_context(context, value)
        seeds = (None if seed is None else stateless_seed(seed),)
        settings = {"method": method, "training": training, "log_dets": log_dets}

        def run(*rows):
            return self._compiled(self._in_pass, rows, seeds, **settings)

        return in_batches(run, (value, context), batch_size)

    def _in_pass(self, value, context, seed, method, training, log_dets):
        call = Pass(context, training, seed, log_dets=log_dets)
        return getattr(self, f"{method}_pass")(value, call)
