"""Export pretrained entries of the zoo, with what they should answer, for the tests here.

python server_tests/export_entries.py FOLDER [--all]

makes FOLDER/NAME/1, a SavedModel, and FOLDER/NAME.npz, inputs by the tensor's name and answers as
SIGNATURE.OUTPUT from the entry's reference.npz. It needs tfflows; the tests do without.
"""

import concurrent.futures
import functools
import multiprocessing
import sys
from pathlib import Path

import numpy as np

import zoo
from zoo import reference

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from c_program import UNSERVED


def export(folder, name):
    zoo.export(name, folder)
    with np.load(Path(zoo.__file__).parent / "models" / name / "reference.npz") as published:
        answers = {key: published[key] for key in published if "." in key}
        np.savez(Path(folder) / f"{name}.npz", **reference.served_inputs(published), **answers)


def main(folder, *options):
    if not {*options} <= {"--all"}:
        sys.exit(f"The only option is --all, but found {' '.join(options)}.")
    names = [n for n in zoo.list(pretrained=True) if options or n not in UNSERVED]
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    with concurrent.futures.ProcessPoolExecutor(mp_context=context) as pool:
        for _ in pool.map(functools.partial(export, folder), names):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
