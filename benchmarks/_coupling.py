"""One affine RealNVP in each library, behind the functions of `_tasks.py`."""

from importlib.metadata import version

import numpy as np
from _tasks import layer_weights, random_kernel, tensorflow_tasks, torch_tasks

DIM, COUPLINGS, HIDDEN, BATCH, LEARNING_RATE = 64, 8, (256, 256), 512, 1e-4
HALF = DIM // 2


def data():
    """Correlated normal vectors, the same for everyone."""
    rng = np.random.default_rng(0)
    mixing = np.eye(DIM) + 0.1 * rng.normal(size=(DIM, DIM))
    return (rng.normal(size=(BATCH, DIM)) @ mixing).astype("float32")


def contender(tasks, version):
    """The tasks, and what says how exact they are."""
    return {
        **tasks,
        "version": version,
        "describe": lambda: {**tasks["density"](), **tasks["maps"]()},
    }


def tfflows(jit=False, fit=False):
    """Ours. With `fit`, a training step is what one step of `fit` runs, its metric included."""
    import keras
    import tensorflow as tf

    import tfflows

    flow = tfflows.RealNVP((DIM,), num_couplings=COUPLINGS, hidden=HIDDEN, mask="half")
    for variable, weight in layer_weights(flow):
        variable.assign(random_kernel(variable.shape, weight.shape[0]))
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    flow.compile(optimizer, jit_compile=jit)
    flow.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(data()).repeat())
    tasks = tensorflow_tasks(
        flow.log_prob,
        flow.sample,
        flow.transform.inverse_and_log_det,
        flow.transform.forward_and_log_det,
        flow.trainable_variables,
        optimizer,
        data(),
        jit,
        (lambda: flow.train_function(batches)) if fit else None,
    )
    return contender(tasks, f"tfflows {tfflows.__version__}, TensorFlow {tf.__version__}")


def tfp(jit=False):
    """TFP's own couplings, with a conditioner of plain variables; signs of `num_masked` swap roles.

    The fastest Adam that takes TFP's variables is tf-keras's legacy one, a fused kernel.
    """
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tf_keras

    tfb, tfd = tfp.bijectors, tfp.distributions
    variables = []

    def coupling(num_masked):
        sizes = [HALF, *HIDDEN, 2 * HALF]
        weights = [
            (tf.Variable(random_kernel([n, m], n)), tf.Variable(tf.zeros([m])))
            for n, m in zip(sizes[:-1], sizes[1:], strict=True)
        ]
        variables.extend(v for pair in weights for v in pair)

        def shift_and_log_scale(h, units, **condition):
            for kernel, bias in weights[:-1]:
                h = tf.nn.relu(tf.nn.bias_add(h @ kernel, bias))
            return tf.split(tf.nn.bias_add(h @ weights[-1][0], weights[-1][1]), 2, axis=-1)

        return tfb.RealNVP(num_masked=num_masked, shift_and_log_scale_fn=shift_and_log_scale)

    chain = tfb.Chain([coupling(HALF if i % 2 else -HALF) for i in range(COUPLINGS)])
    base = tfd.Independent(tfd.Normal(tf.zeros(DIM), 1.0), 1)
    flow = tfd.TransformedDistribution(base, chain)
    optimizer = tf_keras.optimizers.legacy.Adam(LEARNING_RATE)
    maps = (
        lambda x: (chain.inverse(x), chain.inverse_log_det_jacobian(x, 1)),
        lambda z: (chain.forward(z), chain.forward_log_det_jacobian(z, 1)),
    )
    tasks = tensorflow_tasks(flow.log_prob, flow.sample, *maps, variables, optimizer, data(), jit)
    return contender(tasks, f"TFP {tfp.__version__}")


def torch_contender(flow, log_prob, sample, inverse, forward, name):
    import torch

    optimizer = torch.optim.Adam(flow.parameters(), LEARNING_RATE, fused=True)
    x = torch.from_numpy(data())
    tasks = torch_tasks(flow, log_prob, sample, inverse, forward, optimizer, x)
    return contender(tasks, f"{name} {version(name)}, PyTorch {version('torch')}")


def nflows():
    """nflows' affine couplings, with a plain MLP instead of its residual network."""
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import AffineCouplingTransform, CompositeTransform
    from torch import nn

    class MLP(nn.Sequential):
        def __init__(self, n, m):
            layers = [nn.Linear(n, HIDDEN[0]), nn.ReLU(), nn.Linear(*HIDDEN), nn.ReLU()]
            super().__init__(*layers, nn.Linear(HIDDEN[1], m))

        def forward(self, x, context):
            return super().forward(x)

    def coupling(i):
        return AffineCouplingTransform([(k < HALF) == (i % 2) for k in range(DIM)], MLP)

    transform = CompositeTransform([coupling(i) for i in range(COUPLINGS)])
    flow = Flow(transform, StandardNormal([DIM]))
    return torch_contender(flow, flow.log_prob, flow.sample, transform, transform.inverse, "nflows")


def zuko():
    """zuko's RealNVP, with half masks instead of its alternating ones."""
    import torch
    from zuko.distributions import DiagNormal
    from zuko.flows.coupling import GeneralCouplingTransform
    from zuko.lazy import Flow, UnconditionalDistribution

    def coupling(i):
        mask = (torch.arange(DIM) < HALF) == bool(i % 2)
        return GeneralCouplingTransform(DIM, mask=mask, hidden_features=HIDDEN)

    base = UnconditionalDistribution(DiagNormal, torch.zeros(DIM), torch.ones(DIM), buffer=True)
    flow = Flow([coupling(i) for i in range(COUPLINGS)], base)
    density = (lambda x: flow().log_prob(x)), (lambda n: flow().sample((n,)))
    maps = (
        lambda x: flow().transform.call_and_ladj(x),
        lambda z: flow().transform.inv.call_and_ladj(z),
    )
    return torch_contender(flow, *density, *maps, "zuko")


CONTENDERS = {
    "tfflows, `fit`": lambda: tfflows(fit=True),
    "tfflows": tfflows,
    "tfflows, XLA": lambda: tfflows(jit=True),
    "TFP": tfp,
    "TFP, XLA": lambda: tfp(jit=True),
    "nflows": nflows,
    "zuko": zuko,
}
