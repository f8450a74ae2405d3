"""i-ResNet and Residual Flow."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from tfflows.flow import Flow
from tfflows.flows.pixels import check_image, with_pixels
from tfflows.flows.steps import repeated
from tfflows.flows.vectors import data_layers
from tfflows.layers import (
    ActNorm,
    Chain,
    Exact,
    InvertibleLayer,
    LogDetEstimator,
    MultiScale,
    Reshape,
    ResidualBlock,
    Roulette,
    Squeeze,
    Truncated,
)
from tfflows.layers.old_spellings import with_estimators
from tfflows.layers.parts import layers_of_kind
from tfflows.layers.residual import checked_estimator
from tfflows.networks import LipschitzNetwork

# Up to this many dimensions log-dets are exact in evaluation, unless said otherwise.
_EXACT_DIMENSIONS = 16


@keras.saving.register_keras_serializable(package="tfflows")
class IResNet(Flow):
    """Invertible residual network: a stack of residual blocks, trained with a truncated series.

        data -> K times [actnorm -> x + g(x)] -> z,  Lip(g) <= c < 1

    Vectors are standardised first, with the statistics of `fit`'s first batch. Images with
    `levels` pass through L levels of K blocks of convolutions each, with a squeeze between two
    levels, and, if `factor_out`, half of the channels leaving after each squeeze; dense blocks on
    the flattened coarsest level may follow. Without `levels` images are flattened.

    The truncated series is biased: `log_prob` is off by up to `estimator.bias_bound(D, c)` nats a
    block where `evaluation` is truncated too.

    Args:
        event_shape: shape of one example; (height, width, channels) for `levels`.
        num_blocks: K, for each level.
        hidden: sizes of the hidden layers of each g, or channels of its convolutions, which are
            3x3 at both ends and 1x1 in between.
        activation, coefficient, norm, norm_tolerance: see `tfflows.layers.ResidualBlock`'s
            `tfflows.networks.LipschitzNetwork`, whose `tolerance` is the last.
        estimator: of log-dets in training, a `tfflows.layers.LogDetEstimator`.
        evaluation: of log-dets elsewhere; `None` is exact up to 16 dimensions, and beyond
            truncated at 20 terms.
        levels: L, 2**(L - 1) divides height and width; `None` for vectors and flattened images.
        factor_out: whether channels leave between levels.
        num_dense_blocks: dense blocks behind the coarsest level.
        dense_hidden: sizes of their hidden layers.
        logit_alpha: for images, see `tfflows.layers.Logit`.
        flow_settings: `base`, `num_bits`, `context_dim`, `num_classes`, `dtype` and what else
            `tfflows.Flow` takes.

    Raises:
        ValueError: if an argument is out of its range or the image cannot be halved that often.

    Source: Behrmann, Grathwohl, Chen, Duvenaud and Jacobsen, "Invertible residual networks", 2019.

    Example:
        >>> flow = tfflows.IResNet(event_shape=(2,), num_blocks=2, hidden=(16,))
        >>> flow.sample(3, seed=0).shape
        TensorShape([3, 2])
        >>> print(flow.blocks[0].estimator, "|", flow.blocks[0].evaluation)
        truncated at 10 terms, 1 sample | exact
    """

    # What log-dets are evaluated with in more dimensions.
    _series = Truncated(terms=20)

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        num_blocks: int = 8,
        hidden: Sequence[int] = (64, 64),
        activation: str = "elu",
        coefficient: float = 0.9,
        norm: int | str = 2,
        norm_tolerance: float = 1e-3,
        estimator: LogDetEstimator = Truncated(terms=10),
        evaluation: LogDetEstimator | None = None,
        levels: int | None = None,
        factor_out: bool = False,
        num_dense_blocks: int = 0,
        dense_hidden: Sequence[int] = (128, 128),
        logit_alpha: float | None = 0.05,
        **flow_settings,
    ):
        event_shape = tuple(int(size) for size in event_shape)
        if num_blocks < 1:
            raise ValueError(f"num_blocks must be at least 1, but found {num_blocks}.")
        if levels is not None:
            if levels < 1:
                raise ValueError(f"levels must be at least 1 or None, but found {levels}.")
            check_image(type(self).__name__, event_shape, 2 ** (levels - 1))
        if evaluation is None:
            is_small = math.prod(event_shape) <= _EXACT_DIMENSIONS
            evaluation = Exact() if is_small else self._series
        self._hyper_parameters = {
            "num_blocks": num_blocks,
            "hidden": list(hidden),
            "activation": activation,
            "coefficient": coefficient,
            "norm": norm,
            "norm_tolerance": float(norm_tolerance),
            "estimator": checked_estimator("estimator", estimator),
            "evaluation": checked_estimator("evaluation", evaluation),
            "levels": levels,
            "factor_out": factor_out,
            "num_dense_blocks": num_dense_blocks,
            "dense_hidden": list(dense_hidden),
            "logit_alpha": logit_alpha,
        }
        self._num_made = 0
        dtype, num_bits = flow_settings.get("dtype", "float32"), flow_settings.get("num_bits")
        if levels is None:
            blocks = self._blocks(num_blocks, hidden, None, dtype)
            data = data_layers(event_shape, num_bits, logit_alpha, dtype)
            layers = [*blocks, *data]
        else:
            transform = self._multiscale(event_shape, dtype)
            layers = with_pixels(transform, num_bits, logit_alpha, dtype).layers
        transform = Chain(layers, precise=True, dtype=dtype)
        super().__init__(transform, event_shape, **flow_settings)

    def _blocks(self, number, hidden, kernel_sizes, dtype) -> list[InvertibleLayer]:
        """Residual blocks, each with an actnorm on the side of the data."""
        settings = self._hyper_parameters
        network = LipschitzNetwork(
            hidden,
            kernel_sizes,
            settings["activation"],
            settings["coefficient"],
            settings["norm"],
            settings["norm_tolerance"],
            dtype=dtype,
        )
        # A seed of its own for each: their errors shall not add up. Steps count on from the first.
        block = ResidualBlock(
            network,
            settings["estimator"],
            settings["evaluation"],
            seed=self._num_made,
            dtype=dtype,
        )
        self._num_made += number
        return repeated([block, ActNorm(dtype=dtype)], number, dtype)

    def _multiscale(self, event_shape, dtype) -> InvertibleLayer:
        settings = self._hyper_parameters
        levels, factor_out = settings["levels"], settings["factor_out"]
        sizes = [3, *[1] * (len(settings["hidden"]) - 1), 3] if settings["hidden"] else [3]
        chains, shape = [], event_shape
        for level in reversed(range(levels)):
            layers = self._blocks(settings["num_blocks"], settings["hidden"], sizes, dtype)
            if level > 0:
                height, width, channels = shape
                channels = 2 * channels if factor_out else 4 * channels
                shape = (height // 2, width // 2, channels)
                layers = [Squeeze(dtype=dtype), *layers]
            elif settings["num_dense_blocks"]:
                dense = self._blocks(
                    settings["num_dense_blocks"], settings["dense_hidden"], None, dtype
                )
                layers = [*dense, Reshape(shape, dtype=dtype), *layers]
            chains.insert(0, layers)
        if factor_out:
            return MultiScale(
                [Chain(layers, dtype=dtype) for layers in chains], event_shape, dtype=dtype
            )
        return Chain([layer for layers in chains for layer in layers], dtype=dtype)

    @property
    def blocks(self) -> list[ResidualBlock]:
        """The residual blocks, base first."""
        return layers_of_kind(self.transform, ResidualBlock)

    @classmethod
    def from_config(cls, config):
        return super().from_config(with_estimators(config))


@keras.saving.register_keras_serializable(package="tfflows")
class ResidualFlow(IResNet):
    """Residual flow: a stack of residual blocks, trained with an unbiased log-det.

        data -> K times [actnorm -> x + g(x)] -> z,  Lip(g) <= c < 1

    The architecture is that of `tfflows.IResNet`, with LipSwish and, in training, the roulette of
    two terms and a geometric tail.

    Args:
        evaluation: of log-dets elsewhere; `None` is exact up to 16 dimensions, and beyond the
            roulette of 20 terms.
        event_shape, activation, coefficient, estimator: see `tfflows.IResNet`.
        settings: what else `tfflows.IResNet` takes.

    Raises:
        ValueError: if an argument is out of its range or the image cannot be halved that often.

    Source: Chen, Behrmann, Duvenaud and Jacobsen, "Residual flows for invertible generative
    modeling", 2019.

    Example:
        >>> flow = tfflows.ResidualFlow((4, 4, 1), num_blocks=1, levels=2, num_bits=4)
        >>> flow.log_prob(np.zeros([2, 4, 4, 1], int), seed=0).shape
        TensorShape([2])
    """

    _series = Roulette(terms=20)

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        activation: str = "lipswish",
        coefficient: float = 0.97,
        estimator: LogDetEstimator = Roulette(),
        **settings,
    ):
        super().__init__(
            event_shape,
            activation=activation,
            coefficient=coefficient,
            estimator=estimator,
            **settings,
        )
