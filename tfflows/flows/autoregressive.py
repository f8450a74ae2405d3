"""Masked and inverse autoregressive flows for vectors and flattened images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from tfflows.flows.steps import repeated
from tfflows.flows.vectors import VectorFlow, autoregressive_layer, require_layers
from tfflows.layers import BatchNormalization, Permutation, Reverse
from tfflows.transformers import Affine, LogisticMixture, Transformer, as_transformer

_PERMUTATIONS = ("reverse", "shuffle")


@keras.saving.register_keras_serializable(package="tfflows")
class MAF(VectorFlow):
    """Masked autoregressive flow: densities in one pass, samples one dimension after the other.

        z -> K autoregressive layers -> data, with x_i = T(z_i; h(x_<i)) in each

    Each layer has the order of the last one reversed, or one at random, and its own masked network
    h, whose last layer starts at zero, so that the flow starts as the identity with most
    transformers. Events are flattened and standardised with the mean and standard deviation of
    `fit`'s first batch (or of what `adapt` was given); images pass through a logit before that.

    Sampling takes as many steps a layer as there are dimensions, each of which computes only the
    hidden units that the last dimension completed.

    Args:
        event_shape: shape of one example.
        num_layers: K.
        hidden: sizes of the hidden layers of each network, at least the number of dimensions.
        transformer: T, a `tfflows.transformers.Transformer`.
        activation: of the networks.
        residual: whether their hidden layers are residual blocks, see
            `tfflows.networks.MaskedMLP`.
        permutation: of the dimensions between two layers, `"reverse"` or `"shuffle"` (fixed and
            random, another one after each layer, which are then traced one by one).
        batch_normalization: whether a `tfflows.layers.BatchNormalization` comes after each layer.
        logit_alpha: for images, see `tfflows.layers.Logit`.
        num_bits, dtype, flow_settings: see `tfflows.Flow`, which takes `base`, `context_dim`,
            `num_classes` and more.

    Raises:
        ValueError: if an argument is out of its range.

    Source: Papamakarios, Pavlakou and Murray, "Masked autoregressive flow for density estimation",
    2017, https://arxiv.org/abs/1705.07057. Its log-scale is not bounded, as
    `transformer=Affine(bound=None)` has it, and `batch_normalization=True`.

    Example:
        >>> flow = tfflows.MAF(event_shape=(3,), num_layers=2, hidden=(16, 16))
        >>> flow.log_prob(np.zeros([2, 3])).shape, flow.sample(4, seed=0).shape
        (TensorShape([2]), TensorShape([4, 3]))
    """

    _one_pass = "inverse"

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        num_layers: int = 5,
        hidden: Sequence[int] = (128, 128),
        transformer: Transformer | dict = Affine(),
        activation: str = "relu",
        residual: bool = False,
        permutation: str = "reverse",
        batch_normalization: bool = False,
        logit_alpha: float = 0.05,
        num_bits: int | None = None,
        dtype: str = "float32",
        **flow_settings,
    ):
        event_shape = tuple(event_shape)
        if permutation not in _PERMUTATIONS:
            raise ValueError(f"permutation is one of {_PERMUTATIONS}, but found {permutation!r}.")
        transformer, size = as_transformer(transformer), math.prod(event_shape)

        def step(k):
            layer = autoregressive_layer(
                transformer, hidden, activation, dtype, residual, self._one_pass
            )
            if permutation == "reverse":
                parts = [layer, Reverse(dtype=dtype)]
            else:
                order = np.random.default_rng([k, size]).permutation(size)
                parts = [layer, Permutation(order, dtype=dtype)]
            return [*parts, BatchNormalization(dtype=dtype)] if batch_normalization else parts

        require_layers(num_layers)
        if permutation == "reverse":
            layers = repeated(step(0), num_layers, dtype)
        else:
            layers = [part for k in range(num_layers) for part in step(k)]
        super().__init__(layers, event_shape, num_bits, logit_alpha, dtype, **flow_settings)


@keras.saving.register_keras_serializable(package="tfflows")
class IAF(MAF):
    """Inverse autoregressive flow: samples in one pass, densities one dimension after the other.

        z -> K autoregressive layers -> data, with x_i = T(z_i; h(z_<i)) in each

    The density of its own samples comes with them, `sample_and_log_prob`, in one pass, too, which
    is what variational inference needs. Training by `fit` takes the slow direction, and its
    gradient as many steps again.

    Args:
        event_shape, num_layers, hidden, transformer and the rest: see `MAF`.

    Raises:
        ValueError: if an argument is out of its range.

    Source: Kingma et al., "Improving variational inference with inverse autoregressive flow", 2016,
    https://arxiv.org/abs/1606.04934.

    Example:
        >>> flow = tfflows.IAF(event_shape=(3,), num_layers=2, hidden=(16, 16))
        >>> x, log_prob = flow.sample_and_log_prob(4, seed=0)
        >>> bool(tf.reduce_max(tf.abs(flow.log_prob(x) - log_prob)) < 1e-5)
        True
    """

    _one_pass = "forward"


@keras.saving.register_keras_serializable(package="tfflows")
class NAF(MAF):
    """Neural autoregressive flow of deep sigmoidal flows with one hidden layer.

        z -> K autoregressive layers -> data,
        with z_i = logit(sum_k w_k sigmoid(a_k x_i + b_k)) in each, the w, a and b functions of x_<i

    Each conditional density is a mixture of logistic distributions, which a few of them make as
    multimodal as data are; see `tfflows.transformers.LogisticMixture`. Densities take one pass, and
    samples a search for a root in each dimension.

    Args:
        event_shape: shape of one example.
        components: number of hidden units k, which are the mixture's components, at least 2.
        bound: of their means, see `tfflows.transformers.LogisticMixture`.
        settings: what else `MAF` takes.

    Raises:
        ValueError: if an argument is out of its range.

    Source: Huang, Krueger, Lacoste and Courville, "Neural autoregressive flows", 2018, section 3.1,
    https://arxiv.org/abs/1804.00779. Its slopes a and biases b are not bounded.

    Example:
        >>> flow = tfflows.NAF(event_shape=(2,), num_layers=2, hidden=(32, 32), components=4)
        >>> x = flow.sample(3, seed=0)
        >>> bool(tf.reduce_max(tf.abs(flow.decode(flow.encode(x)) - x)) < 1e-4)
        True
    """

    def __init__(
        self, event_shape: Sequence[int], *, components: int = 8, bound: float = 5.0, **settings
    ):
        transformer = LogisticMixture(components, bound)
        super().__init__(event_shape, transformer=transformer, **settings)
