"""What is timed, in TensorFlow, in PyTorch and in JAX, and how exactness is measured.

A contender is a dictionary: the functions `train`, `log_prob` and `sample` of no arguments, which
are timed; `describe`, of no arguments, which tells how exact it is; the number of `parameters` and
the `version`. Modules of contenders make theirs with the two functions `..._tasks` here, from

    log_prob(x)    the log-densities of a batch
    sample(n)      samples
    inverse(x)     z, flat, and log|det dz/dx|
    forward(z)     x and log|det dx/dz|

and build `describe` from the two checks that these return: `maps`, of the batch x that is given,
and `density`, at its first example.
"""

import math

import numpy as np


def compare(log_prob, z, jacobian):
    """log_prob of one example against a standard normal z and the autodiff Jacobian dz/dx."""
    log_prob, z, jacobian = (np.asarray(value, "float64") for value in (log_prob, z, jacobian))
    log_det = np.linalg.slogdet(jacobian)[1]
    expected = log_det - 0.5 * np.sum(z**2) - 0.5 * z.size * math.log(2 * math.pi)
    return {"log_det": float(log_det), "density": float(abs(log_prob - expected))}


def differences(x, log_det, again, forward_log_det):
    """What is left of x and its log-det after inverse and forward."""
    return {
        "round_trip": float(np.max(np.abs(again - x))),
        "log_det_sum": float(np.max(np.abs(log_det + forward_log_det))),
    }


def random_kernel(shape, fan_in):
    """Weights as PyTorch's start: those of TensorFlow's flows would start as the identity."""
    import tensorflow as tf

    limit = 1 / math.sqrt(fan_in)
    return tf.random.uniform(shape, -limit, limit)


def layer_weights(flow):
    """Pairs of a trainable variable of ours and the weight of one layer that it has, or stacks."""
    from tfflows.layers import Stack
    from tfflows.layers.parts import layers_of_kind

    stacked = {
        id(variable): weight
        for stack in layers_of_kind(flow.transform, Stack)
        for variable, weight in zip(stack.stacked, stack.variables_of_layer, strict=True)
    }
    return [(v, stacked.get(id(v), v)) for v in flow.trainable_variables]


def tensorflow_tasks(
    log_prob, sample, inverse, forward, variables, optimizer, batch, jit=False, fit=None
):
    """Each task a `tf.function`. `fit`, if given, is what one training step calls instead."""
    import tensorflow as tf

    x = tf.constant(batch)
    function = tf.function(jit_compile=jit, autograph=False)

    @function
    def step(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(log_prob(x))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    @tf.function(autograph=False)
    def jacobian(x):
        """Examples do not mix: entry i of the i-th copy of x gives row i."""
        x = tf.repeat(x, tf.size(x), axis=0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            diagonal = tf.linalg.trace(inverse(x)[0])
        return tf.reshape(tape.gradient(diagonal, x), [x.shape[0], -1])

    log_prob_of, samples = function(log_prob), function(lambda: sample(len(batch)))
    inverse_of, forward_of = function(inverse), function(forward)

    def maps():
        z, log_det = inverse_of(x)
        # A new tensor: TFP remembers which x its z came from.
        again, forward_log_det = forward_of(tf.constant(z.numpy()))
        return differences(batch, log_det.numpy(), again.numpy(), forward_log_det.numpy())

    def density():
        return compare(log_prob_of(x)[0], inverse_of(x)[0][0], jacobian(x[:1]))

    tasks = {
        "train": fit or (lambda: step(x)),
        "log_prob": lambda: log_prob_of(x),
        "sample": samples,
        "maps": maps,
        "density": density,
        "parameters": sum(math.prod(variable.shape) for variable in variables),
    }
    if fit:
        del tasks["log_prob"], tasks["sample"]  # no others than without `fit`
    return tasks


def torch_tasks(flow, log_prob, sample, inverse, forward, optimizer, batch):
    """Evaluation without autograd; `batch` is a tensor."""
    import torch

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = -log_prob(batch).mean()
        loss.backward()
        optimizer.step()

    def maps():
        z, log_det = inverse(batch)
        again, forward_log_det = forward(z)
        return differences(batch.numpy(), log_det.numpy(), again.numpy(), forward_log_det.numpy())

    def jacobian(x):
        """As in `tensorflow_tasks`."""
        x = x.repeat(x.numel(), *[1] * (x.dim() - 1)).requires_grad_()
        with torch.enable_grad():
            diagonal = torch.trace(inverse(x)[0])
        return torch.autograd.grad(diagonal, x)[0].flatten(1)

    def density():
        return compare(log_prob(batch)[0], inverse(batch)[0][0], jacobian(batch[:1]))

    return {
        "train": step,
        "log_prob": torch.no_grad()(lambda: log_prob(batch)),
        "sample": torch.no_grad()(lambda: sample(len(batch))),
        "maps": torch.no_grad()(maps),
        "density": torch.no_grad()(density),
        "parameters": sum(p.numel() for p in flow.parameters()),
    }


def jax_tasks(flow, learning_rate, batch):
    """A flowjax distribution, compiled: Adam of optax, and a new key for each batch of samples."""
    import equinox
    import jax
    import numpy
    import optax
    import paramax

    trained, fixed = equinox.partition(
        flow, equinox.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
    )
    optimizer = optax.adam(learning_rate)
    state = [trained, optimizer.init(trained), jax.random.key(0)]
    x = jax.numpy.asarray(batch)

    def whole(trained):
        return paramax.unwrap(equinox.combine(trained, fixed))

    @jax.jit
    def step(trained, moments):
        loss = lambda trained: -whole(trained).log_prob(x).mean()  # noqa: E731
        value, gradient = jax.value_and_grad(loss)(trained)
        updates, moments = optimizer.update(gradient, moments, trained)
        return value, equinox.apply_updates(trained, updates), moments

    def train():
        value, *state[:2] = step(*state[:2])
        value.block_until_ready()

    log_prob = jax.jit(lambda trained: whole(trained).log_prob(x))
    draw = jax.jit(lambda trained, key: whole(trained).sample(key, (len(batch),)))
    inverse = jax.jit(jax.vmap(lambda x: whole(state[0]).bijection.inverse_and_log_det(x)))
    forward = jax.jit(jax.vmap(lambda z: whole(state[0]).bijection.transform_and_log_det(z)))

    def sample():
        state[2], key = jax.random.split(state[2])
        draw(state[0], key).block_until_ready()

    def maps():
        z, log_det = inverse(x)
        again, forward_log_det = forward(z)
        arrays = (log_det, again, forward_log_det)
        return differences(batch, *(numpy.asarray(array) for array in arrays))

    def density():
        jacobian = jax.jacobian(lambda x: inverse(x[numpy.newaxis])[0][0])(x[0])
        return compare(log_prob(state[0])[0], inverse(x[:1])[0][0], jacobian)

    return {
        "train": train,
        "log_prob": lambda: log_prob(state[0]).block_until_ready(),
        "sample": sample,
        "maps": maps,
        "density": density,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(trained)),
    }
