"""One Glow in each library, behind the functions of `_tasks.py`."""

import math
from functools import partial
from importlib.metadata import version

import numpy as np
from _tasks import layer_weights, random_kernel, tensorflow_tasks, torch_tasks

LEVELS, CHANNELS, BATCH, LEARNING_RATE = 3, 3, 32, 1e-5
SIZE = {"side": 32, "steps": 8, "width": 128}
SMALL = {"side": 8, "steps": 1, "width": 8}  # whose Jacobian does not take long


def data(side):
    """Noise instead of images, the same for everyone."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (BATCH, side, side, CHANNELS))
    return noise.astype("float32")


def start_kernels(variables, width):
    """Convolutions start as PyTorch's do; ours divide the output of the last by sqrt(width).

    `variables` come in pairs, as from `layer_weights`.
    """
    for variable, weight in variables:
        if len(weight.shape) == 4:
            transposed = "transpose" in getattr(weight, "path", "")
            fan_in = math.prod(weight.shape) // weight.shape[2 if transposed else 3]
            factor = width**0.5 if transposed else 1.0
            variable.assign(factor * random_kernel(variable.shape, fan_in))


def tfflows(side, steps, width, bfloat16=False, fit=False):
    """Ours. With `fit`, a training step is what one step of `fit` runs, its metric included."""
    import keras
    import tensorflow as tf

    import tfflows

    keras.config.set_dtype_policy("mixed_bfloat16" if bfloat16 else "float32")
    shape = (side, side, CHANNELS)
    flow = tfflows.Glow(shape, levels=LEVELS, steps=steps, width=width, prior="convolution")
    start_kernels(layer_weights(flow), width)
    flow.adapt(data(side))
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    flow.compile(optimizer, jit_compile=False)
    flow.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(data(side)).repeat())
    tasks = tensorflow_tasks(
        flow.log_prob,
        flow.sample,
        flow.transform.inverse_and_log_det,
        flow.transform.forward_and_log_det,
        flow.trainable_variables,
        optimizer,
        data(side),
        fit=(lambda: flow.train_function(batches)) if fit else None,
    )
    return {**tasks, "version": f"tfflows {tfflows.__version__}, TensorFlow {tf.__version__}"}


def tfp(side, steps, width):
    """`tfb.Glow` with the networks that come with it."""
    import tensorflow_probability as tfp
    import tf_keras

    tfb, tfd = tfp.bijectors, tfp.distributions
    glow = tfb.Glow(
        (side, side, CHANNELS),
        LEVELS,
        steps,
        lambda shape: tfb.GlowDefaultNetwork(shape, num_hidden=width),
        tfb.GlowDefaultExitNetwork,
    )
    start_kernels(zip(glow.trainable_variables, glow.trainable_variables, strict=True), width)
    base = tfd.Sample(tfd.Normal(0.0, 1.0), side * side * CHANNELS)
    flow = tfd.TransformedDistribution(base, glow)
    tasks = tensorflow_tasks(
        flow.log_prob,
        flow.sample,
        lambda x: (glow.inverse(x), glow.inverse_log_det_jacobian(x, 3)),
        lambda z: (glow.forward(z), glow.forward_log_det_jacobian(z, 1)),
        glow.trainable_variables,
        tf_keras.optimizers.legacy.Adam(LEARNING_RATE),
        data(side),
    )
    return {**tasks, "version": f"TFP {tfp.__version__}"}


def normflows(side, steps, width, bfloat16=False, channels_last=False):
    """normflows' multi-scale flow, put together as in its example of Glow.

    `width` may be one for each level, coarsest first.
    """
    import normflows
    import torch

    bases, levels, merges = [], [], []
    widths = [width] * LEVELS if isinstance(width, int) else width
    for i in range(LEVELS):
        channels = CHANNELS * 2 ** (LEVELS + 1 - i)
        blocks = [
            normflows.flows.GlowBlock(channels, widths[i], init_zeros=False) for _ in range(steps)
        ]
        levels.append([*blocks, normflows.flows.Squeeze()])
        if i > 0:
            merges.append(normflows.flows.Merge())
            channels //= 2
        sides = [side // 2 ** (LEVELS - i)] * 2
        bases.append(normflows.distributions.GlowBase((channels, *sides)))
    flow = normflows.MultiscaleFlow(bases, levels, merges, class_cond=False)
    x = torch.from_numpy(data(side).transpose(0, 3, 1, 2).copy())
    if channels_last:
        flow, x = (value.to(memory_format=torch.channels_last) for value in (flow, x))

    def precise(function):
        if not bfloat16:
            return function

        def autocast(*args):
            with torch.autocast("cpu", torch.bfloat16):
                return function(*args)

        return autocast

    def inverse(x):
        z, log_det = flow.inverse_and_log_det(x)
        return torch.cat([part.flatten(1) for part in z], 1).float(), log_det.float()

    def forward(z):
        parts = z.split([math.prod(base.shape) for base in bases], 1)
        parts = [part.unflatten(1, base.shape) for part, base in zip(parts, bases, strict=True)]
        x, log_det = flow.forward_and_log_det(parts)
        return x.float(), log_det.float()

    tasks = torch_tasks(
        flow,
        precise(lambda x: flow.log_prob(x, None).float()),
        precise(lambda n: flow.sample(n)[0]),
        precise(inverse),
        precise(forward),
        torch.optim.Adam(flow.parameters(), LEARNING_RATE, fused=True),
        x,
    )
    return {**tasks, "version": f"normflows {version('normflows')}, PyTorch {version('torch')}"}


def contender(make, **settings):
    """A flow of the benchmark's size, and what says how exact it is."""
    tasks = make(**SIZE, **settings)

    def describe():
        return {**tasks["maps"](), **make(**SMALL, **settings)["density"]()}

    return {**tasks, "describe": describe}


def training_only(steps=SIZE["steps"], fit=False):
    """Ours, of which only the training step is timed."""
    tasks = tfflows(**{**SIZE, "steps": steps}, fit=fit)
    kept = {key: tasks[key] for key in ("train", "parameters", "version")}
    return {**kept, "describe": dict}


FLOAT32 = {
    "tfflows": partial(contender, tfflows),
    "tfflows, `fit`": partial(training_only, fit=True),
    "normflows": partial(contender, normflows),
    "normflows, channels_last": partial(contender, normflows, channels_last=True),
    "TFP": partial(contender, tfp),
}
BFLOAT16 = {
    "tfflows, bfloat16": partial(contender, tfflows, bfloat16=True),
    "normflows, bfloat16": partial(contender, normflows, bfloat16=True),
    "normflows, bfloat16, channels_last": partial(
        contender, normflows, bfloat16=True, channels_last=True
    ),
}
DEPTHS = {f"tfflows, K = {steps}": partial(training_only, steps) for steps in (4, 8, 16, 32)}
CONTENDERS = {**FLOAT32, **BFLOAT16, **DEPTHS}
