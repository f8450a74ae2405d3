"""Tables of measurements: UCI's protein structures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfflows.data.arrays import make_dataset
from tfflows.data.dataset import Dataset

PROTEIN = ("RMSD", *(f"F{i}" for i in range(1, 10)))
_WHOLE = PROTEIN.index("F8")  # the only column of whole numbers


def read_protein(folder: Path | None) -> Dataset:
    """Ten properties of protein structures, from UCI's `CASP.csv` in a folder.

    Rows that repeat another are dropped, since they would be in several splits; noise makes the
    column of whole numbers continuous; each column gets mean 0 and deviation 1 on the training
    split.

    Raises:
        FileNotFoundError: where the file is not there.
        ValueError: where it is not that table.
    """
    file = folder / "CASP.csv" if folder else None
    if file is None or not file.is_file():
        place = "root or TFFLOWS_DATA (neither is set)" if folder is None else repr(str(folder))
        raise FileNotFoundError(
            f"There is no CASP.csv in {place}: expected the file of UCI's 'Physicochemical "
            "Properties of Protein Tertiary Structure' (https://archive.ics.uci.edu/dataset/265)."
        )
    with open(file, encoding="utf-8") as lines:
        header = tuple(name.strip(' "') for name in lines.readline().strip().split(","))
        if header != PROTEIN:
            raise ValueError(
                f"File {str(file)!r} begins with {','.join(header)[:80]!r}: expected the columns "
                f"{','.join(PROTEIN)}."
            )
        try:
            rows = np.loadtxt(lines, delimiter=",", ndmin=2)
        except ValueError as error:
            raise ValueError(f"File {str(file)!r} is no table of numbers: {error}.") from error
    if len(rows) < 10 or rows.shape[1] != len(PROTEIN) or not np.isfinite(rows).all():
        raise ValueError(
            f"File {str(file)!r} has a table of shape {rows.shape}: expected at least 10 rows of "
            f"{len(PROTEIN)} finite numbers."
        )
    x = np.unique(rows, axis=0)
    random = np.random.default_rng(0)
    x = x[random.permutation(len(x))]
    x[:, _WHOLE] += random.random(len(x))
    tenth = len(x) // 10
    train = x[: -2 * tenth]
    x = (x - train.mean(0)) / train.std(0)
    parts = np.split(x, [len(train), len(train) + tenth])
    return make_dataset(
        "protein",
        "Ten physicochemical properties of protein structures (UCI's Physicochemical Properties of "
        "Protein Tertiary Structure, Rana 2013, CC BY 4.0), without repeated rows, uniform noise "
        "on the whole numbers of F8, standardised.",
        {
            split: (part, None)
            for split, part in zip(("train", "validation", "test"), parts, strict=True)
        },
        num_bits=8,
    )
