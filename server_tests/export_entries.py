"""Export every pretrained entry of the zoo, with what it should answer, for the tests here.

python server_tests/export_entries.py FOLDER

makes FOLDER/NAME/1, a SavedModel, and FOLDER/NAME.npz, inputs by the tensor's name and answers as
SIGNATURE.OUTPUT from the entry's reference.npz. It needs tfflows; the tests do without.
"""

import sys
from pathlib import Path

import numpy as np

import zoo
from zoo import reference


def main(folder):
    for name in zoo.list(pretrained=True):
        zoo.export(name, folder)
        with np.load(Path(zoo.__file__).parent / "models" / name / "reference.npz") as published:
            answers = {key: published[key] for key in published if "." in key}
            np.savez(Path(folder) / f"{name}.npz", **reference.served_inputs(published), **answers)


if __name__ == "__main__":
    main(sys.argv[1])
