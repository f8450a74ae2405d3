"""Write `tests/golden/`: small flows of each family as files, with what they answer.

    python tools/golden_files.py [NAME ...]

Those of autoregressive, neural spline and low-rank flows were written by the commit that added
them, the others by tfflows 0.1.0 (commit c3e18de, which spells names below in other ways). Tests
load them from then on: never write them anew. The script is for families that have none yet, and
skips the others.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tfflows
from tfflows.layers import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    ContinuousLayer,
    Conv1x1,
    Exact,
    Hutchinson,
    LearnedPrior,
    Logit,
    Permutation,
    Rescaling,
    Reshape,
    ResidualBlock,
    Reverse,
    Scale,
    Standardize,
    Truncated,
)
from tfflows.networks import MLP, LipschitzNetwork, ResidualMLP, TimeDependentMLP
from tfflows.ode import DormandPrince, RungeKutta4

FOLDER = Path(__file__).parent.parent / "tests" / "golden"
SMOOTH = {"hidden": (6, 6), "activation": "tanh"}  # whose gradients have no kinks
GLOW = {"levels": 2, "width": 4, "prior_width": 4, "num_bits": 5}
ROUGH = {"solver": RungeKutta4(steps=4)}


def _chain():
    half = MLP(4, (5,), "tanh")
    mask = [True, False, False, True]
    layers = [
        LearnedPrior(),
        AffineCoupling(half, "half"),
        Permutation([2, 0, 3, 1]),
        AdditiveCoupling(ResidualMLP(2, width=5, num_blocks=1, activation="tanh"), mask, True),
        ActNorm(),
        Conv1x1(seed=0),
        AffineCoupling(MLP(4, (5,), "tanh"), "alternating", log_scale_bound=None),
        Reverse(),
        Scale(),
        Standardize(),
        Logit(),
        Rescaling(4.0),
        Reshape((2, 2)),
    ]
    return tfflows.Flow(Chain(layers), event_shape=(2, 2))


def _equations():
    network = TimeDependentMLP(3, hidden=(5,))
    contraction = LipschitzNetwork((6,), coefficient=0.7)
    block = ResidualBlock(contraction, Truncated(terms=4), Exact())
    continuous = ContinuousLayer(network, solver=DormandPrince(1e-6, 1e-6))
    return tfflows.Flow(Chain([continuous, block]), (3,))


def _flow_matching():
    flow = tfflows.FFJORD((2,), hidden=(5,), **ROUGH)
    flow.compile(keras.optimizers.Adam(1e-3), loss="flow_matching")
    return flow


def _fitted(flow):
    flow.compile(keras.optimizers.Adam(1e-3))
    x = 5 + np.random.default_rng(0).normal(size=(16, *flow.event_shape))
    flow.fit(x.astype("int32" if flow.num_bits else "float32"), batch_size=16, verbose=0)
    return flow


def _variational():
    noise = tfflows.distributions.VariationalDequantizer(width=3, num_couplings=2)
    return tfflows.NICE((2, 2, 1), num_couplings=2, num_bits=3, dequantizer=noise, **SMOOTH)


CASES = {
    "nice": lambda: tfflows.NICE((4,), num_couplings=4, **SMOOTH),
    "nice_odd": lambda: tfflows.NICE((5,), num_couplings=3, base="normal", **SMOOTH),
    "nice_image": lambda: tfflows.NICE((2, 2, 1), num_couplings=2, num_bits=4, **SMOOTH),
    "realnvp": lambda: tfflows.RealNVP((3,), num_couplings=4, **SMOOTH),
    "realnvp_odd": lambda: tfflows.RealNVP((4,), num_couplings=5, mask="half", **SMOOTH),
    "realnvp_one": lambda: tfflows.RealNVP((2,), num_couplings=1, base="logistic", **SMOOTH),
    "realnvp_dropout": lambda: tfflows.RealNVP((4,), num_couplings=4, dropout=0.2, **SMOOTH),
    "realnvp_classes": lambda: tfflows.RealNVP(
        (2, 2, 1), num_couplings=4, num_classes=3, num_bits=4, **SMOOTH
    ),
    "realnvp_mask": lambda: tfflows.RealNVP(
        (3,), num_couplings=4, mask=[True, False, True], memory="checkpoint", **SMOOTH
    ),
    "realnvp_float64": lambda: tfflows.RealNVP((3,), num_couplings=4, dtype="float64", **SMOOTH),
    "realnvp_fitted": lambda: _fitted(tfflows.RealNVP((3,), num_couplings=4, **SMOOTH)),
    "maf": lambda: tfflows.MAF((4,), num_layers=3, **SMOOTH),
    "maf_spline": lambda: tfflows.MAF(
        (2, 2, 1),
        num_layers=2,
        hidden=(6, 6, 6),
        activation="tanh",
        transformer=tfflows.transformers.RationalQuadraticSpline(bins=4),
        residual=True,
        num_bits=4,
        num_classes=3,
    ),
    "maf_shuffle": lambda: tfflows.MAF(
        (3,), num_layers=2, permutation="shuffle", batch_normalization=True, **SMOOTH
    ),
    "bnaf": lambda: tfflows.BNAF((3,), num_layers=2, width=4, context_dim=2),
    "gaussianization": lambda: tfflows.Gaussianization((3,), num_layers=2, components=4),
    "planar": lambda: tfflows.PlanarFlow((3,), num_layers=3, context_dim=2),
    "sylvester": lambda: tfflows.SylvesterFlow((3,), num_layers=2, rank=2),
    "naf": lambda: tfflows.NAF((3,), num_layers=2, components=4, **SMOOTH),
    "iaf": lambda: tfflows.IAF((3,), num_layers=2, context_dim=2, **SMOOTH),
    "nsf": lambda: tfflows.NSF((5,), num_layers=3, bins=4, **SMOOTH),
    "nsf_autoregressive": lambda: tfflows.NSF(
        (3,), num_layers=2, bins=4, autoregressive=True, dtype="float64", **SMOOTH
    ),
    "glow": lambda: tfflows.Glow((8, 8, 1), steps=3, **GLOW),
    "glow_steps": lambda: tfflows.Glow((4, 4, 3), steps=[1, 3], log_scale_bound=2.0, **GLOW),
    "glow_shuffle": lambda: tfflows.Glow(
        (4, 4, 2), steps=2, coupling="additive", permutation="shuffle", **GLOW
    ),
    "glow_reverse": lambda: tfflows.Glow((4, 4, 1), steps=2, permutation="reverse", **GLOW),
    "glow_openai": lambda: tfflows.Glow(
        (4, 4, 3),
        steps=2,
        prior="convolution",
        edge_bias=True,
        squeeze_order="pixel_unshuffle",
        **GLOW,
    ),
    "glow_qr": lambda: tfflows.Glow(
        (4, 4, 1), steps=2, parameterization="qr", context_dim=2, logit_alpha=0.05, **GLOW
    ),
    "glow_fitted": lambda: _fitted(tfflows.Glow((4, 4, 1), steps=2, **GLOW)),
    "image_realnvp": lambda: tfflows.ImageRealNVP(
        (4, 4, 1), levels=2, width=4, num_blocks=1, prior_width=4, num_bits=4, num_classes=2
    ),
    "iresnet": lambda: tfflows.IResNet((3,), num_blocks=3, hidden=(6,)),
    "residual_flow": lambda: tfflows.ResidualFlow((3,), num_blocks=3, hidden=(6,), context_dim=2),
    "residual_flow_levels": lambda: tfflows.ResidualFlow(
        (4, 4, 1),
        num_blocks=2,
        hidden=(3, 3),
        levels=2,
        num_dense_blocks=2,
        dense_hidden=(4,),
        factor_out=True,
        num_bits=4,
        coefficient=0.7,
    ),
    "residual_flow_flat": lambda: tfflows.ResidualFlow(
        (4, 4, 1), num_blocks=2, hidden=(3, 3), levels=2, num_bits=4, coefficient=0.7
    ),
    "ffjord": lambda: tfflows.FFJORD(
        (2,),
        num_blocks=2,
        hidden=(5,),
        solver=DormandPrince(1e-6, 1e-6, training=DormandPrince(1e-3, 1e-3)),
        context_dim=1,
    ),
    "ffjord_rk4": lambda: tfflows.FFJORD((3,), hidden=(5,), trace=Hutchinson(), **ROUGH),
    "ffjord_image": lambda: tfflows.FFJORD((4, 4, 1), levels=1, hidden=(3,), num_bits=4, **ROUGH),
    "ffjord_precise": lambda: tfflows.FFJORD(
        (2,), hidden=(5,), precise=True, solver=DormandPrince(1e-8, 1e-8)
    ),
    "ffjord_matching": _flow_matching,
    "chain": _chain,
    "equations": _equations,
    "variational": _variational,
    "hybrid": lambda: tfflows.HybridClassifier(
        tfflows.IResNet((2,), num_blocks=2, hidden=(6,)), num_classes=3
    ),
}
KINKS = ("glow", "image_realnvp", "variational")  # networks with ReLU, whose gradients jump


def randomize(model):
    """Weights away from zero, of moderate size."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if "bool" in weight.dtype:
            weight.assign(np.ones(weight.shape, bool))
        elif weight.name not in ("permutation", "sign"):
            value = rng.uniform(0.1, 0.5, weight.shape)
            sign = 1 if weight.name in ("stddev", "variance") else rng.choice([-1, 1], weight.shape)
            small = 0.2 if weight.name in ("upper", "lower", "log_scale", "log_diagonal") else 1.0
            weight.assign((small * sign * value).astype(weight.dtype))


def answers(flow, name):
    """Inputs of a flow and what it answers to them."""
    rng = np.random.default_rng(2)
    n, found = 4, {}
    if flow.num_classes or flow.context_dim:
        found["context"] = (
            rng.integers(flow.num_classes, size=n)
            if flow.num_classes
            else rng.normal(size=(n, flow.context_dim)).astype("float32")
        )
    context = found.get("context")
    if flow.num_bits:
        found["pixels"] = rng.integers(2**flow.num_bits, size=(n, *flow.event_shape))
        found["x"] = (found["pixels"] + 0.5).astype(flow.compute_dtype)
        found["log_prob_of_pixels"] = flow.log_prob(found["pixels"], context, seed=7).numpy()
    else:
        x = (
            rng.uniform(1, 3, size=(n, *flow.event_shape))
            if name == "chain"
            else rng.normal(size=(n, *flow.event_shape))
        )
        found["x"] = x.astype(flow.compute_dtype)
    x = tf.constant(found["x"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_prob = flow.log_prob(x, context)
    if not name.startswith(KINKS):
        found["score"] = tape.gradient(log_prob, x).numpy()
    found["log_prob"] = log_prob.numpy()
    found["z"] = flow.encode(x, context).numpy()
    found["samples"] = flow.sample(n, 0.8, seed=5, context=context).numpy()
    return found


def main(names):
    FOLDER.mkdir(exist_ok=True)
    for name in names or CASES:
        path = FOLDER / f"{name}.keras"
        if path.exists():
            continue
        keras.utils.set_random_seed(0)
        model = CASES[name]()
        if not name.endswith("_fitted"):
            randomize(model)
        flow = getattr(model, "flow", model)
        np.savez_compressed(path.with_suffix(".npz"), **answers(flow, name))
        model.save(path)
        compress(path)


def compress(path):
    """Keras stores the files in its archives as they are; most of what HDF5 writes is zeros."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main(sys.argv[1:])
