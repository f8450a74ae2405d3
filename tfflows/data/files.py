"""Data sets of the user's own: NumPy files, folders of images, and TensorFlow Datasets."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from tfflows.data.arrays import make_dataset, reduce_bits
from tfflows.data.dataset import SPLITS, Dataset
from tfflows.data.images import image_files, read_images

LICENCE = "Its licence is that of its source."


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` by key, or a `.npy` under the key "x"; pickles are refused.

    Raises:
        ValueError: where the file is no NumPy file, is damaged or holds objects.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"x": loaded}
        with loaded:
            return dict(loaded)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"File {str(path)!r} cannot be read ({error}): expected a NumPy file of plain numbers."
        ) from error


def read_splits(path: Path) -> tuple[dict[str, tuple], np.ndarray | None]:
    """`(x, y)` of each split in a `.npy` or `.npz` file, and its `attribute_names` if any.

    Raises:
        ValueError: where the file cannot be read or has no training examples.
    """
    arrays = read_arrays(path)
    if "x" in arrays:
        splits = {"train": (arrays["x"], arrays.get("y"))}
    else:
        splits = {
            split: (arrays[key], arrays.get(f"y_{split}"))
            for split in SPLITS
            for key in (split, f"x_{split}")
            if key in arrays
        }
        if "val" in arrays:
            splits.setdefault("validation", (arrays["val"], arrays.get("y_val")))
    if "train" not in splits:
        raise ValueError(
            f"File {str(path)!r} has the keys {sorted(arrays)}: expected x (and y), or train, "
            f"validation and test, or x_train and x_test (and y_train and y_test)."
        )
    return splits, arrays.get("attribute_names")


def read_numpy(path: Path, num_bits: int, seed: int) -> Dataset:
    """Data set of a `.npy` or `.npz` file; `load` lists the keys."""
    splits, names = read_splits(path)
    about = f"Read from {path.name}. {LICENCE}"
    return make_dataset(path.stem, about, splits, num_bits, seed, names)


def read_folder(path: Path, num_bits: int, seed: int, skip_corrupt: bool) -> Dataset:
    """Data set of a folder of images; `load` says how it is laid out."""
    folders = {entry.name for entry in path.iterdir() if entry.is_dir()}
    if "train" in folders:
        if not folders <= set(SPLITS):
            raise ValueError(
                f"Folder {str(path)!r} has {sorted(folders - set(SPLITS))} beside 'train': "
                f"expected no folders but train, validation and test."
            )
        roots = {split: path / split for split in SPLITS if split in folders}
    else:
        roots = {"train": path}
    files = {split: image_files(root) for split, root in roots.items()}
    # One level down is a class, if no image lies outside of one.
    parts = {split: [f.relative_to(roots[split]).parts for f in files[split]] for split in roots}
    labelled = all(len(p) > 1 for split in roots for p in parts[split])
    classes = sorted({p[0] for split in roots for p in parts[split]}) if labelled else []
    splits, shape = {}, None
    for split, names in files.items():
        images, kept = read_images(names, skip_corrupt, shape)
        shape = images.shape[1:]
        y = np.array([classes.index(parts[split][i][0]) for i in kept]) if labelled else None
        splits[split] = (reduce_bits(images, num_bits), y)
    return make_dataset(
        path.resolve().name,
        f"Images of the folder {path.resolve().name}, {num_bits} bits a pixel. {LICENCE}",
        splits,
        num_bits,
        seed,
    )


def load_tfds(name: str, root: Path | None, download: bool, **options) -> dict:
    """The splits of a TensorFlow Datasets name, as NumPy.

    Raises:
        ImportError: where tensorflow_datasets is not installed.
        FileNotFoundError: where it has no files of it, and `download` is off.
        ValueError: where the data set has no split "train".
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f"'tfds:{name}' needs tensorflow_datasets, which is not installed: "
            f"pip install tfflows[data]."
        ) from error
    try:
        found = tfds.as_numpy(tfds.load(name, data_dir=root, download=download, **options))
    except AssertionError as error:  # what it raises for data that it may not download
        raise FileNotFoundError(f"'tfds:{name}' is not on this machine: {error}") from error
    if "train" not in found:
        raise ValueError(f"'tfds:{name}' has the splits {sorted(found)}: expected 'train'.")
    return found


def read_tfds(name: str, root: Path | None, num_bits: int, seed: int, download: bool) -> Dataset:
    """Images (and labels) of a TensorFlow Datasets name."""
    found = load_tfds(name, root, download, batch_size=-1)
    splits = {}
    for split in SPLITS:
        if split not in found:
            continue
        features = found[split]
        if "image" not in features:
            raise ValueError(
                f"'tfds:{name}' has the features {sorted(features)}: expected 'image'."
            )
        splits[split] = (reduce_bits(features["image"], num_bits), features.get("label"))
    return make_dataset(
        f"tfds:{name}",
        f"Images of TensorFlow Datasets' {name}, {num_bits} bits a pixel. {LICENCE}",
        splits,
        num_bits,
        seed,
    )
