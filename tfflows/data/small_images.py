"""Small images that scikit-learn brings or Keras downloads: digits, MNIST and CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfflows.data.arrays import make_dataset, reduce_bits
from tfflows.data.dataset import Dataset
from tfflows.data.files import read_arrays

# Shape of an image, numbers of training, validation and test images, source and licence.
KERAS = {
    "mnist": (
        (28, 28),
        (50000, 10000, 10000),
        "MNIST (LeCun et al. 1998, CC BY-SA 3.0 as usually given)",
    ),
    "cifar10": (
        (32, 32, 3),
        (45000, 5000, 10000),
        "CIFAR-10 (Krizhevsky 2009, whose authors state no licence and ask to be cited)",
    ),
}


def read_digits(num_bits: int) -> Dataset:
    """Scikit-learn's digits, of which at most 4 bits are kept."""
    from sklearn.datasets import load_digits

    num_bits = min(num_bits, 4)
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


def read_keras(name: str, folder: Path | None, num_bits: int, download: bool) -> Dataset:
    """A data set of `KERAS` from `NAME.npz` in a folder, or else from `keras.datasets`.

    Raises:
        ValueError: where the arrays are not those of that data set.
        FileNotFoundError: where there is no file and `download` is off.
    """
    shape, (train, validation, test), about = KERAS[name]
    file = folder / f"{name}.npz" if folder else None
    if file and file.is_file():
        origin = f"File {str(file)!r}"
        arrays = read_arrays(file)
    elif not download:
        raise FileNotFoundError(
            f"There is no {name}.npz in root or TFFLOWS_DATA, and download is off."
        )
    else:
        import keras

        origin = f"The download of keras.datasets.{name}"
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
        arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    for split, n in (("train", train + validation), ("test", test)):
        for key, expected in ((f"x_{split}", (n, *shape)), (f"y_{split}", (n,))):
            if key in arrays and arrays[key].shape == (n, 1):  # CIFAR-10's labels
                arrays[key] = arrays[key][:, 0]
            found = f"{arrays[key].dtype} {arrays[key].shape}" if key in arrays else "missing"
            if found != f"uint8 {expected}":
                raise ValueError(f"{origin} has {key} {found}: expected uint8 {expected}.")
    x, y = reduce_bits(arrays["x_train"], num_bits), arrays["y_train"]
    return make_dataset(
        name,
        f"{about}, {num_bits} bits a pixel, with its official test images; validation is the "
        f"last {validation:,} of its training images.",
        {
            "train": (x[:train], y[:train]),
            "validation": (x[train:], y[train:]),
            "test": (reduce_bits(arrays["x_test"], num_bits), arrays["y_test"]),
        },
        num_bits,
    )
