"""Where a flow is trained: one device, all GPUs of a machine, or several machines."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence

import tensorflow as tf

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")


def strategy(name: str = "auto") -> tf.distribute.Strategy:
    """The `tf.distribute.Strategy` of a name.

    | name             | what it is                                                               |
    |------------------|--------------------------------------------------------------------------|
    | `"one_device"`   | the first GPU, or the CPU                                                |
    | `"mirrored"`     | all GPUs of this machine, a replica of the weights on each               |
    | `"multi_worker"` | the machines that the environment variable `TF_CONFIG` names             |
    | `"auto"`         | the last one if `TF_CONFIG` names several workers, else `"mirrored"` if  |
    |                  | there are several GPUs, else `"one_device"`                              |

    The batch size of a recipe is that of all replicas together, and its learning rate is taken as
    it is: with the same global batch a run does the same on one device and on many. Keras 3's
    `fit` does not work with `ParameterServerStrategy`; TPUs have not been tried.

    Raises:
        ValueError: for another name, or `"multi_worker"` without `TF_CONFIG`.

    Example:
        >>> tfflows.training.strategy("one_device").num_replicas_in_sync
        1
    """
    if name not in STRATEGIES:
        raise ValueError(f"strategy must be one of {STRATEGIES}, but found {name!r}.")
    cluster = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
    workers = cluster.get("chief", []) + cluster.get("worker", [])
    if name == "multi_worker" and not workers:
        raise ValueError(
            "The strategy 'multi_worker' needs the environment variable TF_CONFIG, which names the "
            "workers and this one's index; see tfflows.training.set_workers."
        )
    if name == "auto" and len(workers) > 1:
        name = "multi_worker"
    elif name == "auto" and len(tf.config.list_logical_devices("GPU")) > 1:
        name = "mirrored"
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "mirrored":
        return _mirrored()
    return tf.distribute.get_strategy()


@functools.cache
def _mirrored():
    """One for a process: a second one would take the numbers of the first one's collectives."""
    return tf.distribute.MirroredStrategy()


def set_workers(workers: Sequence[str], index: int) -> None:
    """Write `TF_CONFIG`, from which `strategy("multi_worker")` knows the cluster.

    Every machine calls it with the same list and its own index, before anything else of
    TensorFlow runs. The worker 0 is the chief, which writes the files.

    Args:
        workers: one `HOST:PORT` a worker.
        index: of this one, from 0.

    Raises:
        ValueError: for addresses that are not `HOST:PORT` or occur twice, or an index out of range.

    Example:
        >>> import json, os
        >>> tfflows.training.set_workers(["10.0.0.1:2222", "10.0.0.2:2222"], index=1)
        >>> json.loads(os.environ.pop("TF_CONFIG"))["task"]
        {'type': 'worker', 'index': 1}
    """
    workers = list(workers)
    for worker in workers:
        host, _, port = worker.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 2**16:
            raise ValueError(f"A worker is given as HOST:PORT, but found {worker!r}.")
    if len(set(workers)) < len(workers):
        raise ValueError(f"Each worker has an address of its own, but found {workers}.")
    if index not in range(len(workers)):
        raise ValueError(
            f"The index of this worker must be from 0 to {len(workers) - 1}, but found {index}."
        )
    task = {"type": "worker", "index": index}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": task})


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files: the chief, without one worker 0, or the only one."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec():
        return True
    has_chief = "chief" in resolver.cluster_spec().jobs
    return resolver.task_type == ("chief" if has_chief else "worker") and resolver.task_id == 0


def wait_for_workers(strategy: tf.distribute.Strategy) -> None:
    """Return once all workers have called it: what the chief has written by then, all can read."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return

    @tf.function
    def meet():
        return strategy.run(
            lambda: tf.distribute.get_replica_context().all_reduce("SUM", tf.ones([]))
        )

    meet()
