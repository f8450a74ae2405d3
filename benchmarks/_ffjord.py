"""One continuous flow in each library, of the same network, behind the functions of `_tasks.py`."""

import math
from functools import partial
from importlib.metadata import version

import numpy as np
from _tasks import tensorflow_tasks, torch_tasks

HIDDEN, BATCH, TOLERANCE = (64, 64, 64), 512, 1e-5
# So that all have the same weights to the end.
LEARNING_RATE = 1e-9
COMPARED = 64  # examples whose errors are measured


def data(dim):
    """Normal vectors, the same for everyone."""
    return np.random.default_rng(0).normal(size=(BATCH, dim)).astype("float32")


def weights(dim):
    """For each layer W, b, U, G, g of h -> (W h + b) sigmoid(G t + g) + U t, tanh in between."""
    rng = np.random.default_rng(1)
    sizes = [dim, *HIDDEN, dim]
    return [
        [
            1.5 * rng.normal(size=(n, m)) / math.sqrt(n),
            *(0.5 * rng.normal(size=(4, m))),
        ]
        for n, m in zip(sizes[:-1], sizes[1:], strict=True)
    ]


def reference(dim):
    """z and log|det dz/dx| of the first examples in float64, by an independent solver at 1e-9."""
    from scipy.integrate import solve_ivp

    layers = weights(dim)

    def rates(t, state):
        z = state.reshape(COMPARED, dim + 1)[:, :dim]
        h, jacobian = z, np.broadcast_to(np.eye(dim), (COMPARED, dim, dim))
        for i, (w, b, u, g_slope, g) in enumerate(layers):
            if i:
                h = np.tanh(h)
                jacobian = jacobian * (1 - h**2)[:, None]
            gate = 1 / (1 + np.exp(-g_slope * t - g))
            h = (h @ w + b) * gate + u * t
            jacobian = jacobian @ (w * gate)
        return np.concatenate([h, np.trace(jacobian, axis1=1, axis2=2)[:, None]], 1).ravel()

    start = np.concatenate([data(dim)[:COMPARED], np.zeros([COMPARED, 1])], 1, dtype="float64")
    solution = solve_ivp(rates, (1.0, 0.0), start.ravel(), "DOP853", [0.0], rtol=1e-9, atol=1e-9)
    end = solution.y[:, -1].reshape(COMPARED, dim + 1)
    return end[:, :dim], end[:, dim]


def errors(dim, z, log_det):
    """Largest errors of what a library found for the first examples."""
    exact_z, exact_log_det = reference(dim)
    return {
        "z_error": float(np.max(np.abs(np.asarray(z, "float64") - exact_z))),
        "log_det_error": float(np.max(np.abs(np.asarray(log_det, "float64") - exact_log_det))),
    }


def relative(gradient, exact):
    """Relative error of a gradient, all weights together."""
    flat = [np.concatenate([np.ravel(part) for part in parts]) for parts in (gradient, exact)]
    return float(np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[1]))


# TensorFlow.


def keras_network(dim, counts, dtype="float32"):
    """The network, which counts its evaluations."""
    import tfflows

    class Counting(tfflows.networks.TimeDependentMLP):
        def call(self, z, t, context=None):
            counts.append(1)
            return super().call(z, t, context)

    network = Counting(dim, HIDDEN, dtype=dtype)
    network.build((None, dim))
    layers = weights(dim)
    for linear, (w, b, *_) in zip(network._maps, layers, strict=True):
        linear.kernel.assign(w)
        linear.bias.assign(b)
    u, slopes, gates = (np.concatenate([layer[i] for layer in layers]) for i in (2, 3, 4))
    network._shift.kernel.assign(u[None])
    network._gate.kernel.assign(slopes[None])
    network._gate.bias.assign(gates)
    return network


def our_solver(name):
    """One of ours."""
    from tfflows.ode import DormandPrince, RungeKutta4

    same = DormandPrince(TOLERANCE, TOLERANCE)
    return {
        "adaptive": same,
        "adjoint as tight": DormandPrince(TOLERANCE, TOLERANCE, adjoint=same),
        "rk4": RungeKutta4(steps=8),
        "precise": DormandPrince(1e-9, 1e-9, adjoint=DormandPrince(1e-9, 1e-9)),
    }[name]


def our_layer(dim, counts, solver="adaptive", dtype="float32", is_exact=True):
    import tfflows

    layer = tfflows.layers.ContinuousLayer(
        keras_network(dim, counts, dtype),
        solver=our_solver(solver),
        trace=tfflows.layers.ExactTrace() if is_exact else tfflows.layers.Hutchinson(),
        dtype=dtype,
    )
    layer.build((None, dim))
    return layer


def tensorflow_contender(dim, counts, log_prob, sample, inverse, exact_inverse, forward, network):
    """`exact_inverse` has the exact trace, whatever dim is."""
    import keras
    import tensorflow as tf

    import tfflows

    variables = network.trainable_variables
    tasks = tensorflow_tasks(
        log_prob,
        sample,
        inverse,
        forward,
        variables,
        keras.optimizers.Adam(LEARNING_RATE),
        data(dim),
    )

    def gradient(log_prob, network):
        few = tf.constant(data(dim)[:COMPARED], network.compute_dtype)
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(log_prob(few))
        return tape.gradient(loss, network.trainable_variables)

    def describe():
        x = tf.constant(data(dim))
        found = {}
        for name, call in {
            "log_prob": lambda: log_prob(x),
            "sample": lambda: sample(BATCH),
        }.items():
            counts.clear()
            call()
            found[f"nfe_{name}"] = len(counts)
        counts.clear()
        start = gradient(log_prob, network)
        found["nfe_train"] = len(counts)
        if dim == 2:
            precise = our_layer(dim, [], "precise", "float64")
            flow = tfflows.Flow(precise, (dim,), dtype="float64")
            found["gradient_error"] = relative(start, gradient(flow.log_prob, precise.network))
        return {**found, **errors(dim, *exact_inverse(x[:COMPARED]))}

    return {**tasks, "describe": describe}


def tfflows(dim, solver="adaptive"):
    """Ours."""
    import tensorflow as tf

    import tfflows

    counts = []
    layer = our_layer(dim, counts, solver, is_exact=dim == 2)
    exact = our_layer(dim, [], solver)
    flow = tfflows.Flow(layer, (dim,))
    contender = tensorflow_contender(
        dim,
        counts,
        flow.log_prob,
        flow.sample,
        layer.inverse_and_log_det,
        exact.inverse_and_log_det,
        layer.forward_and_log_det,
        layer.network,
    )
    return {**contender, "version": f"tfflows {tfflows.__version__}, TensorFlow {tf.__version__}"}


def tfp(dim):
    """`tfb.FFJORD`, with our network and the solver as it comes."""
    import tensorflow as tf
    import tensorflow_probability as tfp
    from tensorflow_probability.python.bijectors import ffjord

    counts = []
    network = keras_network(dim, counts)
    solver = tfp.math.ode.DormandPrince(rtol=TOLERANCE, atol=TOLERANCE)

    def bijector(trace):
        return tfp.bijectors.FFJORD(
            lambda t, z: network(z, t), ode_solve_fn=solver.solve, trace_augmentation_fn=trace
        )

    exact = bijector(ffjord.trace_jacobian_exact)
    used = exact if dim == 2 else bijector(ffjord.trace_jacobian_hutchinson)
    base = tfp.distributions.Independent(tfp.distributions.Normal(tf.zeros(dim), 1.0), 1)

    def inverse(x, bijector=used):
        # One solve gives both; TFP's cache hands the second on.
        return bijector.inverse(x), bijector.inverse_log_det_jacobian(x, 1)

    def log_prob(x):
        z, log_det = inverse(x)
        return base.log_prob(z) + log_det

    contender = tensorflow_contender(
        dim,
        counts,
        log_prob,
        lambda n: used.forward(base.sample(n)),
        inverse,
        partial(inverse, bijector=exact),
        lambda z: (used.forward(z), used.forward_log_det_jacobian(z, 1)),
        network,
    )
    return {**contender, "version": f"TFP {tfp.__version__}"}


# PyTorch.


def torch_network(dim):
    """The network f(t, z), which counts its evaluations in `counts`."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            layers = weights(dim)
            values = [
                [torch.tensor(value, dtype=torch.float32) for value in layer] for layer in layers
            ]
            self.kernels, self.biases = (
                nn.ParameterList([layer[i] for layer in values]) for i in (0, 1)
            )
            self.shift, self.slope, self.gate = (
                nn.Parameter(torch.cat([layer[i] for layer in values])) for i in (2, 3, 4)
            )
            self.sizes = [len(layer[1]) for layer in layers]
            self.counts = []

        def forward(self, t, z):
            self.counts.append(1)
            shifts = (self.shift * t).split(self.sizes)
            gates = torch.sigmoid(self.slope * t + self.gate).split(self.sizes)
            for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
                z = torch.addmm(bias, torch.tanh(z) if i else z, kernel) * gates[i] + shifts[i]
            return z

    return Network()


def torch_contender(dim, network, solve, name):
    """`solve(network, x, start, end, trace, tolerance)` returns the end and the integral."""
    import torch

    trace = "exact" if dim == 2 else "hutchinson"

    def log_prob(x, network=network, tolerance=TOLERANCE):
        z, log_det = solve(network, x, 1.0, 0.0, trace, tolerance)
        return log_det - 0.5 * (z**2).sum(1) - 0.5 * dim * math.log(2 * math.pi)

    def sample(n):
        return solve(network, torch.randn(n, dim), 0.0, 1.0, None, TOLERANCE)[0]

    x = torch.from_numpy(data(dim))
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)
    tasks = torch_tasks(network, log_prob, sample, None, None, optimizer, x)

    def gradient(network, few, tolerance):
        loss = -log_prob(few, network, tolerance).mean()
        return [part.numpy() for part in torch.autograd.grad(loss, list(network.parameters()))]

    def describe():
        found = {}
        for task in ("log_prob", "sample"):
            network.counts.clear()
            tasks[task]()
            found[f"nfe_{task}"] = len(network.counts)
        network.counts.clear()
        start = gradient(network, x[:COMPARED], TOLERANCE)
        found["nfe_train"] = len(network.counts)
        if dim == 2:
            precise = torch_network(dim).double()
            precise.load_state_dict(network.state_dict())
            found["gradient_error"] = relative(
                start, gradient(precise, x[:COMPARED].double(), 1e-9)
            )
        with torch.no_grad():
            values = solve(network, x[:COMPARED], 1.0, 0.0, "exact", TOLERANCE)
        return {**found, **errors(dim, *(value.numpy() for value in values))}

    return {
        **tasks,
        "describe": describe,
        "version": f"{name} {version(name)}, PyTorch {version('torch')}",
    }


def zuko(dim):
    """zuko's `FreeFormJacobianTransform`, of which its CNF is made, with our network."""
    import torch
    from zuko.transforms import FreeFormJacobianTransform

    def solve(network, x, start, end, trace, tolerance):
        transform = FreeFormJacobianTransform(
            network,
            torch.tensor(start, dtype=x.dtype),
            torch.tensor(end, dtype=x.dtype),
            network.parameters(),
            tolerance,
            tolerance,
            trace == "exact",
        )
        return (transform(x), None) if trace is None else transform.call_and_ladj(x)

    return torch_contender(dim, torch_network(dim), solve, "zuko")


def torchdiffeq(dim, adjoint=True):
    """torchdiffeq's dopri5 with the adjoint equation, or with autograd through its steps."""
    import torch
    import torchdiffeq

    class Augmented(torch.nn.Module):
        def __init__(self, network, noise):
            super().__init__()
            self.network, self.noise = network, noise

        def forward(self, t, state):
            z = state[0]
            with torch.enable_grad():
                z = z.detach().requires_grad_() if not z.requires_grad else z
                f = self.network(t, z)
                divergence = sum(
                    (torch.autograd.grad(f, z, v, create_graph=True)[0] * v).sum(1)
                    for v in self.noise
                )
            return f, divergence

    def solve(network, x, start, end, trace, tolerance):
        odeint = torchdiffeq.odeint_adjoint if adjoint else torchdiffeq.odeint
        times = torch.tensor([start, end], dtype=x.dtype)
        settings = {"rtol": tolerance, "atol": tolerance, "method": "dopri5"}
        if trace is None:
            return odeint(network, x, times, **settings)[-1], None
        if trace == "exact":
            noise = [row.expand_as(x) for row in torch.eye(x.shape[1], dtype=x.dtype)]
        else:
            noise = [2 * torch.randint_like(x, 2) - 1]
        z, log_det = odeint(Augmented(network, noise), (x, x.new_zeros(len(x))), times, **settings)
        return z[-1], log_det[-1]

    return torch_contender(dim, torch_network(dim), solve, "torchdiffeq")


LIBRARIES = {
    "tfflows": tfflows,
    "tfflows, adjoint as tight": partial(tfflows, solver="adjoint as tight"),
    "tfflows, rk4": partial(tfflows, solver="rk4"),
    "TFP": tfp,
    "zuko": zuko,
    "torchdiffeq": torchdiffeq,
    "torchdiffeq, no adjoint": partial(torchdiffeq, adjoint=False),
}
DIMS = (2, 64)
CONTENDERS = {
    f"{name}, D = {dim}": partial(make, dim) for dim in DIMS for name, make in LIBRARIES.items()
}
