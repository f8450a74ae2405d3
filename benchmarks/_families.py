"""Autoregressive and spline flows in each library, behind the functions of `_tasks.py`."""

from functools import partial
from importlib.metadata import version

import numpy as np
from _coupling import contender
from _tasks import jax_tasks, layer_weights, random_kernel, tensorflow_tasks, torch_tasks

LAYERS, HIDDEN, BINS, BOUND, BATCH, LEARNING_RATE = 5, 256, 8, 3.0, 256, 1e-4
COMPONENTS = 8  # of NAF
FAMILIES = {
    "MAF": ("tfflows", "nflows", "normflows", "zuko", "flowjax"),
    "NSF-C": ("tfflows", "nflows", "flowjax"),
    "NSF-AR": ("tfflows", "nflows", "zuko", "flowjax"),
    "NAF": ("tfflows", "zuko"),
}
DIMS = (6, 63)


def data(dim):
    """Correlated normal vectors, the same for everyone."""
    rng = np.random.default_rng(0)
    mixing = np.eye(dim) + 0.1 * rng.normal(size=(dim, dim))
    return (rng.normal(size=(BATCH, dim)) @ mixing).astype("float32")


def tfflows(family, dim):
    """Ours, without the linear layers of the NSF, which the others do not have."""
    import tensorflow as tf

    import tfflows
    from tfflows.layers import Chain, Coupling, Stack
    from tfflows.networks import MLP

    settings = {"num_layers": LAYERS, "hidden": (HIDDEN, HIDDEN)}
    spline = tfflows.transformers.RationalQuadraticSpline(BINS, BOUND)
    if family == "MAF":
        affine = tfflows.transformers.Affine(bound=None)
        flow = tfflows.MAF((dim,), transformer=affine, **settings)
    elif family == "NSF-AR":
        flow = tfflows.MAF((dim,), transformer=spline, **settings)
    elif family == "NAF":
        flow = tfflows.NAF((dim,), components=COMPONENTS, **settings)
    else:
        network = MLP(spline.num_parameters * (dim // 2), (HIDDEN, HIDDEN))
        coupling = Coupling(spline, network, "alternating")
        step = Chain([coupling, tfflows.layers.Reverse()])
        flow = tfflows.Flow(Stack(step, LAYERS), (dim,))
    for variable, weight in layer_weights(flow):
        variable.assign(random_kernel(variable.shape, weight.shape[0]))
    optimizer = tfflows.training.FusedAdamW(LEARNING_RATE, weight_decay=0.0)
    tasks = tensorflow_tasks(
        flow.log_prob,
        flow.sample,
        flow.transform.inverse_and_log_det,
        flow.transform.forward_and_log_det,
        flow.trainable_variables,
        optimizer,
        data(dim),
    )
    return contender(tasks, f"tfflows {tfflows.__version__}, TensorFlow {tf.__version__}")


def torch_contender(flow, log_prob, sample, inverse, forward, name, dim):
    import torch

    optimizer = torch.optim.Adam(flow.parameters(), LEARNING_RATE, fused=True)
    x = torch.from_numpy(data(dim))
    tasks = torch_tasks(flow, log_prob, sample, inverse, forward, optimizer, x)
    return contender(tasks, f"{name} {version(name)}, PyTorch {version('torch')}")


def nflows(family, dim):
    """nflows' layers, their masked networks without residual blocks, and a plain MLP."""
    import torch
    from nflows import transforms
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from torch import nn

    class MLP(nn.Sequential):
        def __init__(self, n, m):
            layers = [nn.Linear(n, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU()]
            super().__init__(*layers, nn.Linear(HIDDEN, m))

        def forward(self, x, context):
            return super().forward(x)

    spline = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND}
    # An initial layer and one block: two hidden layers.
    masked = {"num_blocks": 1, "use_residual_blocks": False}

    def layer():
        if family == "NSF-C":
            mask = torch.arange(dim) % 2
            return transforms.PiecewiseRationalQuadraticCouplingTransform(mask, MLP, **spline)
        if family == "NSF-AR":
            return transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                dim, HIDDEN, **spline, **masked
            )
        return transforms.MaskedAffineAutoregressiveTransform(dim, HIDDEN, **masked)

    layers = [part for _ in range(LAYERS) for part in (layer(), transforms.ReversePermutation(dim))]
    transform = transforms.CompositeTransform(layers)
    flow = Flow(transform, StandardNormal([dim]))
    return torch_contender(
        flow, flow.log_prob, flow.sample, transform, transform.inverse, "nflows", dim
    )


def zuko(family, dim):
    """zuko's flows, whose orders alternate."""
    import torch
    from zuko.flows import MAF, NAF, NSF

    settings = {"features": dim, "transforms": LAYERS, "hidden_features": (HIDDEN, HIDDEN)}
    if family == "MAF":
        flow = MAF(**settings)
    elif family == "NSF-AR":
        flow = NSF(bins=BINS, **settings)
    else:
        # As many outputs of the conditioner as ours, and the sigmoids of one monotonic network.
        network = {"hidden_features": (COMPONENTS,)}
        flow = NAF(signal=3 * COMPONENTS, network=network, **settings)
    density = (lambda x: flow().log_prob(x)), (lambda n: flow().sample(torch.Size([n])))
    maps = (
        lambda x: flow().transform.call_and_ladj(x),
        lambda z: flow().transform.inv.call_and_ladj(z),
    )
    return torch_contender(flow, *density, *maps, "zuko", dim)


def normflows(family, dim):
    """normflows' masked affine layers; those of splines have residual networks of other sizes."""
    from normflows import NormalizingFlow
    from normflows.distributions import DiagGaussian
    from normflows.flows import MaskedAffineAutoregressive, Permute, Reverse

    masked = {"num_blocks": 1, "use_residual_blocks": False}
    layers = [
        part
        for _ in range(LAYERS)
        # Samples take one pass of its layer, reversed the density does.
        for part in (
            Reverse(MaskedAffineAutoregressive(dim, HIDDEN, **masked)),
            Permute(dim, "swap"),
        )
    ]
    flow = NormalizingFlow(DiagGaussian(dim, trainable=False), layers)
    maps = flow.inverse_and_log_det, flow.forward_and_log_det
    return torch_contender(
        flow, flow.log_prob, lambda n: flow.sample(n)[0], *maps, "normflows", dim
    )


def flowjax(family, dim):
    """flowjax's flows, with permutations at random between the layers."""
    import jax
    import paramax
    from flowjax.bijections import Affine, RationalQuadraticSpline
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow, masked_autoregressive_flow

    make = coupling_flow if family == "NSF-C" else masked_autoregressive_flow
    transformer = Affine()
    if family != "MAF":
        transformer = RationalQuadraticSpline(knots=BINS, interval=BOUND)
    flow = make(
        jax.random.key(0),
        base_dist=paramax.non_trainable(Normal(jax.numpy.zeros(dim))),
        transformer=transformer,
        flow_layers=LAYERS,
        nn_width=HIDDEN,
        nn_depth=2,
    )
    tasks = jax_tasks(flow, LEARNING_RATE, data(dim))
    return contender(tasks, f"flowjax {version('flowjax')}, JAX {jax.__version__}")


LIBRARIES = {
    "tfflows": tfflows,
    "nflows": nflows,
    "normflows": normflows,
    "zuko": zuko,
    "flowjax": flowjax,
}


def names(family, dim):
    """The contenders of a family."""
    return [f"{library}, {family}, {dim} dimensions" for library in FAMILIES[family]]


CONTENDERS = {
    name: partial(LIBRARIES[name.split(",")[0]], family, dim)
    for family in FAMILIES
    for dim in DIMS
    for name in names(family, dim)
}
