"""A contender in a process of its own: `python _worker.py NAME THREADS`.

The worker reads lines `task count` from stdin and answers each with one line of JSON: the seconds
of `count` calls of `task` (none, if it has no such task), or, for `describe`, what was built and
how exact it is.
"""

import json
import math
import sys
import time

import _contenders
import numpy as np


def describe(tasks):
    """Size and exactness after a few steps, log_prob against the autodiff Jacobian included."""
    log_prob, z, jacobian = (np.asarray(value, "float64") for value in tasks["densities"]())
    log_det = np.linalg.slogdet(jacobian)[1]
    expected = log_det - 0.5 * np.sum(z**2) - 0.5 * _contenders.DIM * math.log(2 * math.pi)
    return {
        "version": tasks["version"],
        "parameters": tasks["parameters"],
        "log_det": float(log_det),
        "round_trip": float(np.max(np.abs(tasks["round_trip"]() - _contenders.data()))),
        "density": float(abs(log_prob - expected)),
    }


def serve(name, threads):
    """Answer the lines of stdin until it ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    if name.startswith(("tfflows", "TFP")):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        tf.random.set_seed(0)
    else:
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(0)
    tasks = _contenders.CONTENDERS[name]()
    for line in sys.stdin:
        task, count = line.split()
        if task == "describe":
            answer = describe(tasks)
        else:
            answer = []
            for _ in range(int(count) if task in tasks else 0):
                start = time.perf_counter()
                tasks[task]()
                answer.append(time.perf_counter() - start)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
