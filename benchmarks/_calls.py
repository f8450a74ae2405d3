"""Entries of the zoo, and flows of their sizes in PyTorch, as a user calls them in plain Python.

A contender is a dictionary of functions of no arguments; ours has each task twice, once in a
`tf.function` that the user made.
"""

import math
from functools import partial
from importlib.metadata import version

import numpy as np

import zoo

EXAMPLES = 16
BIG = ("glow_celeba", "realnvp_celeba")


def tfflows(entry):
    """The entry as `zoo.load` returns it."""
    import tensorflow as tf

    import tfflows

    flow = zoo.load(entry)
    tensors = np.load(zoo.catalog.folder_of(entry) / "reference.npz")
    x = tensors["x"]
    context = tensors["context"] if "context" in tensors else None
    sample = partial(flow.sample, len(x), context=context)
    log_prob_function = tf.function(flow.log_prob, autograph=False)
    sample_function = tf.function(sample, autograph=False)
    given = [tf.constant(value) for value in (x, context) if value is not None]
    return {
        "log_prob": lambda: flow.log_prob(x, context).numpy(),
        "sample": lambda: sample().numpy(),
        "log_prob in a function": lambda: log_prob_function(*given).numpy(),
        "sample in a function": lambda: sample_function().numpy(),
        "parameters": sum(math.prod(weight.shape) for weight in flow.trainable_weights),
        "version": f"tfflows {tfflows.__version__}, TensorFlow {tf.__version__}",
        "describe": dict,
    }


def torch_tasks(flow, log_prob, sample, shape, library):
    """Of a flow on x of [0, 1]^D, or near 0."""
    import torch

    flow.eval()
    x = torch.rand(EXAMPLES, *shape)
    return {
        "log_prob": torch.no_grad()(lambda: log_prob(x).numpy()),
        "sample": torch.no_grad()(lambda: sample(EXAMPLES).numpy()),
        "parameters": sum(p.numel() for p in flow.parameters() if p.requires_grad),
        "version": f"{library} {version(library)}, PyTorch {version('torch')}",
        "describe": dict,
    }


def logit(dim, alpha):
    """nflows' transforms of x in [0, 1]: into (alpha, 1 - alpha), then the logit."""
    from nflows.transforms import PointwiseAffineTransform
    from nflows.transforms.nonlinearities import Logit

    return [PointwiseAffineTransform(alpha, 1 - 2 * alpha), Logit()]


def nflows(entry):
    """Affine couplings with plain MLPs behind a logit."""
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import AffineCouplingTransform, CompositeTransform
    from torch import nn

    config = zoo.catalog.config(entry)["config"]
    dim = math.prod(config["event_shape"])

    class MLP(nn.Sequential):
        def __init__(self, n, m):
            sizes = [n, *config["hidden"]]
            layers = []
            for pair in zip(sizes[:-1], sizes[1:], strict=True):
                layers += [nn.Linear(*pair), nn.ReLU()]
            super().__init__(*layers, nn.Linear(sizes[-1], m))

        def forward(self, x, context):
            return super().forward(x)

    couplings = [
        AffineCouplingTransform([(k + i) % 2 for k in range(dim)], MLP)
        for i in range(config["num_couplings"])
    ]
    transform = CompositeTransform([*logit(dim, config["logit_alpha"]), *couplings])
    flow = Flow(transform, StandardNormal([dim]))
    return torch_tasks(flow, flow.log_prob, flow.sample, [dim], "nflows")


def normflows_glow(entry):
    """normflows' multi-scale flow; its latents of each level have a learned mean and scale."""
    import normflows

    config = zoo.catalog.config(entry)["config"]
    side, _, channels = config["event_shape"]
    num_levels = config["levels"]
    bases, levels, merges = [], [], []
    # normflows counts levels from the latents, we from the image.
    for i in range(num_levels):
        level = num_levels - 1 - i
        width, steps = config["width"][level], config["steps"][level]
        n = channels * 2 ** (level + 2)
        blocks = [normflows.flows.GlowBlock(n, width, init_zeros=False) for _ in range(steps)]
        levels.append([*blocks, normflows.flows.Squeeze()])
        if i > 0:
            merges.append(normflows.flows.Merge())
            n //= 2
        bases.append(normflows.distributions.GlowBase((n, *[side // 2 ** (level + 1)] * 2)))
    flow = normflows.MultiscaleFlow(bases, levels, merges, class_cond=False)
    log_prob, sample = (lambda x: flow.log_prob(x, None)), (lambda n: flow.sample(n)[0])
    flow.log_prob(__import__("torch").rand(EXAMPLES, channels, side, side), None)  # its actnorms
    return torch_tasks(flow, log_prob, sample, [channels, side, side], "normflows")


def normflows_residual(entry):
    """normflows' residual blocks and actnorms behind a logit."""
    import normflows
    import torch

    config = zoo.catalog.config(entry)["config"]
    dim = math.prod(config["event_shape"])
    sizes = [dim, *config["hidden"], dim]
    coefficient = config["coefficient"] ** (1 / (len(sizes) - 1))
    flows = []
    for _ in range(config["num_blocks"]):
        network = normflows.nets.LipschitzMLP(sizes, coefficient, max_lipschitz_iter=5)
        terms = config["estimator"]["terms"]
        flows.append(normflows.flows.Residual(network, n_exact_terms=terms))
        flows.append(normflows.flows.ActNorm((dim,)))
    base = normflows.distributions.DiagGaussian(dim, False)
    flow = normflows.NormalizingFlow(base, flows, normflows.transforms.Logit(config["logit_alpha"]))
    flow.log_prob(torch.rand(EXAMPLES, dim))  # starts the actnorms
    return torch_tasks(flow, flow.log_prob, lambda n: flow.sample(n)[0], [dim], "normflows")


def zuko(entry):
    """zuko's continuous flow, with the exact trace."""
    import torch
    from zuko.distributions import DiagNormal
    from zuko.flows.continuous import FFJTransform
    from zuko.lazy import Flow, UnconditionalDistribution

    config = zoo.catalog.config(entry)["config"]
    (dim,) = config["event_shape"]
    transform = FFJTransform(
        dim,
        freqs=0,
        atol=config["atol"],
        rtol=config["rtol"],
        exact=True,
        hidden_features=config["hidden"],
        activation=torch.nn.GELU,
    )
    base = UnconditionalDistribution(DiagNormal, torch.zeros(dim), torch.ones(dim), buffer=True)
    flow = Flow([transform], base)
    return torch_tasks(
        flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)), [dim], "zuko"
    )


PEERS = {
    "realnvp_digits": ("nflows", nflows),
    "glow_mnist": ("normflows", normflows_glow),
    "ffjord_pinwheel": ("zuko", zuko),
    "residual_flow_digits": ("normflows", normflows_residual),
}
CONTENDERS = {
    **{f"tfflows {entry}": partial(tfflows, entry) for entry in zoo.catalog.names("*", True)},
    **{f"{library} {entry}": partial(make, entry) for entry, (library, make) in PEERS.items()},
}
