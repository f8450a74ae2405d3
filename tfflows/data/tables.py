"""Tables: UCI's protein structures and power consumption, and patches of BSDS300."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfflows.data.arrays import make_dataset
from tfflows.data.dataset import SPLITS, Dataset
from tfflows.data.files import read_splits

PROTEIN = ("RMSD", *(f"F{i}" for i in range(1, 10)))
POWER = (
    "Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;"
    "Sub_metering_1;Sub_metering_2;Sub_metering_3"
)
# What is kept of POWER.
_POWER_COLUMNS = (
    "Global_active_power",
    "Voltage",
    "Sub_metering_1",
    "Sub_metering_2",
    "Sub_metering_3",
    "minute",
)
# What each sensor of POWER resolves: kilowatts, volts and three times watt-hours.
_RESOLUTION = (0.001, 0.01, 1.0, 1.0, 1.0)
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
    file = _one_of(
        folder,
        ["CASP.csv"],
        "the file of UCI's 'Physicochemical Properties of Protein Tertiary Structure' "
        "(https://archive.ics.uci.edu/dataset/265)",
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
        {split: (part, None) for split, part in zip(SPLITS, parts, strict=True)},
        num_bits=8,
        column_names=PROTEIN,
    )


def read_power(folder: Path | None) -> Dataset:
    """A household's power consumption by the minute: the six columns of MAF's POWER.

    From arrays `power.npz` in a folder, or from UCI's text file: rows without gaps, of which active
    power, voltage, three sub-meterings and the minute of the day; uniform noise as wide as each
    sensor resolves (none on the minute); 81 / 9 / 10 % of the rows in an order of
    `default_rng(42)`; mean 0 and deviation 1 on train and validation together.

    Raises:
        FileNotFoundError: where neither file is there.
        ValueError: where the file is not that table.

    Source: Papamakarios, Pavlakou and Murray, "Masked autoregressive flow for density estimation",
    2017, appendix D, https://arxiv.org/abs/1705.07057, whose split has another order.
    """
    file = _one_of(
        folder,
        ["power.npz", "household_power_consumption.txt"],
        "the file of UCI's 'Individual Household Electric Power Consumption' "
        "(https://archive.ics.uci.edu/dataset/235)",
    )
    about = (
        "A household's active power, voltage, three sub-meterings and minute of the day (UCI's "
        "Individual Household Electric Power Consumption, Hebrail and Berard 2012, CC BY 4.0) as "
        "in MAF's POWER, whose split has another order, with uniform noise of each sensor's "
        "resolution, standardised."
    )
    if file.suffix == ".npz":
        splits = _with_columns(read_splits(file)[0], 6, file)
        return make_dataset("power", about, splits, num_bits=8)
    x = _minutes(file)
    random = np.random.default_rng(42)
    random.shuffle(x)
    x[:, :5] += random.random((len(x), 5)) * _RESOLUTION
    test = len(x) // 10
    validation = (len(x) - test) // 10
    seen = x[:-test]
    x = (x - seen.mean(0)) / seen.std(0)
    parts = np.split(x, [len(x) - test - validation, len(x) - test])
    splits = {split: (part, None) for split, part in zip(SPLITS, parts, strict=True)}
    return make_dataset("power", about, splits, num_bits=8, column_names=_POWER_COLUMNS)


def _minutes(file: Path) -> np.ndarray:
    """The rows of UCI's file that have no gaps: five measurements and the minute of the day."""
    with open(file, encoding="utf-8") as lines:
        header = lines.readline().strip()
        if header != POWER:
            raise ValueError(
                f"File {str(file)!r} begins with {header[:80]!r}: expected the columns {POWER}."
            )
        # "16/12/2006;17:24:00;4.216;0.418;234.840;18.400;0.000;1.000;17.000", "?" for a gap.
        whole = (line for line in lines if line.strip() and "?" not in line and ";;" not in line)
        rows = [line.split(";") for line in whole]
    try:
        values = np.array([[row[i] for i in (2, 4, 6, 7, 8)] for row in rows], "float64")
        minutes = [60 * int(row[1][:2]) + int(row[1][3:5]) for row in rows]
    except (ValueError, IndexError) as error:
        raise ValueError(f"File {str(file)!r} is no table of numbers: {error}.") from error
    if len(rows) < 20:
        raise ValueError(f"File {str(file)!r} has {len(rows)} rows: expected at least 20.")
    return np.column_stack([values, minutes])


def read_bsds300(folder: Path | None) -> Dataset:
    """Patches of photographs, 8 x 8 grey values without their mean and their last pixel.

    From arrays `bsds300.npz` in a folder, or from `BSDS300.hdf5`, the table of MAF's authors.

    Raises:
        FileNotFoundError: where neither file is there.
        ValueError: where the file is not that table.

    Source: Papamakarios, Pavlakou and Murray, "Masked autoregressive flow for density estimation",
    2017, appendix D, https://arxiv.org/abs/1705.07057.
    """
    file = _one_of(
        folder,
        ["bsds300.npz", "BSDS300.hdf5"],
        "the table of MAF's authors (https://zenodo.org/records/1161203)",
    )
    if file.suffix == ".npz":
        splits = read_splits(file)[0]
    else:
        import h5py

        try:
            with h5py.File(file) as tables:
                splits = {
                    split: (np.asarray(tables[split]), None) for split in SPLITS if split in tables
                }
        except OSError as error:
            raise ValueError(f"File {str(file)!r} cannot be read ({error}).") from error
    splits = _with_columns(splits, 63, file)
    about = (
        "Patches of 8 x 8 pixels of BSDS300's photographs (Martin, Fowlkes, Tal and Malik 2001, "
        "for non-commercial research and education), grey, with uniform noise, divided by 256, "
        f"without each patch's mean and its last pixel, as in MAF's BSDS300, from {file.name}."
    )
    return make_dataset("bsds300", about, splits, num_bits=8)


def _with_columns(splits: dict, columns: int, file: Path) -> dict:
    """The splits, if there are three of tables with so many columns."""
    if any(x.shape[1:] != (columns,) for x, _ in splits.values()) or len(splits) < 3:
        found = {split: x.shape for split, (x, _) in splits.items()}
        raise ValueError(
            f"File {str(file)!r} has {found}: expected train, validation and test, of {columns} "
            "columns each."
        )
    return splits


def _one_of(folder: Path | None, names: Sequence[str], source: str) -> Path:
    """The first of the files that is in the folder."""
    for name in names:
        if folder and (folder / name).is_file():
            return folder / name
    place = "root or TFFLOWS_DATA (neither is set)" if folder is None else repr(str(folder))
    raise FileNotFoundError(f"There is no {' or '.join(names)} in {place}: expected {source}.")


READERS = {"bsds300": read_bsds300, "power": read_power, "protein": read_protein}
