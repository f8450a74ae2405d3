"""An audit of TFP's own bijectors: what holds, and what does not.

python benchmarks/audit.py [NAME ...] [--output benchmarks/audit.md]
"""

import argparse
import os
import platform
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from _audit import CASES, real

from tfflows.auditing import audit
from tfflows.auditing.report import OPEN

TEXT = """\
# TFP's bijectors, audited

Written by `python benchmarks/audit.py`, whose cases are in `benchmarks/_audit.py`: each bijector
with arguments in float64 (Glow in float32, as its networks are) at {n} inputs of its domain ({few}
for those that solve an equation), called in eager mode by `tfflows.auditing.audit`. *Wrong* is an
error beyond a thousand roundings at the point's condition, or beyond a stated error of the solver;
the largest is in brackets. *Not checked* leaves out that log-dets of maps between different
dimensions are a convention, and that densities are integrated in one and two dimensions where
normal z are in the domain.

{table}

{versions}
"""
COUNT, FEW = 16, 4
# The solver's relative error, and what its answers add up to.
SOLVERS = {"FFJORD": 1e-4, "FFJORD(initial_time=0.5)": 1e-4}
EXPECTED_NOTES = (
    "only in one or two dimensions",
    "the domain is not that of normal z",
    "x has other degrees of freedom than z",
    "x and z have different numbers of dimensions",
    "the Jacobian is singular: z has fewer degrees of freedom",
)


def row(name):
    make, shape, domain = CASES[name]
    n = FEW if name in SOLVERS else COUNT
    z = None
    if domain is not real:
        z = domain(np.random.default_rng(0).normal(size=(n, *shape)))
    try:
        report = audit(make(), z, event_shape=shape, rtol=SOLVERS.get(name, 0.0), n=n)
    except Exception as error:  # of TFP's own, which is what the row says
        line = str(error).strip().splitlines()[0][:110]
        return f"| {name} | | an error: {type(error).__name__}: {line} | |"
    wrong = "; ".join(
        f"{found.check} ({found.error:.2g})" if found.error is not None else found.check
        for found in report.wrong
    )
    left = "; ".join(
        f"{found.check}: {found.note}"
        for found in report.findings
        if found.verdict == OPEN and found.note not in EXPECTED_NOTES
    )
    sound = sum(found.verdict == "ok" for found in report.findings)
    return f"| {name} | {sound} | {wrong} | {left} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="(default: all)")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rows = ["| bijector | checks that hold | wrong | not checked |", "| --- | --- | --- | --- |"]
    for name in arguments.names or CASES:
        rows.append(row(name))
        print(rows[-1], flush=True)
    versions = (
        f"TensorFlow Probability {tfp.__version__}, TensorFlow {tf.__version__}, NumPy "
        f"{np.__version__}, Python {platform.python_version()}."
    )
    if arguments.output:
        table = "\n".join(rows)
        text = TEXT.format(n=COUNT, few=FEW, table=table, versions=versions)
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
