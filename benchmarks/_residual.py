"""One residual flow in each library, behind the functions of `_tasks.py`."""

from functools import partial
from importlib.metadata import version

import numpy as np
from _tasks import tensorflow_tasks, torch_tasks

DIM, BLOCKS, HIDDEN, BATCH, LEARNING_RATE = 64, 8, (128, 128), 256, 1e-4
COEFFICIENT, TERMS, EVALUATION_TERMS = 0.97, 2, 20
# What normflows' test of the squared step against 1e-5 amounts to.
LOOSE = 3e-3
# That of tfflows in float64.
FINE = 1e-9
COMPARED, DRAWS = 32, 20


def data():
    """Correlated normal vectors, the same for everyone."""
    rng = np.random.default_rng(0)
    mixing = np.eye(DIM) + 0.1 * rng.normal(size=(DIM, DIM))
    return (rng.normal(size=(BATCH, DIM)) @ mixing).astype("float32")


def kernels():
    """Kernels `[n, m]` of norms far beyond 1, which both libraries scale down, block by block."""
    sizes = [DIM, *HIDDEN, DIM]
    rng = np.random.default_rng(1)
    return [
        [
            (2 * rng.normal(size=size) / np.sqrt(size[0])).astype("float32")
            for size in zip(sizes[:-1], sizes[1:], strict=True)
        ]
        for _ in range(BLOCKS)
    ]


def errors(estimates, exact):
    """How estimates of the log-det, `[draws, n]`, differ from the exact ones."""
    difference = np.asarray(estimates, "float64") - exact
    means = difference.mean(1)
    return {
        "bias": float(means.mean()),
        "bias_error": float(means.std(ddof=1) / np.sqrt(len(means))),
        "stddev": float(np.sqrt(difference.var(0, ddof=1).mean())),
    }


def tfflows(tolerance=None):
    """Ours."""
    import keras
    import tensorflow as tf

    import tfflows

    flow = tfflows.ResidualFlow(
        (DIM,),
        num_blocks=BLOCKS,
        hidden=HIDDEN,
        activation="lipswish",
        coefficient=COEFFICIENT,
        estimator=tfflows.layers.Roulette(TERMS),
        evaluation=tfflows.layers.Roulette(EVALUATION_TERMS),
    )
    stack = flow.transform.layers[0]
    every_block = stack.template().layers[0]
    every_block.tolerance = tolerance
    for block, values in zip(flow.blocks, kernels(), strict=True):
        for layer, kernel in zip(block.network.layers, values, strict=True):
            layer.kernel.assign(kernel)
        block.network.parameters(training=True)  # moves the singular vectors on
    flow.adapt(data())
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    tasks = [
        tensorflow_tasks(
            log_prob,
            flow.sample,
            flow.transform.inverse_and_log_det,
            flow.transform.forward_and_log_det,
            flow.trainable_variables,
            optimizer,
            data(),
        )
        for log_prob in (partial(flow.log_prob, training=True), flow.log_prob)
    ]

    def describe():
        x = tf.constant(data())
        z = flow.encode(x)
        counts = []
        function = every_block.network.function

        def counted(parameters):
            g = function(parameters)
            return lambda *args: counts.append(1) or g(*args)

        # In eager mode each evaluation is a call.
        flow.run_eagerly = True
        every_block.network.function = counted
        error = float(tf.reduce_max(tf.abs(flow.decode(z) - x)))
        num_evaluations = len(counts) / BLOCKS
        flow.run_eagerly = False
        few = x[:COMPARED]
        estimates = [flow.log_prob(few, seed=i) for i in range(DRAWS)]
        every_block.evaluation = tfflows.layers.Exact()
        flow.run_eagerly = True  # What was traced has the other estimator.
        return {
            "error": error,
            "evaluations": num_evaluations,
            **errors(estimates, flow.log_prob(few).numpy()),
        }

    return {
        **tasks[1],
        "train": tasks[0]["train"],
        "describe": describe,
        "version": f"tfflows {tfflows.__version__}, TensorFlow {tf.__version__}",
    }


def normflows(saves_memory=True, tolerance=None):
    """normflows' residual blocks and actnorms; power iterations of 5 steps follow each update.

    With a tolerance the flow is in float64 and each of its inverses ends at a step of that size.
    """
    import normflows
    import torch

    flows = []
    for values in kernels():
        network = normflows.nets.LipschitzMLP(
            [DIM, *HIDDEN, DIM], COEFFICIENT ** (1 / 3), max_lipschitz_iter=5, init_zeros=False
        )
        layers = [layer for layer in network.net if hasattr(layer, "compute_weight")]
        for layer, kernel in zip(layers, values, strict=True):
            layer.weight.data = torch.from_numpy(kernel.T.copy())
            layer.compute_weight(True, n_iterations=200)
        block = normflows.flows.Residual(
            network, reduce_memory=saves_memory, n_exact_terms=TERMS, geom_p=0.5
        )
        flows += [block, normflows.flows.ActNorm((DIM,))]
    flow = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(DIM, False), flows)
    x = torch.from_numpy(data())
    if tolerance is not None:
        flow, x = flow.double(), x.double()
    flow.log_prob(x)  # starts the actnorms
    settings = () if tolerance is None else (tolerance**2, tolerance**2)

    def inverse(x):
        total = 0.0
        for layer in reversed(flow.flows):
            x, log_det = layer.inverse(x)
            total = total + log_det
        return x, total

    def forward(z):
        """Without log-dets, which `normflows` would compute too."""
        for layer in flow.flows:
            if hasattr(layer, "iresblock"):
                z = layer.iresblock._inverse_fixed_point(z, *settings)
            else:
                z = layer(z)[0]
        return z

    optimizer = torch.optim.Adam(flow.parameters(), LEARNING_RATE, fused=True)

    def sample(n):
        return forward(torch.randn(n, DIM, dtype=x.dtype))

    tasks = torch_tasks(flow, flow.log_prob, sample, inverse, forward, optimizer, x)
    step, log_prob, samples = (tasks[name] for name in ("train", "log_prob", "sample"))

    def train():
        flow.train()
        step()
        normflows.utils.update_lipschitz(flow, 5)

    def evaluated(task):
        flow.eval()
        return task()

    @torch.no_grad()
    def describe():
        flow.eval()
        counts = []
        for layer in flow.flows:
            if hasattr(layer, "iresblock"):
                layer.iresblock.nnet.register_forward_hook(lambda *_: counts.append(1))
        z = inverse(x)[0]
        counts.clear()
        error = float((forward(z) - x).abs().max())
        num_evaluations = len(counts) / BLOCKS
        few = x[:COMPARED]
        estimates = np.stack([flow.log_prob(few).numpy() for _ in range(DRAWS)])
        jacobian = [
            torch.autograd.functional.jacobian(lambda row: inverse_map(row[None])[0], row)
            for row in few
        ]
        base = flow.q0.log_prob(inverse_map(few))
        exact = (base + torch.linalg.slogdet(torch.stack(jacobian))[1]).numpy()
        return {
            "error": error,
            "evaluations": num_evaluations,
            **errors(estimates, exact),
        }

    def inverse_map(x):
        for layer in reversed(flow.flows):
            x = layer.inverse(x)[0] if not hasattr(layer, "iresblock") else layer.iresblock(x)
        return x

    return {
        **tasks,
        "train": train,
        "log_prob": partial(evaluated, log_prob),
        "sample": partial(evaluated, samples),
        "describe": describe,
        "version": f"normflows {version('normflows')}, PyTorch {version('torch')}",
    }


CONTENDERS = {
    "tfflows": tfflows,
    f"tfflows, tolerance {LOOSE:g}": partial(tfflows, LOOSE),
    "normflows": normflows,
    f"normflows, float64, tolerance {FINE:g}": partial(normflows, tolerance=FINE),
    "normflows, no Neumann gradient": partial(normflows, False),
}
