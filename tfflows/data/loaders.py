"""`load` and the data sets it knows by name."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import numpy as np

from tfflows.data import toy
from tfflows.data.arrays import check_num_bits, make_dataset, reduce_bits
from tfflows.data.dataset import Dataset
from tfflows.data.files import read_arrays, read_folder, read_numpy, read_tfds

MNIST_SHAPES = {
    "x_train": (60000, 28, 28),
    "y_train": (60000,),
    "x_test": (10000, 28, 28),
    "y_test": (10000,),
}


def names() -> list[str]:
    """Sorted names of the built-in data sets.

    Example:
        >>> import tfflows.data as data
        >>> data.names()  # doctest: +NORMALIZE_WHITESPACE
        ['checkerboard', 'digits', 'eight_gaussians', 'mnist', 'moons', 'pinwheel', 'rings',
         'swiss_roll', 'two_spirals']
    """
    return sorted([*toy.DENSITIES, "digits", "mnist"])


def load(
    source: str | os.PathLike,
    root: str | os.PathLike | None = None,
    num_bits: int = 8,
    seed: int = 0,
    download: bool = True,
) -> Dataset:
    """Load a data set by name or from a path.

    `source` is the first of these that fits:

    - a name of `names()`. The toy densities are 50,000 / 5,000 / 10,000 draws with the seeds
      0 / 1 / 2. "digits" and the toys need no files. "mnist" is read from `mnist.npz` (Keras's
      layout) in `root`, and downloaded through Keras only where that file is missing; its
      validation split is the last 10,000 training images.
    - `tfds:NAME`, images of TensorFlow Datasets, which keeps its files in `root` if that is
      given.
    - `foo`, for `foo.npy`, `foo.npz` or a folder `foo` of images in `root`.
    - a path to a `.npy` or `.npz` file: float vectors `[n, D]`, or integer images
      `[n, height, width]` or `[n, height, width, channels]` that have `num_bits` bits. A `.npz`
      has the keys `x` (and `y`), or `train`, `validation` and `test` (and `y_train`, ...), or
      `x_train` and `x_test` (and `y_train` and `y_test`).
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
        download: whether "mnist" and `tfds:NAME` may be downloaded.

    Returns:
        The data set: uint8 images or float32 vectors, in memory.

    Raises:
        ValueError: for an unknown name, or data that is not as above.
        FileNotFoundError: for a path or a `root` that does not exist, or data that are not
            there where `download` is off.
        ImportError: for `tfds:NAME` without tensorflow_datasets, or images without Pillow.

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
        return _digits(min(num_bits, 4))
    folder = _data_folder(root)
    if source == "mnist":
        return _mnist(folder, num_bits, download)
    if source.startswith("tfds:"):
        name = source.removeprefix("tfds:")
        return read_tfds(name, folder if root else None, num_bits, seed, download)
    path = _find(source, folder)
    if path.is_dir():
        return read_folder(path, num_bits, seed)
    return read_numpy(path, num_bits, seed)


def _data_folder(root: str | os.PathLike | None) -> Path | None:
    folder = root or os.environ.get("TFFLOWS_DATA")
    if folder and not Path(folder).is_dir():
        origin = "root" if root else "The environment variable TFFLOWS_DATA"
        raise FileNotFoundError(f"{origin} is {str(folder)!r}: expected an existing folder.")
    return Path(folder) if folder else None


def _find(source: str, folder: Path | None) -> Path:
    candidates = [folder / f"{source}{end}" for end in (".npy", ".npz", "")] if folder else []
    for path in [*candidates, Path(source)]:
        if path.is_dir() or (path.is_file() and path.suffix in (".npy", ".npz")):
            return path
    if Path(source).is_file():
        raise ValueError(f"File {source!r} has an unknown ending: expected .npy or .npz.")
    if Path(source).name != source or Path(source).suffix:
        raise FileNotFoundError(
            f"There is no file or folder {source!r}: expected a .npy or .npz file or a folder of "
            f"images."
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


def _digits(num_bits: int) -> Dataset:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = np.minimum(x, 15).astype("uint8").reshape(-1, 8, 8, 1)
    x = reduce_bits(x, num_bits, stored_bits=4)
    order = np.random.default_rng(0).permutation(len(x))
    index = {"train": order[:1197], "validation": order[1197:1497], "test": order[1497:]}
    return make_dataset(
        "digits",
        "Handwritten digits of 8 x 8 pixels that scikit-learn brings (UCI's Optical Recognition "
        "of Handwritten Digits, CC BY 4.0): the brightest two of their 17 levels are merged, which "
        f"makes 4 bits a pixel, and the top {num_bits} bits are kept.",
        {split: (x[i], y[i]) for split, i in index.items()},
        num_bits,
    )


def _mnist(folder: Path | None, num_bits: int, download: bool) -> Dataset:
    if folder and (folder / "mnist.npz").is_file():
        origin = f"File {str(folder / 'mnist.npz')!r}"
        arrays = read_arrays(folder / "mnist.npz")
    elif not download:
        raise FileNotFoundError(
            "There is no mnist.npz in root or TFFLOWS_DATA, and download is off."
        )
    else:
        import keras

        origin = "The download of keras.datasets.mnist"
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
        arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    for key, shape in MNIST_SHAPES.items():
        found = f"{arrays[key].dtype} {arrays[key].shape}" if key in arrays else "missing"
        if found != f"uint8 {shape}":
            raise ValueError(f"{origin} has {key} {found}: expected uint8 {shape}.")
    x = reduce_bits(arrays["x_train"], num_bits)
    y = arrays["y_train"]
    return make_dataset(
        "mnist",
        f"MNIST (LeCun et al. 1998, CC BY-SA 3.0 as usually given), {num_bits} bits a pixel, "
        "with its official test images; validation is the last 10,000 of its training images.",
        {
            "train": (x[:50000], y[:50000]),
            "validation": (x[50000:], y[50000:]),
            "test": (reduce_bits(arrays["x_test"], num_bits), arrays["y_test"]),
        },
        num_bits,
    )
