"""Entries of the zoo called from plain Python, and PyTorch flows of their size called eagerly."""

import math
from functools import partial
from importlib.metadata import version
from pathlib import Path

import _coupling
import _glow
import _residual
import numpy as np

# Examples a call.
BATCHES = {
    "realnvp_digits": 16,
    "glow_mnist": 16,
    "ffjord_pinwheel": 256,
    "residual_flow_digits": 16,
}
MODELS = Path(__file__).parents[1] / "zoo" / "models"


def tfflows(entry, change=lambda flow: None):
    """An entry, perhaps changed, each method as it is and as a `tf.function`."""
    import tensorflow as tf

    import tfflows
    import zoo

    flow, batch = zoo.load(entry), BATCHES[entry]
    change(flow)
    x = tf.constant(flow.sample(batch, seed=0))
    log_prob = tf.function(flow.log_prob, autograph=False)
    sample = tf.function(partial(flow.sample, batch), autograph=False)
    return {
        "log_prob": lambda: flow.log_prob(x).numpy(),
        "sample": lambda: flow.sample(batch).numpy(),
        "log_prob_graph": lambda: log_prob(x).numpy(),
        "sample_graph": lambda: sample().numpy(),
        "describe": dict,
        "parameters": flow.count_params(),
        "version": f"tfflows {tfflows.__version__}, TensorFlow {tf.__version__}",
    }


def as_accurate_as_normflows(flow):
    """Give a residual flow the estimator of log-dets and the tolerance of normflows."""
    import tfflows

    block = flow.transform.layers[0].template().layers[0]
    block.evaluation = tfflows.layers.Roulette(_residual.EVALUATION_TERMS)
    block.tolerance = _residual.LOOSE


def first_calls(entry):
    """An entry that was just loaded, and has not been called."""
    import tensorflow as tf

    import zoo

    flow = zoo.load(entry)
    batch = BATCHES.get(entry, 16)
    shape = (batch, *flow.event_shape)
    if flow.num_bits:
        x = tf.constant(np.random.default_rng(0).integers(0, 2**flow.num_bits, shape), tf.int32)
    else:
        x = tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)
    context = None
    if flow.num_classes:
        context = tf.zeros(batch, tf.int32)
    elif flow.context_dim:
        context = tf.zeros([batch, flow.context_dim])
    return {
        "log_prob": lambda: flow.log_prob(x, context).numpy(),
        "sample": lambda: flow.sample(batch, context=context).numpy(),
        "describe": dict,
        "parameters": flow.count_params(),
        "version": "",
    }


def resized(make, module, constants, **settings):
    """A PyTorch contender of another benchmark with other sizes."""
    for name, value in constants.items():
        setattr(module, name, value)
    kept = ("log_prob", "sample", "parameters", "version")
    tasks = make(**settings)
    return {**{key: tasks[key] for key in kept}, "describe": dict}


def zuko():
    """zuko's `FreeFormJacobianTransform` with the network and the weights of ffjord_pinwheel."""
    import h5py
    import torch
    from zuko.transforms import FreeFormJacobianTransform

    with h5py.File(MODELS / "ffjord_pinwheel" / "model.weights.h5") as file:
        network = file["blocks/continuous_layer/network"]
        shift = torch.tensor(network["_shift/vars/0"][0])
        maps = [network[f"map_{i}/vars"] for i in range(5)]
        maps = [[torch.tensor(layer[str(k)][:]) for k in (0, 1)] for layer in maps]
    sizes = [len(bias) for _, bias in maps]

    def f(t, z):
        for i, ((kernel, bias), shifts) in enumerate(zip(maps, shift.split(sizes), strict=True)):
            z = torch.addmm(bias, torch.nn.functional.gelu(z) if i else z, kernel) + shifts * t
        return z

    def transform(start, end):
        times = torch.tensor(start), torch.tensor(end)
        return FreeFormJacobianTransform(f, *times, atol=1e-6, rtol=1e-6, exact=True)

    batch = BATCHES["ffjord_pinwheel"]
    x = torch.randn(batch, 2)

    @torch.no_grad()
    def log_prob():
        z, log_det = transform(1.0, 0.0).call_and_ladj(x)
        return log_det - 0.5 * (z**2).sum(1) - math.log(2 * math.pi)

    @torch.no_grad()
    def sample():
        return transform(0.0, 1.0)(torch.randn(batch, 2))

    return {
        "log_prob": log_prob,
        "sample": sample,
        "describe": dict,
        "parameters": len(shift) + sum(part.numel() for layer in maps for part in layer),
        "version": f"zuko {version('zuko')}, PyTorch {version('torch')}",
    }


def residual_kernels():
    """Those of residual_flow_digits, block by block."""
    import h5py

    with h5py.File(MODELS / "residual_flow_digits" / "model.weights.h5") as file:
        blocks = [f"blocks/residual_block{f'_{i}' if i else ''}/network" for i in range(8)]
        return [[file[f"{block}/layer_{k}/vars/0"][:] for k in range(3)] for block in blocks]


def normflows_residual(tolerance=None):
    """Residual blocks with the kernels of residual_flow_digits."""
    constants = {"BATCH": BATCHES["residual_flow_digits"], "kernels": residual_kernels}
    return resized(_residual.normflows, _residual, constants, tolerance=tolerance)


def normflows_glow():
    """A Glow of two levels of 8 steps, whose widths are those of glow_mnist."""
    constants = {"LEVELS": 2, "CHANNELS": 1, "BATCH": BATCHES["glow_mnist"]}
    sizes = {"side": 28, "steps": 8, "width": (96, 64)}
    return resized(_glow.normflows, _glow, constants, **sizes)


# By entry: its name, and a PyTorch flow of its size.
PEERS = {
    "realnvp_digits": {
        "nflows": partial(
            resized,
            _coupling.nflows,
            _coupling,
            {"HIDDEN": (128, 128), "BATCH": BATCHES["realnvp_digits"]},
        )
    },
    "glow_mnist": {"normflows": normflows_glow},
    "ffjord_pinwheel": {"zuko": zuko},
    "residual_flow_digits": {
        "tfflows as accurate as normflows": partial(
            tfflows, "residual_flow_digits", as_accurate_as_normflows
        ),
        "normflows": normflows_residual,
        "normflows that inverts as accurately as tfflows": partial(
            normflows_residual, _residual.FINE
        ),
    },
}
ENTRIES = sorted(path.parent.name for path in MODELS.glob("*/model.weights.h5"))
FIRST = {f"tfflows, first {entry}": partial(first_calls, entry) for entry in ENTRIES}
CONTENDERS = {
    **{f"tfflows, {entry}": partial(tfflows, entry) for entry in PEERS},
    **{f"{name}, {entry}": make for entry, peer in PEERS.items() for name, make in peer.items()},
    **FIRST,
}
