"""Latents in levels: a prior from the top down, and posteriors in both directions."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfflows.distributions.bases import Base
from tfflows.layers.passes import Pass
from tfflows.layers.untracked import Untracked
from tfflows.networks import MLP
from tfflows.random.noise import BatchNoise
from tfflows.vae.posteriors import Posterior, positive, standard_normal_log_prob

tfd = tfp.distributions


class _Levels:
    """Where the levels of z are, and Gaussians of one given others."""

    def _init_levels(self, level_dims, hidden, activation):
        dims = tuple(int(dim) for dim in level_dims)
        if len(dims) < 2 or min(dims) < 1:
            raise ValueError(
                f"{type(self).__name__} needs the sizes of at least two levels, each at least 1, "
                f"but found {tuple(level_dims)}."
            )
        self.level_dims, self.hidden, self.activation = dims, tuple(hidden), activation

    def _network(self, inputs, outputs):
        """A network that returns means, and what scales come from: of zeros and ones at first."""
        dtype = self.compute_dtype if self.compute_dtype == "float64" else None
        network = MLP(2 * outputs, self.hidden, self.activation, zero_output=True, dtype=dtype)
        network.build((None, inputs))
        return network

    def _gaussian(self, network, given, training=False):
        mean, h = tf.split(tf.cast(network(given, training=training), given.dtype), 2, -1)
        return mean, positive(h)

    def _require_size(self, size):
        if sum(self.level_dims) != size:
            raise ValueError(
                f"{type(self).__name__} has levels of {' + '.join(map(str, self.level_dims))} "
                f"dimensions, but latents have {size}."
            )

    def get_config(self):
        return {
            **super().get_config(),
            "level_dims": list(self.level_dims),
            "hidden": list(self.hidden),
            "activation": self.activation,
        }


@keras.saving.register_keras_serializable(package="tfflows")
class HierarchicalPrior(_Levels, Base):
    """Latents in levels, each of which is a Gaussian given all above it.

        p(z) = N(z_1; 0, 1) prod_l N(z_l; m_l(z_<l), s_l(z_<l)^2)

    z has the top level first. The networks start such that all are standard normal.

    Args:
        level_dims: sizes of the levels, top first, which add up to `latent_dim`.
        hidden, activation: of the networks of m and s, see `tfflows.networks.MLP`.

    Raises:
        ValueError: for fewer than two levels, or sizes that do not add up.

    Source: Sonderby, Raiko, Maaloe, Sonderby and Winther, "Ladder variational autoencoders", 2016,
    https://arxiv.org/abs/1602.02282.

    Example:
        >>> prior = tfflows.vae.HierarchicalPrior([2, 6], hidden=(16,))
        >>> vae = tfflows.VAE((4,), 8, prior=prior, posterior=tfflows.vae.TopDown())
        >>> vae.compile(keras.optimizers.Adam(1e-3), tfflows.vae.ELBO(warm_up_steps=100))
        >>> history = vae.fit(np.eye(4, dtype=int), verbose=0)
        >>> tfflows.evaluate.latent_usage(vae, np.eye(4, dtype=int)).kl_per_dimension.shape
        (8,)
    """

    def __init__(
        self,
        level_dims: Sequence[int],
        hidden: Sequence[int] = (128,),
        activation: str = "relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._init_levels(level_dims, hidden, activation)

    def build(self, latent_shape, part_shapes=None):
        self._require_size(latent_shape[0])
        above, self.networks = self.level_dims[0], []
        for dim in self.level_dims[1:]:
            self.networks.append(self._network(above, dim))
            above += dim
        super().build(latent_shape, part_shapes)

    def level(self, above: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and scale of the next level given all above it, `[batch, dim]` each."""
        for network, size in zip(self.networks, _starts(self.level_dims)[1:], strict=True):
            if above.shape[-1] == size:
                return self._gaussian(network, above, training)
        zeros = tf.zeros([tf.shape(above)[0], self.level_dims[0]], above.dtype)
        return zeros, tf.ones_like(zeros)

    def conditionals(self, z: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and scale of each dimension given the levels above it, `[batch, latent_dim]`."""
        levels = [self.level(z[:, :start], training) for start in _starts(self.level_dims)]
        return _side_by_side(levels)

    @property
    def distribution(self) -> tfd.Distribution:
        return _Hierarchical(self)

    def log_prob(self, z: tf.Tensor, call: Pass) -> tf.Tensor:
        mean, scale = self.conditionals(z, call.training)
        return _log_prob(z, mean, scale)

    def draw(self, noise: tf.Tensor, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        noise = temperature * noise.normal(self._size)
        z = noise[:, :0]
        for start, dim in zip(_starts(self.level_dims), self.level_dims, strict=True):
            mean, scale = self.level(z)
            z = tf.concat([z, mean + scale * noise[:, start : start + dim]], -1)
        return z


class _Hierarchical(tfd.Distribution):
    """The prior as one of TFP's."""

    def __init__(self, prior):
        self._prior = Untracked(prior)
        super().__init__(
            dtype=tf.as_dtype(prior.compute_dtype),
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            name=prior.name,
        )

    def _event_shape(self):
        return tf.TensorShape([sum(self._prior.value.level_dims)])

    def _batch_shape(self):
        return tf.TensorShape([])

    def _log_prob(self, z):
        flat = tf.reshape(z, [-1, z.shape[-1]])
        log_prob = _log_prob(flat, *self._prior.value.conditionals(flat))
        return tf.reshape(log_prob, tf.shape(z)[:-1])

    def _sample_n(self, n, seed=None):
        seed = tfp.random.sanitize_seed(seed)
        return self._prior.value.draw(BatchNoise(n, seed, self._prior.value.compute_dtype))


class _GaussianLevels(Posterior, keras.layers.Layer):
    """A posterior whose density is that of its `conditionals`."""

    def log_prob(self, z: tf.Tensor, parameters: tf.Tensor, call: Pass) -> tf.Tensor:
        return _log_prob(z, *self.conditionals(z, parameters, call.training))


@keras.saving.register_keras_serializable(package="tfflows")
class TopDown(_GaussianLevels):
    """Posterior of a `HierarchicalPrior` from the top down, as a ladder.

        q(z_l | x, z_<l) = N(m, s^2),  1 / s^2 = 1 / a^2 + 1 / b^2,  m / s^2 = c / a^2 + d / b^2

    The encoder returns means c and scales a of all levels, and the prior has d and b given the
    levels above: a level's posterior is the product of both, so that what the encoder does not know
    is left to the prior. The top level is the encoder's alone.

    Source: Sonderby et al., "Ladder variational autoencoders", 2016, section 2.2,
    https://arxiv.org/abs/1602.02282.

    Example:
        >>> prior = tfflows.vae.HierarchicalPrior([1, 2])
        >>> vae = tfflows.VAE((4,), 3, prior=prior, posterior=tfflows.vae.TopDown())
        >>> vae.encoder.output_shape
        (None, 6)
    """

    def __init__(self, dtype: str = "float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self._prior = None

    def attach(self, prior: Base) -> None:
        if not isinstance(prior, HierarchicalPrior):
            raise ValueError(
                f"TopDown is the posterior of a HierarchicalPrior, but the prior is {prior!r}."
            )
        self._prior = Untracked(prior)

    def num_parameters(self, latent_dim: int) -> int:
        return 2 * latent_dim

    def from_noise(
        self, noise: tf.Tensor, parameters: tf.Tensor, call: Pass
    ) -> tuple[tf.Tensor, tf.Tensor]:
        dims = self._prior.value.level_dims
        z, scales = noise[:, :0], []
        for start, dim in zip(_starts(dims), dims, strict=True):
            mean, scale = self._level(z, parameters, start, dim, call.training)
            z = tf.concat([z, mean + scale * noise[:, start : start + dim]], -1)
            scales.append(scale)
        log_det = tf.reduce_sum(tf.math.log(tf.concat(scales, -1)), -1)
        return z, standard_normal_log_prob(noise) - log_det

    def conditionals(
        self, z: tf.Tensor, parameters: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        dims = self._prior.value.level_dims
        return _side_by_side(
            self._level(z[:, :start], parameters, start, dim, training)
            for start, dim in zip(_starts(dims), dims, strict=True)
        )

    def _level(self, above, parameters, start, dim, training):
        means, h = tf.split(parameters, 2, -1)
        mean, scale = means[:, start : start + dim], positive(h[:, start : start + dim])
        if start == 0:
            return mean, scale
        prior_mean, prior_scale = self._prior.value.level(above, training)
        precision, prior_precision = scale**-2, prior_scale**-2
        both = precision + prior_precision
        return (mean * precision + prior_mean * prior_precision) / both, both**-0.5


@keras.saving.register_keras_serializable(package="tfflows")
class BottomUp(_Levels, _GaussianLevels):
    """Posterior of a `HierarchicalPrior` from the bottom up.

        q(z|x) = q(z_L|x) prod_l N(z_l; m_l(z_>l), s_l(z_>l)^2)

    The encoder returns mean and scale of the bottom level, and each level above it is a Gaussian
    given those below. Upper levels tend to collapse: what they could tell the lower one, the
    decoder sees there already.

    Args:
        level_dims, hidden, activation: as of the prior.

    Raises:
        ValueError: as `HierarchicalPrior` does.

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016, section 5,
    https://arxiv.org/abs/1509.00519.

    Example:
        >>> prior = tfflows.vae.HierarchicalPrior([1, 2])
        >>> vae = tfflows.VAE((4,), 3, prior=prior, posterior=tfflows.vae.BottomUp([1, 2]))
        >>> vae.encoder.output_shape
        (None, 4)
    """

    is_from_above = False

    def __init__(
        self,
        level_dims: Sequence[int],
        hidden: Sequence[int] = (128,),
        activation: str = "relu",
        dtype: str = "float32",
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        self._init_levels(level_dims, hidden, activation)
        below, self.networks = self.level_dims[-1], []
        for dim in self.level_dims[-2::-1]:
            self.networks.append(self._network(below, dim))
            below += dim
        self.built = True

    def num_parameters(self, latent_dim: int) -> int:
        self._require_size(latent_dim)
        return 2 * self.level_dims[-1]

    def from_noise(
        self, noise: tf.Tensor, parameters: tf.Tensor, call: Pass
    ) -> tuple[tf.Tensor, tf.Tensor]:
        mean, h = tf.split(parameters, 2, -1)
        scales = [positive(h)]
        z = mean + scales[0] * noise[:, -self.level_dims[-1] :]
        for network in self.networks:
            mean, scale = self._gaussian(network, z, call.training)
            start = noise.shape[-1] - z.shape[-1] - mean.shape[-1]
            z = tf.concat([mean + scale * noise[:, start : start + mean.shape[-1]], z], -1)
            scales.append(scale)
        log_det = tf.reduce_sum(tf.math.log(tf.concat(scales, -1)), -1)
        return z, standard_normal_log_prob(noise) - log_det

    def conditionals(
        self, z: tf.Tensor, parameters: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        mean, h = tf.split(parameters, 2, -1)
        levels, below = [(mean, positive(h))], self.level_dims[-1]
        for network, dim in zip(self.networks, self.level_dims[-2::-1], strict=True):
            levels.insert(0, self._gaussian(network, z[:, -below:], training))
            below += dim
        return _side_by_side(levels)


def gaussian_kl(mean, scale, other_mean, other_scale):
    """KL(N(mean, scale^2) || N(other_mean, other_scale^2)) of single numbers, in nats.

    Example:
        >>> from tfflows.vae.hierarchy import gaussian_kl
        >>> print(gaussian_kl(2.0, 1.0, 0.0, 1.0).numpy())
        2.0
    """
    ratio = (scale / other_scale) ** 2
    distance = ((mean - other_mean) / other_scale) ** 2
    return (ratio + distance - 1 - tf.math.log(ratio)) / 2


def _starts(dims):
    """Where each level starts in z."""
    return [sum(dims[:i]) for i in range(len(dims))]


def _side_by_side(levels):
    means, scales = zip(*levels, strict=True)
    return tf.concat(means, -1), tf.concat(scales, -1)


def _log_prob(z, mean, scale):
    log_det = tf.reduce_sum(tf.math.log(scale), -1)
    return standard_normal_log_prob((z - mean) / scale) - log_det
