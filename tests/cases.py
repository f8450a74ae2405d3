"""Every invertible layer and every flow that the property tests run over, in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfflows
from tfflows.bijectors import BijectorLayer
from tfflows.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Autoregressive,
    BatchNormalization,
    BlockAutoregressive,
    Chain,
    Column,
    Columns,
    ContinuousLayer,
    Conv1x1,
    Coupling,
    Elementwise,
    Exact,
    Hutchinson,
    InvertibleLayer,
    LearnedPrior,
    Logit,
    MarginalGaussianization,
    MultiScale,
    Permutation,
    Planar,
    Radial,
    Rescaling,
    Reshape,
    ResidualBlock,
    Reverse,
    Scale,
    Squeeze,
    Stack,
    Standardize,
    Sylvester,
)
from tfflows.layers.supports import HeavyTails, Integers, Interval, Positive, Real
from tfflows.networks import (
    MLP,
    ConvNetwork,
    LipschitzNetwork,
    MaskedMLP,
    ResidualConvNetwork,
    ResidualMLP,
    TimeDependentConvNetwork,
    TimeDependentMLP,
)
from tfflows.ode import RungeKutta4
from tfflows.transformers import TRANSFORMERS, Affine, RationalQuadraticSpline

tfb = tfp.bijectors


# Whose own tests are enough, but for one layer that hands them parameters.
OTHER_TRANSFORMERS = [
    *("BernsteinPolynomial", "CircularSpline", "CubicSpline", "DenseSigmoid", "LinearSpline"),
    *("LogisticMixture", "MonotonicMLP", "QuadraticSpline", "SumOfSquares"),
]
SLOW = {
    *(f"coupling_{name}" for name in OTHER_TRANSFORMERS),
    "batch_normalization",
    "block_autoregressive_one",
    "block_autoregressive",
    "bnaf",
    "conv1x1_triangular",
    "conv1x1_svd",
    "continuous_context",
    "continuous_image",
    "ffjord",
    "ffjord_image",
    "glow_convolution_prior",
    "gaussianization",
    "gaussianization_one",
    "image_realnvp",
    "iresnet_image",
    "maf_shuffle",
    "marginals",
    "marginals_one",
    "multiscale_context",
    "naf",
    "planar_one",
    "radial_one",
    "residual_flow",
    "residual_image",
    "sylvester",
}


@dataclasses.dataclass(frozen=True)
class LayerCase:
    """How to make a layer of a given dtype, and what it may be fed with."""

    make: Callable[[str], InvertibleLayer]
    latent_shape: tuple[int, ...]
    context_dim: int | None = None
    support: str = "real"  # of x: "real", "unit" or "positive"
    tolerance: float = 1e-6  # of the float32 round trip, relative to the largest value
    error: float = 1e-10  # in float64, more if the layer solves an equation

    def build(self, dtype: str = "float32") -> InvertibleLayer:
        layer = self.make(dtype)
        context_shape = None if self.context_dim is None else (None, self.context_dim)
        layer.build((None, *self.latent_shape), context_shape)
        randomize(layer)
        return layer

    def draw(self, name: str, layer: InvertibleLayer, n: int, tails: bool = False):
        """A batch of z or x, as `name` says, and a context or None."""
        rng = np.random.default_rng(n)
        if name == "z" or self.support == "real":
            shape = layer.latent_shape if name == "z" else layer.event_shape
            value = rng.normal(size=(n, *shape))
            value = 20 * np.sign(value) + 10 * value if tails else value
        elif self.support == "unit":
            value = rng.uniform(size=(n, *layer.event_shape))
            value = np.round(value) if tails else value
        else:
            value = np.exp((4 if tails else 1) * rng.normal(size=(n, *layer.event_shape)))
        context = None if self.context_dim is None else rng.normal(size=(n, self.context_dim))
        as_tensor = lambda value: tf.constant(value, layer.compute_dtype)  # noqa: E731
        return as_tensor(value), None if context is None else as_tensor(context)


def randomize(layer, size: float = 1.0, seed: int = 1):
    """Set all weights to values away from zero: a zero-initialised map may be the identity."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        if "bool" in weight.dtype:
            weight.assign(np.ones(weight.shape, bool))
            continue
        if weight.name in ("permutation", "sign"):
            continue  # not free
        value = rng.uniform(0.2, 0.6, weight.shape)
        if weight.name not in ("stddev", "variance"):
            value *= size * rng.choice([-1, 1], weight.shape)
        if weight.name in ("log_scale", "upper", "lower"):
            value *= 0.1  # some layers multiply it; triangles of large numbers are singular
        weight.assign(value.astype(weight.dtype))


@keras.saving.register_keras_serializable(package="tests")
def softplus_chain(event_shape, dtype="float32"):
    shift, log_scale = (tf.Variable(tf.zeros(event_shape, dtype)) for _ in range(2))
    return tfb.Chain([tfb.Softplus(), tfb.Shift(shift), tfb.Scale(log_scale=log_scale)])


@keras.saving.register_keras_serializable(package="tests")
def softplus_chain_float64(event_shape):
    return softplus_chain(event_shape, "float64")


def _couplings():
    mlp = lambda n, dtype: MLP(n, hidden=(8, 8), dtype=dtype)  # noqa: E731
    residual = lambda n, dtype: ResidualMLP(n, width=8, num_blocks=1, dtype=dtype)  # noqa: E731

    def dense(n, dtype):
        return keras.layers.Dense(n, dtype=dtype)

    def sequential(n, dtype):
        layers = [keras.layers.Dense(8, "tanh", dtype=dtype), keras.layers.Dense(n, dtype=dtype)]
        return keras.Sequential(layers)

    def case(layer, net, outputs, shape, mask, flip=False, context_dim=None):
        def make(dtype):
            return layer(net(outputs, dtype), mask, flip, dtype=dtype)

        return LayerCase(make, shape, context_dim)

    mask = [True, False, False, True, True]
    return {
        "additive_half": case(AdditiveCoupling, mlp, 2, (4,), "half"),
        "additive_odd": case(AdditiveCoupling, residual, 2, (5,), "alternating"),
        "additive_odd_flip": case(AdditiveCoupling, dense, 3, (5,), "alternating", True),
        "additive_context": case(AdditiveCoupling, mlp, 2, (5,), mask, False, 3),
        "affine_half_flip": case(AffineCoupling, mlp, 4, (4,), "half", True),
        "affine_alternating": case(AffineCoupling, sequential, 4, (5,), "alternating"),
        "affine_mask": case(AffineCoupling, residual, 4, (5,), mask),
        "affine_mask_flip": case(AffineCoupling, mlp, 6, (5,), mask, True),
        "affine_dense": case(AffineCoupling, dense, 2, (2,), "alternating"),
        "affine_image": case(AffineCoupling, dense, 2, (2, 1, 2), "alternating", True),
        "affine_context": case(AffineCoupling, mlp, 4, (4,), "half", False, 2),
        "affine_context_residual": case(AffineCoupling, residual, 6, (5,), mask, True, 2),
    }


def _image_couplings():
    def conv(n, dtype):
        return ConvNetwork(n, width=4, edge_bias=True, dtype=dtype)

    def residual(n, dtype):
        return ResidualConvNetwork(n, width=4, num_blocks=1, dtype=dtype)

    def case(layer, net, outputs, shape, mask, flip=False, context_dim=None, **settings):
        def make(dtype):
            return layer(net(outputs, dtype), mask, flip, dtype=dtype, **settings)

        return LayerCase(make, shape, context_dim)

    return {
        "conv_half": case(AffineCoupling, conv, 2, (2, 3, 2), "half"),
        "conv_context": case(AdditiveCoupling, conv, 1, (2, 2, 2), "half", True, 3),
        "checkerboard": case(AffineCoupling, residual, 4, (3, 2, 2), "checkerboard"),
        "checkerboard_flip": case(AffineCoupling, conv, 2, (2, 3, 1), "checkerboard", True, 2),
        "checkerboard_additive": case(AdditiveCoupling, residual, 1, (2, 3, 1), "checkerboard"),
        "glow_scale": case(AffineCoupling, conv, 2, (2, 2, 2), "half", log_scale_bound=None),
    }


def _residual_blocks():
    def case(shape, hidden, kernel_sizes=None, context_dim=None, **settings):
        def make(dtype):
            network = LipschitzNetwork(hidden, kernel_sizes, dtype=dtype, **settings)
            return ResidualBlock(network, dtype=dtype)

        # An inverse's error is up to 1 / (1 - c) times its tolerance.
        return LayerCase(make, shape, context_dim, "real", 1e-5)

    return {
        "residual": case((3,), (8,), context_dim=2, coefficient=0.9),
        "residual_image": case((2, 3, 1), (3,), (3, 1), activation="elu", norm="inf"),
    }


def _multiscale(dtype):
    def level(channels):
        network = ConvNetwork(channels, width=4, dtype=dtype)
        layers = [AffineCoupling(network, "half", dtype=dtype), Squeeze(dtype=dtype)]
        return Chain([*layers, ActNorm(dtype=dtype)], dtype=dtype)

    return MultiScale([level(8), level(4)], image_shape=(4, 4, 1), dtype=dtype)


def _chain(dtype):
    layers = [
        Scale(dtype=dtype),
        AffineCoupling(MLP(4, (8,), dtype=dtype), dtype=dtype),
        Permutation([2, 0, 3, 1], dtype=dtype),
        AdditiveCoupling(MLP(2, (8,), dtype=dtype), "half", flip=True, dtype=dtype),
        Logit(dtype=dtype),
        Reshape((2, 2), dtype=dtype),
    ]
    return Chain(layers, dtype=dtype)


def _continuous():
    """Short intervals and few steps, whose errors are still far below those of wrong maths."""

    def case(network, shape, outputs, interval, context_dim=None, **settings):
        def make(dtype):
            f = network(outputs, hidden=(3,), dtype=dtype, **settings)
            solve = {"solver": RungeKutta4(steps=2), "training_trace": Hutchinson()}
            return ContinuousLayer(f, interval, dtype=dtype, **solve)

        return LayerCase(make, shape, context_dim, "real", 1e-5, 1e-5)

    mlp, conv = TimeDependentMLP, TimeDependentConvNetwork
    return {
        "continuous": case(mlp, (2,), 2, (-0.1, 0.1)),
        "continuous_context": case(mlp, (2,), 2, (0.4, 0.2), 2, squash=False),
        "continuous_image": case(conv, (1, 2, 1), 1, (0.2, 0.4), 1),
    }


def _stacks():
    """Stacks of two layers, which differ in their weights."""

    def vectors(dtype):
        network = MLP(4, hidden=(4,), dtype=dtype)
        layers = [AffineCoupling(network, "half", dtype=dtype), Conv1x1(seed=0, dtype=dtype)]
        return Stack(Chain(layers, dtype=dtype), 2, dtype=dtype)

    def images(dtype):
        network = ConvNetwork(2, width=4, dtype=dtype)
        layers = [AffineCoupling(network, "half", dtype=dtype), ActNorm(dtype=dtype)]
        return Stack(Chain([*layers, Reverse(dtype=dtype)], dtype=dtype), 2, dtype=dtype)

    return {
        "stack": LayerCase(vectors, (4,), None, "real", 1e-5),
        "stack_context": LayerCase(vectors, (4,), 2, "real", 1e-5),
        "stack_image": LayerCase(images, (2, 2, 2)),
    }


def _of_transformers():
    """Every transformer that maps the reals, in a coupling; some with weights of their own."""

    def cases(transformer):
        def coupling(dtype):
            network = MLP(2 * transformer.num_parameters, hidden=(4,), dtype=dtype)
            return Coupling(transformer, network, "half", dtype=dtype)

        def elementwise(dtype):
            return Elementwise(transformer, dtype=dtype)

        # A map that is not affine multiplies roundings by its slope, up to e^2 here, and back.
        name, tolerance = type(transformer).__name__, 1e-5
        if name == "CircularSpline":
            tolerance = 3e-4  # slopes near its ends, which are free, are down to 0.001 here
        yield f"coupling_{name}", LayerCase(coupling, (4,), None, "real", tolerance)
        if name not in OTHER_TRANSFORMERS:
            yield f"elementwise_{name}", LayerCase(elementwise, (3,), None, "real", tolerance)
            context = LayerCase(elementwise, (2, 2), 2, "real", tolerance)
            yield f"elementwise_{name}_context", context

    made = [kind() for kind in TRANSFORMERS.values()]
    real = [t for t in made if (t.domain, t.range) == ("real", "real")]
    return dict(named for t in real for named in cases(t))


def _autoregressive():
    def case(transformer, shape, hidden=(6, 7), context_dim=None, one_pass="inverse", **settings):
        def make(dtype):
            number = transformer.num_parameters
            network = MaskedMLP(number, hidden, activation="tanh", dtype=dtype, **settings)
            return Autoregressive(transformer, network, one_pass, dtype=dtype)

        return LayerCase(make, shape, context_dim, "real", 1e-5)

    affine, spline = Affine(1.0), RationalQuadraticSpline(bins=3)
    blocks = {"hidden": (6, 6, 6), "order": [1, 0, 2, 0, 1], "residual": True}
    return {
        "autoregressive": case(affine, (4,)),
        "autoregressive_context": case(affine, (3,), context_dim=2, order="reversed"),
        "autoregressive_one": case(affine, (1,), context_dim=2),
        "autoregressive_blocks": case(affine, (5,), **blocks),
        "autoregressive_spline": case(spline, (3,)),
        "autoregressive_forward": case(affine, (3,), one_pass="forward", context_dim=2),
        "autoregressive_forward_spline": case(spline, (4,), one_pass="forward", order=[2, 0, 3, 1]),
    }


def _low_rank():
    def case(kind, dim, context_dim=None, **settings):
        # Slopes along the direction or the radius magnify roundings.
        make = lambda dtype: kind(dtype=dtype, **settings)  # noqa: E731
        return LayerCase(make, (dim,), context_dim, "real", 1e-5)

    return {
        "planar": case(Planar, 3),
        "planar_one": case(Planar, 1, 2),
        "planar_inverse": case(Planar, 3, one_pass="inverse"),
        "radial": case(Radial, 3),
        "radial_one": case(Radial, 1, 2),
        "radial_inverse": case(Radial, 3, one_pass="inverse"),
        "sylvester": case(Sylvester, 4, rank=2),
        "sylvester_context": case(Sylvester, 3, 2, rank=3),
        "sylvester_inverse": case(Sylvester, 3, 2, rank=2, one_pass="inverse"),
    }


def _block_autoregressive():
    def case(dim, context_dim=None, **settings):
        make = lambda dtype: BlockAutoregressive(dtype=dtype, **settings)  # noqa: E731
        return LayerCase(make, (dim,), context_dim, "real", 1e-5)

    return {
        "block_autoregressive": case(3, width=3, depth=2),
        "block_autoregressive_one": case(1, 2, width=4),
    }


def _columns(dtype):
    """Supports of which all hold the unit interval, its ends too."""
    supports = [
        *(Interval(-0.1, 1.1), Real(), HeavyTails(0.3, 0.5)),
        *(Interval(-0.1, 1.1), Positive(-0.2), Integers(), Integers(-1)),
    ]
    columns = [Column(str(i), support) for i, support in enumerate(supports)]
    return Columns(columns, dtype=dtype)


LAYERS = {
    **_block_autoregressive(),
    **_stacks(),
    **_low_rank(),
    **_autoregressive(),
    **_of_transformers(),
    **_couplings(),
    **_image_couplings(),
    **_continuous(),
    "squeeze": LayerCase(lambda dtype: Squeeze(dtype=dtype), (2, 1, 8)),
    "squeeze_unshuffle": LayerCase(
        lambda dtype: Squeeze("pixel_unshuffle", dtype=dtype), (1, 2, 8)
    ),
    "marginals": LayerCase(
        lambda dtype: MarginalGaussianization(3, dtype=dtype), (2, 2), None, "real", 1e-5
    ),
    "marginals_one": LayerCase(
        lambda dtype: MarginalGaussianization(2, dtype=dtype), (1,), None, "real", 1e-5
    ),
    "batch_normalization": LayerCase(lambda dtype: BatchNormalization(dtype=dtype), (2, 3, 2)),
    "batch_normalization_vector": LayerCase(
        lambda dtype: BatchNormalization(dtype=dtype), (3,), None, "real", 1e-5
    ),
    "actnorm": LayerCase(lambda dtype: ActNorm(dtype=dtype), (2, 3, 2)),
    "actnorm_vector": LayerCase(lambda dtype: ActNorm(dtype=dtype), (3,)),
    "prior": LayerCase(lambda dtype: LearnedPrior(dtype=dtype), (2, 2, 3)),
    "prior_context": LayerCase(lambda dtype: LearnedPrior(dtype=dtype), (2, 1, 2), 3),
    "multiscale": LayerCase(_multiscale, (16,)),
    "multiscale_context": LayerCase(_multiscale, (16,), 2),
    **{
        f"conv1x1_{kind}": LayerCase(
            lambda dtype, kind=kind: Conv1x1(kind, seed=0, dtype=dtype), shape, None, "real", 1e-5
        )
        for kind, shape in {
            "lu": (2, 3, 4),
            "full": (2, 2, 3),
            "qr": (2, 1, 4),
            "svd": (3,),
            "orthogonal": (5,),
            "triangular": (1, 2, 3),
        }.items()
    },
    **_residual_blocks(),
    "permutation": LayerCase(lambda dtype: Permutation([3, 0, 2, 1], dtype=dtype), (4,)),
    "permutation_image": LayerCase(lambda dtype: Permutation([1, 2, 0], dtype=dtype), (2, 2, 3)),
    "reverse": LayerCase(lambda dtype: Reverse(dtype=dtype), (3,)),
    "scale": LayerCase(lambda dtype: Scale(dtype=dtype), (2, 3)),
    "standardize": LayerCase(lambda dtype: Standardize(dtype=dtype), (2, 3)),
    "rescaling": LayerCase(lambda dtype: Rescaling(-16.0, 3.0, dtype=dtype), (2, 3)),
    "reshape": LayerCase(lambda dtype: Reshape((2, 3, 1), dtype=dtype), (6,)),
    "reshape_source": LayerCase(lambda dtype: Reshape((6,), (3, 2), dtype=dtype), (3, 2)),
    # The slope of the sigmoid, 0.02 at |z| = 4, magnifies the rounding of x.
    "logit": LayerCase(lambda dtype: Logit(0.05, dtype=dtype), (3,), None, "unit", 1e-5),
    "logit_wide": LayerCase(lambda dtype: Logit(0.3, dtype=dtype), (2, 2), None, "unit", 1e-5),
    "columns": LayerCase(_columns, (7,), None, "unit", 1e-5),
    "chain": LayerCase(_chain, (4,), 2, "unit", 1e-5),
    "chain_plain": LayerCase(_chain, (4,), None, "unit", 1e-5),
    "bijector": LayerCase(
        lambda dtype: BijectorLayer(
            softplus_chain if dtype == "float32" else softplus_chain_float64, dtype=dtype
        ),
        (3,),
        None,
        "positive",
        1e-5,
    ),
}


# Cases whose graphs are those of another one, in another shape or with another mask: tests that
# compile or differentiate graphs twice leave them out.
SAME_GRAPHS = {
    *("actnorm_vector", "additive_odd", "additive_odd_flip", "affine_alternating"),
    *("affine_context_residual", "affine_half_flip", "affine_image", "affine_mask"),
    *("affine_mask_flip", "autoregressive_blocks", "autoregressive_forward_spline"),
    *("autoregressive_one", "batch_normalization_vector", "block_autoregressive_one"),
    *("chain_plain", "checkerboard_additive", "checkerboard_flip", "conv1x1_orthogonal"),
    *("conv_context", "logit_wide", "marginals_one", "permutation_image", "planar_one"),
    *("radial_one", "reshape_source", "squeeze_unshuffle", "stack_context"),
}


def _generic(dtype):
    layers = [
        AffineCoupling(ResidualMLP(4, width=8, num_blocks=1, dtype=dtype), dtype=dtype),
        Reverse(dtype=dtype),
        AffineCoupling(keras.Sequential([keras.layers.Dense(4, dtype=dtype)]), "half", dtype=dtype),
        Scale(dtype=dtype),
        Reshape((2, 2), dtype=dtype),
    ]
    return tfflows.Flow(Chain(layers, dtype=dtype), (2, 2), dtype=dtype)


def _named(flow, shape, **settings):
    settings = {"num_couplings": 2, "hidden": (8,), **settings}
    return lambda dtype: flow(shape, dtype=dtype, **settings)


def _autoregressive_flow(flow, shape, **settings):
    settings = {"num_layers": 2, "hidden": (8,), "activation": "tanh", **settings}
    return lambda dtype: flow(shape, dtype=dtype, **settings)


FLOWS = {
    "nice": _named(tfflows.NICE, (3,)),
    "nice_normal": _named(tfflows.NICE, (2,), mask="half", base="normal"),
    "nice_image": _named(tfflows.NICE, (1, 2, 1), num_bits=4),
    "nice_image_classes": _named(tfflows.NICE, (2, 3, 1), num_bits=4, num_classes=3),
    "realnvp": _named(tfflows.RealNVP, (2,), num_couplings=3),
    "realnvp_logistic": _named(tfflows.RealNVP, (2,), base="logistic"),
    "realnvp_image": _named(tfflows.RealNVP, (1, 2, 1), num_bits=4),
    "realnvp_classes": _named(tfflows.RealNVP, (3,), num_classes=3, mask=[True, True, False]),
    "realnvp_context": _named(tfflows.RealNVP, (2,), context_dim=2),
    "maf": _autoregressive_flow(tfflows.MAF, (3,)),
    "maf_shuffle": _autoregressive_flow(
        tfflows.MAF, (3,), permutation="shuffle", batch_normalization=True
    ),
    "maf_image_classes": _autoregressive_flow(
        tfflows.MAF, (2, 2, 1), num_bits=4, num_classes=3, hidden=(6, 6, 6), residual=True
    ),
    "iaf": _autoregressive_flow(tfflows.IAF, (2,), context_dim=2),
    "naf": _autoregressive_flow(tfflows.NAF, (2,), components=3, context_dim=1),
    "nsf": _autoregressive_flow(tfflows.NSF, (3,), bins=4),
    "nsf_autoregressive": _autoregressive_flow(
        tfflows.NSF, (2,), bins=4, autoregressive=True, context_dim=1
    ),
    "bnaf": lambda dtype: tfflows.BNAF(
        (3,), num_layers=2, width=3, depth=1, context_dim=2, dtype=dtype
    ),
    "gaussianization": lambda dtype: tfflows.Gaussianization(
        (2,), num_layers=2, components=3, dtype=dtype
    ),
    "gaussianization_one": lambda dtype: tfflows.Gaussianization(
        (1,), num_layers=1, components=4, dtype=dtype
    ),
    "planar": lambda dtype: tfflows.PlanarFlow((2,), num_layers=3, context_dim=1, dtype=dtype),
    "planar_one": lambda dtype: tfflows.PlanarFlow((1,), num_layers=2, dtype=dtype),
    "sylvester": lambda dtype: tfflows.SylvesterFlow((3,), num_layers=2, rank=2, dtype=dtype),
    "generic": _generic,
    "glow": lambda dtype: tfflows.Glow(
        (4, 4, 1), levels=2, steps=1, width=4, prior_width=4, num_bits=4, dtype=dtype
    ),
    "glow_additive": lambda dtype: tfflows.Glow(
        (2, 2, 2),
        levels=1,
        steps=2,
        width=4,
        coupling="additive",
        permutation="shuffle",
        learned_prior=False,
        dtype=dtype,
    ),
    "glow_convolution_prior": lambda dtype: tfflows.Glow(
        (4, 4, 1),
        levels=2,
        steps=1,
        width=4,
        prior="convolution",
        edge_bias=True,
        num_classes=3,
        dtype=dtype,
    ),
    "glow_classes": lambda dtype: tfflows.Glow(
        (2, 2, 2),
        levels=1,
        steps=2,
        width=4,
        parameterization="qr",
        num_bits=4,
        num_classes=3,
        dtype=dtype,
    ),
    "residual_flow": lambda dtype: tfflows.ResidualFlow(
        (2,), num_blocks=2, hidden=(8,), dtype=dtype
    ),
    "iresnet_image": lambda dtype: tfflows.IResNet(
        (2, 2, 1),
        num_blocks=1,
        hidden=(4,),
        evaluation=Exact(),
        levels=2,
        factor_out=True,
        num_dense_blocks=1,
        dense_hidden=(8,),
        num_bits=4,
        num_classes=3,
        dtype=dtype,
    ),
    "image_realnvp": lambda dtype: tfflows.ImageRealNVP(
        (4, 4, 1),
        levels=2,
        width=4,
        num_blocks=1,
        log_scale_bound=0.3,
        prior_width=4,
        num_bits=4,
        context_dim=2,
        dtype=dtype,
    ),
}


def _ffjord(shape, **settings):
    settings = {"hidden": (3,), "solver": RungeKutta4(steps=3), **settings}
    return lambda dtype: tfflows.FFJORD(shape, dtype=dtype, **settings)


FLOWS |= {
    "ffjord": _ffjord((2,), num_blocks=2, context_dim=1),
    "ffjord_image": _ffjord((2, 2, 1), levels=1, num_bits=4),
}
# Of flows that solve equations, in float64.
ERRORS = {"ffjord": 1e-4, "ffjord_image": 1e-4}
# Deep stacks of large weights reach values whose sigmoid is 1 in float32.
SIZES = {"image_realnvp": 0.3, "ffjord": 0.5, "ffjord_image": 0.5}


def build_flow(name: str, dtype: str = "float32", size: float | None = None) -> tfflows.Flow:
    flow = FLOWS[name](dtype)
    randomize(flow, SIZES.get(name, 1.0) if size is None else size)
    return flow


def draw_context(flow, n: int, seed: int = 0):
    """Labels, vectors or None: what the flow is conditioned on."""
    rng = np.random.default_rng(seed)
    if flow.num_classes is not None:
        return rng.integers(flow.num_classes, size=n)
    if flow.context_dim is not None:
        return rng.normal(size=(n, flow.context_dim)).astype(flow.compute_dtype)
    return None


def context_matrix(flow, context):
    """The context as the layers take it: labels become one-hot vectors."""
    if flow.num_classes is not None:
        return np.eye(flow.num_classes, dtype=flow.compute_dtype)[context]
    return context


def draw_points(flow, n: int, seed: int = 0):
    """Continuous x of the flow's dtype, within its support."""
    rng = np.random.default_rng(seed)
    if flow.num_bits is None:
        x = rng.normal(size=(n, *flow.event_shape))
    else:
        x = rng.uniform(0, 2**flow.num_bits, size=(n, *flow.event_shape))
    return x.astype(flow.compute_dtype)


def draw_data(flow, n: int, seed: int = 0):
    """What the flow is fitted on, with some structure to learn: pixels or points."""
    x = np.random.default_rng(seed).normal(size=(n, *flow.event_shape))
    x = 1.0 + 0.3 * x + 2.0 * np.sin(x[:, :1])
    if flow.num_bits is not None:
        return np.clip(3 * x + 4, 0, 2**flow.num_bits - 1).astype("uint8")
    return x.astype(flow.compute_dtype)


def cases_of(names, slow=SLOW) -> list:
    """Names for `parametrize`, those that take longest marked slow."""
    mark = pytest.mark.slow
    return [pytest.param(name, marks=mark) if name in slow else name for name in names]


def max_difference(a, b) -> float:
    return float(np.max(np.abs(np.asarray(a, "float64") - np.asarray(b, "float64"))))


def num_operations(function, *args) -> int:
    """Operations of a function's graph, those of its loops included."""
    graph = tf.function(function, autograph=False).get_concrete_function(*args).graph
    functions = sum(len(f.node_def) for f in graph.as_graph_def().library.function)
    return len(graph.get_operations()) + functions
