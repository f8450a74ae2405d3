"""One measurement of `scale.py`, in a process of its own: `python _scale.py KIND JSON`.

The last line of stdout is its result, as JSON.
"""

import ctypes
import functools
import gc
import json
import sys
import time
from pathlib import Path

import _worker
import numpy as np

SIDE, CHANNELS, WIDTH = 32, 3, 64


def glow(tfflows, steps, memory="store"):
    """One level of K steps, whose kernels are away from zero, and started actnorms."""
    import keras

    keras.utils.set_random_seed(0)
    flow = tfflows.Glow(
        (SIDE, SIDE, CHANNELS), levels=1, steps=steps, width=WIDTH, num_bits=8, memory=memory
    )
    rng = np.random.default_rng(0)
    for weight in flow.trainable_weights:
        if weight.name == "kernel" and not np.any(weight.numpy()):
            weight.assign(rng.normal(0, 0.02, weight.shape))
    flow.adapt(images(8), seed=0)
    return flow


def images(n):
    """Smooth 8-bit images: sums of a few waves."""
    rng = np.random.default_rng(1)
    grid = np.arange(SIDE) / SIDE
    waves = rng.uniform(-3, 3, (n, 4, 2, CHANNELS))
    phase = (
        waves[:, :, 0, None, None] * grid[:, None, None]
        + waves[:, :, 1, None, None] * (grid[:, None])
    )
    x = np.sum(np.sin(2 * np.pi * phase), axis=1) / 8 + rng.normal(0, 0.02, phase[:, 0].shape)
    return np.clip(128 + 127 * x, 0, 255).astype("uint8")


def taking_turns(functions, count):
    """By name: lower quartile of the seconds of a call, after a first one that does not count."""
    times = {name: [] for name in functions}
    for _ in range(1 + count):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: float(np.percentile(found[1:], 25)) for name, found in times.items()}


def memory(tf, tfflows, steps, batch, mode):
    """Peak of MB in training steps, what tracing took and gave back left out."""
    flow = glow(tfflows, steps, mode)
    flow.compile(tfflows.training.FusedAdamW(1e-5))
    x = images(batch)
    flow.train_on_batch(x)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    for _ in range(3):
        flow.train_on_batch(x)
    return {"peak": _worker.resident("VmHWM")}


def step(tf, tfflows, steps, batch, modes):
    """By mode: seconds of a training step, and of the first one, which is traced."""
    x, first, functions = images(batch), {}, {}
    for mode in modes:
        flow = glow(tfflows, steps, mode)
        flow.compile(tfflows.training.FusedAdamW(1e-5))
        functions[mode] = functools.partial(flow.train_on_batch, x)
        start = time.perf_counter()
        functions[mode]()
        first[mode] = time.perf_counter() - start
    return {"first": first, "wall": taking_turns(functions, 6)}


def gradients(tf, tfflows, steps, batch):
    """Largest distance of a weight's gradient from that of stored activations, relative."""
    flow = glow(tfflows, steps)
    x = tf.constant(images(batch))
    weights = [weight.value for weight in flow.trainable_weights]
    found = {}
    for mode in ("store", "checkpoint", "invert"):
        flow.memory = mode

        @tf.function
        def gradient():
            with tf.GradientTape() as tape:
                loss = -tf.reduce_mean(flow.log_prob(x, seed=0, training=True))
            return tape.gradient(loss, weights)

        found[mode] = [value.numpy() for value in gradient()]
    return {
        mode: max(
            float(np.linalg.norm(a - b) / np.linalg.norm(b))
            for a, b in zip(found[mode], found["store"], strict=True)
        )
        for mode in ("checkpoint", "invert")
    }


def scaling(tf, tfflows, strategy, batch, steps, workers=(), index=0):
    """Seconds of a training step of a global batch under a strategy."""
    from tfflows import training
    from tfflows.data import Split
    from tfflows.training.batches import distributed

    if workers:
        training.set_workers(workers, index)
        strategy = training.strategy("multi_worker")
    elif strategy == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        strategy = training.strategy(strategy)
    import keras

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            times.append(time.perf_counter())

    times = []
    with strategy.scope():
        flow = glow(tfflows, steps)
        flow.compile(training.FusedAdamW(1e-5))
        batches = distributed(strategy, training.training_batches(Split(images(256)), batch))
        flow.fit(batches, steps_per_epoch=12, verbose=0, shuffle=False, callbacks=[Clock()])
    return {"wall": float(np.percentile(np.diff(times[2:]), 25))}


def precision(tf, tfflows, policies, batch, steps):
    """By policy: seconds of a training step, and what it does to bits per dimension."""
    import keras

    x, log_probs, functions = images(64), {}, {}
    for policy in policies:
        keras.config.set_dtype_policy(policy)
        flow = glow(tfflows, steps)
        if not functions:
            weights = flow.get_weights()
        flow.set_weights(weights)
        log_probs[policy] = tf.function(flow.log_prob)(tf.constant(x), seed=0).numpy()
        optimizer = tfflows.training.FusedAdamW(1e-5)
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        flow.compile(optimizer)
        functions[policy] = functools.partial(flow.train_on_batch, x[:batch])
        functions[policy]()
    bits = SIDE * SIDE * CHANNELS * np.log(2)
    differences = [(found - log_probs[policies[0]]) / bits for found in log_probs.values()]
    return {
        "wall": taking_turns(functions, 8),
        "mean": {p: float(np.mean(d)) for p, d in zip(policies, differences, strict=True)},
        "largest": {
            p: float(np.max(np.abs(d))) for p, d in zip(policies, differences, strict=True)
        },
    }


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr
    settings = json.loads(sys.argv[2])
    _worker.load("tfflows", settings.pop("threads"))
    import tensorflow as tf

    import tfflows

    result = globals()[sys.argv[1]](tf, tfflows, **settings)
    print(json.dumps(result), file=answers)
