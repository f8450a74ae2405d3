"""`load` and the data sets it knows by name."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from tfflows.data import celeba, small_images, tables, toy
from tfflows.data.arrays import check_num_bits, make_dataset
from tfflows.data.dataset import Dataset
from tfflows.data.files import read_folder, read_numpy, read_tfds
from tfflows.data.table_files import read_table

_TABLES = (".csv", ".parquet")
_ENDINGS = (".npy", ".npz", *_TABLES)


def names() -> list[str]:
    """Sorted names of the built-in data sets.

    Example:
        >>> import tfflows.data as data
        >>> data.names()  # doctest: +NORMALIZE_WHITESPACE
        ['bsds300', 'celeba32', 'celeba64', 'checkerboard', 'cifar10', 'digits', 'eight_gaussians',
         'mnist', 'moons', 'pinwheel', 'power', 'protein', 'rings', 'swiss_roll', 'two_spirals']
    """
    return sorted([*toy.DENSITIES, "digits", *tables.READERS, *small_images.KERAS, *celeba.SIZES])


def load(
    source: str | os.PathLike,
    root: str | os.PathLike | None = None,
    num_bits: int = 8,
    seed: int = 0,
    download: bool = True,
    skip_corrupt: bool = True,
) -> Dataset:
    """Load a data set by name or from a path.

    `source` is the first of these that fits:

    - a name of `names()`. The toy densities are 50,000 / 5,000 / 10,000 draws with the seeds
      0 / 1 / 2. "digits" and the toys need no files. "mnist" and "cifar10" are read from
      `mnist.npz` and `cifar10.npz` (Keras's layout) in `root`, and downloaded through Keras only
      where that file is missing; validation is the last 10,000 and 5,000 training images.
    - "celeba64" and "celeba32", CelebA with its attributes: from arrays `celeba64.npz` (or 32) in
      `root`, laid out as below; else from a folder `img_align_celeba` in `root`, where
      `list_attr_celeba` and `list_eval_partition` (.txt, or .csv as on Kaggle) may lie in it or
      beside it; else from TensorFlow Datasets' `celeb_a`. Rows 40:188 and columns 15:163 of the
      aligned images are averaged over the area of each new pixel. Without `list_eval_partition`
      splits are drawn, and one person may be in several.
    - "protein", a table of ten properties of proteins, from UCI's `CASP.csv` in `root`; "power",
      six columns of a household's power consumption, from UCI's `household_power_consumption.txt`
      in `root`; "bsds300", 63 pixels of patches of photographs, from `BSDS300.hdf5` of MAF's
      authors in `root`. Of the last two, arrays `power.npz` and `bsds300.npz` come first.
    - `tfds:NAME`, images of TensorFlow Datasets, which keeps its files in `root` if that is
      given.
    - `foo`, for `foo.npy`, `foo.npz`, `foo.csv`, `foo.parquet` or a folder `foo` of images in
      `root`.
    - a path to a `.npy` or `.npz` file: float vectors `[n, D]`, or integer images
      `[n, height, width]` or `[n, height, width, channels]` that have `num_bits` bits. A `.npz`
      has the keys `x` (and `y`), or `train`, `validation` (or `val`) and `test` (and `y_train`,
      ...), or `x_train` and `x_test` (and `y_train` and `y_test`), where `y` is integer labels
      `[n]` or boolean attributes `[n, k]`, whose names `attribute_names` may give.
    - a path to a `.csv` file, a finite number in each row and column, with commas between them and
      the columns' names in the first row or not; or to a `.parquet` file of such columns.
    - a path to a folder of 8-bit images, all of one size and mode (grey or RGB). Folders train,
      validation and test in it are its splits. If every image lies in a folder of the next
      level, those folders are the classes, numbered in sorted order.

    A validation or test split that is missing is a tenth of the training examples, drawn by
    `np.random.default_rng(seed).permutation`.

    Args:
        source: name or path.
        root: folder to look in; by default the one that the environment variable TFFLOWS_DATA
            names.
        num_bits: bits a pixel, from 1 to 8. Built-in images, image folders and `tfds:` keep
            their top `num_bits` (digits have 4 at most); arrays must hold such values already.
            Vectors do not use it.
        seed: seed of the splits that are drawn; built-in data sets have fixed splits.
        download: whether "mnist", "cifar10", CelebA and `tfds:NAME` may be downloaded.
        skip_corrupt: whether a folder's image files that cannot be decoded are skipped, with a
            warning that names and counts them, or raise an error.

    Returns:
        The data set: uint8 images or float32 vectors, in memory.

    Raises:
        ValueError: for an unknown name, or data that is not as above.
        FileNotFoundError: for a path or a `root` that does not exist, or data that are not
            there where `download` is off.
        ImportError: for `tfds:NAME` without tensorflow_datasets, images without Pillow, or
            Parquet without pandas.

    Example:
        >>> import tfflows.data as data
        >>> moons = data.load("moons")
        >>> moons.event_shape, moons.num_bits, len(moons.train), moons.train.x.dtype
        ((2,), None, 50000, dtype('float32'))
    """
    check_num_bits(num_bits)
    source = os.fspath(source)
    if source in toy.DENSITIES:
        return _toy(source)
    if source == "digits":
        return small_images.read_digits(num_bits)
    folder = _data_folder(root)
    if source in tables.READERS:
        return tables.READERS[source](folder)
    tfds_folder = folder if root else None
    if source in small_images.KERAS:
        return small_images.read_keras(source, folder, num_bits, download)
    if source in celeba.SIZES:
        return celeba.read_celeba(
            source, folder, tfds_folder, num_bits, seed, download, skip_corrupt
        )
    if source.startswith("tfds:"):
        name = source.removeprefix("tfds:")
        return read_tfds(name, tfds_folder, num_bits, seed, download)
    path = _find(source, folder)
    if path.is_dir():
        return read_folder(path, num_bits, seed, skip_corrupt)
    if path.suffix in _TABLES:
        return read_table(path, num_bits, seed)
    return read_numpy(path, num_bits, seed)


def _data_folder(root: str | os.PathLike | None) -> Path | None:
    folder = root or os.environ.get("TFFLOWS_DATA")
    if folder and not Path(folder).is_dir():
        origin = "root" if root else "The environment variable TFFLOWS_DATA"
        raise FileNotFoundError(f"{origin} is {str(folder)!r}: expected an existing folder.")
    return Path(folder) if folder else None


def _find(source: str, folder: Path | None) -> Path:
    candidates = [folder / f"{source}{end}" for end in (*_ENDINGS, "")] if folder else []
    for path in [*candidates, Path(source)]:
        if path.is_dir() or (path.is_file() and path.suffix in _ENDINGS):
            return path
    kinds = ", ".join(_ENDINGS[:-1]) + f" or {_ENDINGS[-1]}"
    if Path(source).is_file():
        raise ValueError(f"File {source!r} has an unknown ending: expected {kinds}.")
    if Path(source).name != source or Path(source).suffix:
        raise FileNotFoundError(
            f"There is no file or folder {source!r}: expected a file ending in {kinds}, or a "
            "folder of images."
        )
    near = difflib.get_close_matches(source, names(), n=3)
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    place = repr(str(folder)) if folder else "root or TFFLOWS_DATA (neither is set)"
    raise ValueError(
        f"There is no data set {source!r}{hint}: expected one of {', '.join(names())}, "
        f"'tfds:NAME', a path, or the name of a file or folder in {place}."
    )


def _toy(name: str) -> Dataset:
    draw = toy.DENSITIES[name]
    return make_dataset(
        name,
        "Draws with the seeds 0 (train), 1 (validation) and 2 (test) from a two-dimensional "
        "density of FFJORD's experiments (Grathwohl et al. 2019), made from its formula, so under "
        "no licence.",
        {"train": draw(50000, 0), "validation": draw(5000, 1), "test": draw(10000, 2)},
        num_bits=8,
    )
