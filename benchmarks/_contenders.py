"""One affine RealNVP in each library, behind the same few functions.

A contender is a dictionary: the functions `train`, `log_prob` and `sample` of no arguments, which
are timed; `round_trip` (of the data) and `densities` (log_prob, z and Jacobian dz/dx at the first
example), which tell how exact it is; the number of `parameters` and the `version`.
"""

import math
from importlib.metadata import version

import numpy as np

DIM, COUPLINGS, HIDDEN, BATCH, LEARNING_RATE = 64, 8, (256, 256), 512, 1e-4
HALF = DIM // 2


def data():
    """Correlated normal vectors, the same for everyone."""
    rng = np.random.default_rng(0)
    mixing = np.eye(DIM) + 0.1 * rng.normal(size=(DIM, DIM))
    return (rng.normal(size=(BATCH, DIM)) @ mixing).astype("float32")


# TensorFlow. Weights start as PyTorch's do: ours would otherwise be the identity.


def initial(shape):
    import tensorflow as tf

    limit = 1 / math.sqrt(shape[0])
    return tf.random.uniform(shape, -limit, limit)


def tensorflow_tasks(log_prob, sample, inverse, forward, variables, optimizer, jit):
    """The functions that the worker calls, each a `tf.function`."""
    import tensorflow as tf

    x = tf.constant(data())
    function = tf.function(jit_compile=jit, autograph=False)

    @function
    def step(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(log_prob(x))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    @tf.function(autograph=False)
    def jacobian(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = inverse(x)
        return tape.jacobian(z, x)[0, :, 0]

    log_prob_of, samples = function(log_prob), function(lambda: sample(BATCH))
    inverse_of, forward_of = function(inverse), function(forward)

    def densities():
        return [values.numpy() for values in (log_prob_of(x)[0], inverse_of(x)[0], jacobian(x[:1]))]

    return {
        "train": lambda: step(x),
        "log_prob": lambda: log_prob_of(x),
        "sample": samples,
        "round_trip": lambda: forward_of(tf.constant(inverse_of(x).numpy())).numpy(),
        "densities": densities,
        "parameters": sum(math.prod(variable.shape) for variable in variables),
    }


def tfflows(jit=False, fit=False):
    """Ours. With `fit`, a training step is what one step of `fit` runs, its metric included."""
    import keras
    import tensorflow as tf

    import tfflows

    flow = tfflows.RealNVP((DIM,), COUPLINGS, HIDDEN, mask="half")
    for variable in flow.trainable_variables:
        variable.assign(initial(variable.shape))
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    flow.compile(optimizer, jit_compile=jit)
    flow.make_train_function()
    maps = flow.log_prob, flow.sample, flow.encode, flow.decode
    tasks = tensorflow_tasks(*maps, flow.trainable_variables, optimizer, jit)
    if fit:
        batches = iter(tf.data.Dataset.from_tensors(data()).repeat())
        tasks["train"] = lambda: flow.train_function(batches)
        del tasks["log_prob"], tasks["sample"]  # no others than without `fit`
    return {**tasks, "version": f"tfflows {tfflows.__version__}, TensorFlow {tf.__version__}"}


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
            (tf.Variable(initial([n, m])), tf.Variable(tf.zeros([m])))
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
    maps = flow.log_prob, flow.sample, chain.inverse, chain.forward
    tasks = tensorflow_tasks(*maps, variables, optimizer, jit)
    return {**tasks, "version": f"TFP {tfp.__version__}"}


# PyTorch.


def torch_tasks(flow, log_prob, sample, inverse, forward):
    """The functions that the worker calls, evaluation without autograd."""
    import torch

    x = torch.from_numpy(data())
    optimizer = torch.optim.Adam(flow.parameters(), LEARNING_RATE, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = -log_prob(x).mean()
        loss.backward()
        optimizer.step()

    def densities():
        jacobian = torch.autograd.functional.jacobian(inverse, x[:1])[0, :, 0]
        return log_prob(x)[0].numpy(), inverse(x)[0].numpy(), jacobian.numpy()

    return {
        "train": step,
        "log_prob": torch.no_grad()(lambda: log_prob(x)),
        "sample": torch.no_grad()(lambda: sample(BATCH)),
        "round_trip": torch.no_grad()(lambda: forward(inverse(x)).numpy()),
        "densities": torch.no_grad()(densities),
        "parameters": sum(p.numel() for p in flow.parameters()),
    }


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
    maps = (lambda x: transform(x)[0]), (lambda z: transform.inverse(z)[0])
    tasks = torch_tasks(flow, flow.log_prob, flow.sample, *maps)
    return {**tasks, "version": f"nflows {version('nflows')}, PyTorch {version('torch')}"}


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
    maps = (lambda x: flow().transform(x)), (lambda z: flow().transform.inv(z))
    tasks = torch_tasks(flow, *density, *maps)
    return {**tasks, "version": f"zuko {version('zuko')}, PyTorch {version('torch')}"}


CONTENDERS = {
    "tfflows, `fit`": lambda: tfflows(fit=True),
    "tfflows": tfflows,
    "tfflows, XLA": lambda: tfflows(jit=True),
    "TFP": tfp,
    "TFP, XLA": lambda: tfp(jit=True),
    "nflows": nflows,
    "zuko": zuko,
}
