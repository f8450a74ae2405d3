"""What RNODE's penalties and flow matching save a continuous flow, at equal likelihood.

    python benchmarks/nfe.py eight_gaussians|digits [--output benchmarks/nfe_DATA.md]

Three trainings of the same FFJORD, each until its validation likelihood reaches a given value; then
the evaluations of f are counted.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import _harness
import keras
import tensorflow as tf

import tfflows
from tfflows import evaluate
from tfflows.layers import Costs, ExactTrace, Pass
from tfflows.model.losses import FlowMatching, NegativeLogLikelihood
from tfflows.ode import DormandPrince
from tfflows.random import stateless_seed

# Of training; the evaluations that are reported are at the flow's default of 1e-5.
TOLERANCE = 1e-3
STEPS, MOST_STEPS, COUNTED = 25, 2000, 1000


@dataclasses.dataclass(frozen=True)
class Task:
    """A data set, the likelihood to be reached and how each method trains."""

    data: str
    hidden: tuple[int, ...]
    target: float  # validation nll in nats
    batch_size: int
    learning_rate: float
    matching_steps: int
    penalty: float


TASKS = {
    "eight_gaussians": Task("eight_gaussians", (64, 64, 64), 2.95, 500, 2e-3, 1500, 0.01),
    "digits": Task("digits", (256, 256), 105.0, 100, 1e-3, 1500, 0.01),
}
METHODS = ("likelihood", "likelihood with RNODE's penalties", "flow matching, then likelihood")

INTRODUCTION = """\
# Evaluations of f at equal likelihood on {data}: plain FFJORD, RNODE, flow matching

Written by `python benchmarks/nfe.py {data}`.

The same FFJORD (one block, silu) is trained by three methods until its nll on the validation
split is at or below a target, looked at after every {steps} steps: by likelihood alone; by
likelihood with RNODE's two penalties; and by flow matching first, then likelihood. All solve with
tolerance {tolerance:g} and the trace "{trace}" in training, by Adam at a constant learning rate;
seed 0, one run each.

"CPU seconds" are those of the process, of one thread, from the first step to the target: training
and validation, without tracing. NFE are those of one solve of the trained flow at tolerance 1e-5,
for up to {counted} test examples at once: sampling / log_prob. The test nll is that of
the whole test split.
"""


class UntilTarget(keras.callbacks.Callback):
    """Stop at the validation nll that is to be reached."""

    def __init__(self, target):
        super().__init__()
        self.target = target
        self.reached = False

    def on_epoch_end(self, epoch, logs=None):
        self.reached = logs["val_nll"] <= self.target
        self.model.stop_training = self.reached


def make_flow(task, data, tolerance):
    """The flow before training, the same for all methods."""
    keras.utils.set_random_seed(0)
    return tfflows.FFJORD(
        data.event_shape,
        hidden=task.hidden,
        activation="silu",
        num_bits=data.num_bits,
        solver=DormandPrince(tolerance, tolerance),
        trace=ExactTrace(),
    )


def fit(flow, task, data, steps, callbacks=()):
    """CPU seconds and steps of a training, whose functions are traced before."""
    batches = tf.data.Dataset.from_tensor_slices(data.train.x).repeat()
    batches = batches.shuffle(10_000, seed=0).batch(task.batch_size)
    settings = {
        "steps_per_epoch": STEPS,
        "validation_data": (data.validation.x[:COUNTED], None),
        "validation_batch_size": COUNTED,
        "verbose": 0,
    }
    weights = flow.get_weights()
    flow.fit(batches, epochs=1, **settings)
    flow.set_weights(weights)
    for variable in flow.optimizer.variables:
        if variable is not flow.optimizer._learning_rate:
            variable.assign(tf.zeros_like(variable))
    start = time.process_time()
    history = flow.fit(batches, epochs=steps // STEPS, callbacks=[*callbacks], **settings)
    return time.process_time() - start, STEPS * len(history.history["loss"])


def train(task, data, method):
    """Steps and CPU seconds until the target, and the flow."""
    penalty = task.penalty if method == METHODS[1] else 0.0
    flow = make_flow(task, data, TOLERANCE)
    flow.adapt(data.train.x[:10_000])
    seconds = matching = 0
    if method == METHODS[2]:
        flow.compile(keras.optimizers.Adam(task.learning_rate), FlowMatching())
        seconds, matching = fit(flow, task, data, task.matching_steps)
    flow.compile(keras.optimizers.Adam(task.learning_rate), NegativeLogLikelihood(penalty, penalty))
    until = UntilTarget(task.target)
    more, steps = fit(flow, task, data, MOST_STEPS, [until])
    return flow, matching, steps, seconds + more, until.reached


def count_evaluations(method, value):
    """Evaluations of f in one pass of a flow."""
    costs = Costs()
    method(value, Pass(seed=0, costs=costs))
    return int(costs.solves[0].num_evaluations)


def row(task, method):
    """A row of the table."""
    data = tfflows.data.load(task.data)
    flow, matching, steps, seconds, reached = train(task, data, method)
    twin = make_flow(task, data, 1e-5)
    twin.set_weights(flow.get_weights())
    nfe = [
        count_evaluations(twin.decode_pass, twin.draw_base(COUNTED, stateless_seed(0))),
        count_evaluations(twin.log_prob_pass, twin.continuous(data.test.x[:COUNTED], seed=0)[0]),
    ]
    found = evaluate.likelihood(twin, data.test.x)
    return [
        method,
        f"{matching} + {steps}" if matching else str(steps),
        f"{seconds:.0f}" if reached else f"not reached in {seconds:.0f}",
        " / ".join(map(str, nfe)),
        f"{found.nll:.3f} ± {found.standard_error:.3f}",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=TASKS)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    output = args.output or Path(__file__).with_name(f"nfe_{args.data}.md")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    task = TASKS[args.data]
    rows = []
    for method in METHODS:
        rows.append(row(task, method))
        print(rows[-1], flush=True)
    output.write_text(report(task, rows))


def report(task, rows):
    """The markdown file."""
    introduction = INTRODUCTION.format(
        data=task.data, trace=task.trace, steps=STEPS, tolerance=TOLERANCE, counted=COUNTED
    )
    hidden = ", ".join(map(str, task.hidden))
    head = f"{task.data}, nll {task.target:g}, hidden {hidden}, batch {task.batch_size}"
    head += f", learning rate {task.learning_rate:g}, penalties {task.penalty:g}"
    table = _harness.table([head, "steps", "CPU seconds", "NFE", "test nll"], rows)
    versions = {"": {"version": f"tfflows {tfflows.__version__}, TensorFlow {tf.__version__}"}}
    return f"{introduction}\n{table}\n\n{_harness.machine(versions, 1)}\n"


if __name__ == "__main__":
    main()
