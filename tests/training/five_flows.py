"""Flows of five families, and what 20 steps make of them: on one device, replicas or workers.

    python five_flows.py HOST:PORT,HOST:PORT INDEX FILE

is one of two worker processes; the first one writes the weights and losses of all flows.
"""

import sys

import keras
import numpy as np

import tfflows
from tfflows import training
from tfflows.data import Split
from tfflows.training.batches import distributed

STEPS = 20
# Images are dequantised; the traces and log-dets of the last two are estimated.
FLOWS = {
    "nice": lambda: tfflows.NICE((2, 3, 1), num_couplings=2, hidden=(8,), num_bits=4),
    "realnvp": lambda: tfflows.RealNVP((3,), num_couplings=2, hidden=(8,)),
    "glow": lambda: tfflows.Glow(
        (4, 4, 1), levels=1, steps=1, width=4, learned_prior=False, num_bits=4
    ),
    "residual": lambda: tfflows.ResidualFlow((3,), num_blocks=1, hidden=(8,)),
    "ffjord": lambda: tfflows.FFJORD(
        (3,),
        hidden=(4,),
        solver=tfflows.ode.RungeKutta4(steps=2),
        trace=tfflows.layers.Hutchinson(),
    ),
}


def trained(name: str, strategy) -> dict[str, np.ndarray]:
    """Weights and losses after 20 steps of Adam with clipping and an average."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    with strategy.scope():
        flow = FLOWS[name]()
        x = 5 + 3 * rng.normal(size=(60, *flow.event_shape))
        x = np.clip(x, 0, 15).astype("uint8") if flow.num_bits else x.astype("float32")
        flow.adapt(x, seed=0)
        for weight in flow.trainable_weights:
            # The last layers of networks start at zero, and no gradient would reach the others.
            if weight.name in ("kernel", "bias"):
                signs = rng.choice([-1, 1], weight.shape)
                weight.assign(signs * rng.uniform(0.1, 0.4, weight.shape))
        flow.compile(
            training.FusedAdamW(
                training.WarmupHoldDecay(0.01, STEPS, warmup_steps=4),
                weight_decay=0.0,
                global_clipnorm=1.0,
                epsilon=1e-3,
                use_ema=True,
                ema_momentum=0.9,
            )
        )
        batches = training.training_batches(Split(x), batch_size=12)
        history = flow.fit(
            distributed(strategy, batches),
            steps_per_epoch=5,
            epochs=STEPS // 5,
            shuffle=False,
            verbose=0,
        )
    values = {f"{i} {weight.name}": weight.numpy() for i, weight in enumerate(flow.weights)}
    averages = flow.optimizer._model_variables_moving_average
    values |= {f"average {i}": average.numpy() for i, average in enumerate(averages)}
    return {**values, "losses": np.array(history.history["nll"])}


if __name__ == "__main__":
    workers, index, file = sys.argv[1:]
    training.set_workers(workers.split(","), int(index))
    strategy = training.strategy("multi_worker")
    results = {
        f"{name}|{key}": value for name in FLOWS for key, value in trained(name, strategy).items()
    }
    if training.is_chief(strategy):
        np.savez(file, **results)
