"""RealNVP for images."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfflows.flow import Flow
from tfflows.flows.pixels import (
    check_image,
    factored_prior,
    network_dtype,
    per_level,
    with_pixels,
)
from tfflows.layers import (
    ActNorm,
    AffineCoupling,
    Chain,
    InvertibleLayer,
    LearnedPrior,
    MultiScale,
    Squeeze,
)
from tfflows.networks import ResidualConvNetwork


@keras.saving.register_keras_serializable(package="tfflows")
class ImageRealNVP(Flow):
    """Multi-scale RealNVP for images: checkerboard and channel couplings.

        data -> L - 1 levels of [3 checkerboard couplings -> squeeze -> 3 channel couplings
             -> half of the channels leave] -> 4 checkerboard couplings -> z

    Level 0 is the coarsest, next to the base, as in `tfflows.layers.MultiScale`, which is
    `flow.multiscale`. The pixels pass through a logit. An actnorm behind each coupling stands for
    the paper's batch normalisation, and what leaves has a Gaussian prior that depends on what goes
    on, where the paper's is standard; that of the coarsest level is learned per channel.

    Args:
        event_shape: (height, width, channels); 2**(levels - 1) divides height and width.
        levels: L; the paper has as many as leave 4 x 4 pixels, but 2 serve.
        width: channels of the couplings' residual networks, or one number a level, coarsest
            first. The networks compute in Keras's global dtype policy, the rest in `dtype`.
        num_blocks: residual blocks of each network.
        log_scale_bound: see `tfflows.layers.AffineCoupling`.
        prior_width: channels of the hidden layers of the factored-out parts' priors.
        logit_alpha: see `tfflows.layers.Logit`.
        num_bits, dtype, flow_settings: see `tfflows.Flow`, which takes `base`, `context_dim`,
            `num_classes` and more.

    Raises:
        ValueError: if an argument is out of its range or the image cannot be halved that often.

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", 2017.

    Example:
        >>> flow = tfflows.ImageRealNVP((8, 8, 3), levels=2, width=8, num_blocks=1, num_bits=8)
        >>> flow.sample(2, seed=0).shape
        TensorShape([2, 8, 8, 3])
    """

    adapt_examples = 256

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        levels: int = 2,
        width: int | Sequence[int] = 64,
        num_blocks: int = 4,
        log_scale_bound: float = 2.0,
        prior_width: int = 32,
        logit_alpha: float = 0.05,
        num_bits: int | None = None,
        dtype: str = "float32",
        **flow_settings,
    ):
        event_shape = tuple(int(size) for size in event_shape)
        if levels < 1:
            raise ValueError(f"levels must be at least 1, but found {levels}.")
        check_image("ImageRealNVP", event_shape, 2 ** (levels - 1))
        widths = per_level("width", width, levels)

        def couplings(channels, level, masks):
            """Couplings in the direction of the density, their roles taking turns."""
            layers = []
            for i, mask in enumerate(masks):
                network = ResidualConvNetwork(
                    channels if mask == "half" else 2 * channels,
                    widths[level],
                    num_blocks,
                    zero_output=True,
                    dtype=network_dtype(dtype),
                )
                layers.append(ActNorm(dtype=dtype))
                layers.append(
                    AffineCoupling(
                        network, mask, bool(i % 2), log_scale_bound=log_scale_bound, dtype=dtype
                    )
                )
            return layers

        chains = []
        for level in range(levels):
            channels = event_shape[-1] * 2 ** (levels - level - 1)
            layers: list[InvertibleLayer] = couplings(channels, level, ["checkerboard"] * 3)
            if level > 0:
                layers.append(Squeeze(dtype=dtype))
                layers += couplings(4 * channels, level, ["half"] * 3)
                layers.append(factored_prior(4 * channels, prior_width, dtype))
            else:
                layers = couplings(channels, level, ["checkerboard"] * 4)
                layers.append(LearnedPrior(dtype=dtype))
            chains.append(Chain(layers[::-1], dtype=dtype))
        multiscale = MultiScale(chains, event_shape, dtype=dtype)
        super().__init__(
            with_pixels(multiscale, num_bits, logit_alpha, dtype),
            event_shape,
            num_bits=num_bits,
            dtype=dtype,
            **flow_settings,
        )

    @property
    def multiscale(self) -> MultiScale:
        """The `tfflows.layers.MultiScale` of this flow, which sees z level by level."""
        return self.transform.layers[0]
