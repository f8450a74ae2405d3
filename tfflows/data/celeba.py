"""CelebA: faces with forty attributes, as images of 64 x 64 or 32 x 32 pixels."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from tfflows.data.arrays import make_dataset, reduce_bits
from tfflows.data.dataset import SPLITS, Dataset
from tfflows.data.files import load_tfds, read_splits
from tfflows.data.images import image_files, read_images

SIZES = {"celeba32": 32, "celeba64": 64}
ALIGNED = (218, 178, 3)
TOP, LEFT, CROP = 40, 15, 148  # the square that is kept of an aligned image
ABOUT = (
    "CelebA (Liu et al. 2015, Deep Learning Face Attributes in the Wild). Its agreement allows "
    "non-commercial research only, and its images must not be redistributed."
)


def read_celeba(
    name: str,
    folder: Path | None,
    tfds_folder: Path | None,
    num_bits: int,
    seed: int,
    download: bool,
    skip_corrupt: bool,
) -> Dataset:
    """A data set of `SIZES`; `load` says where it is looked for.

    Raises:
        ValueError: for arrays of another shape, images that are not the aligned ones, or lists
            that do not fit them.
        FileNotFoundError: where it is nowhere, and `download` is off.
        ImportError: where it is nowhere, and tensorflow_datasets is not installed.
    """
    size = SIZES[name]
    if folder and (folder / f"{name}.npz").is_file():
        how = f"Read from {name}.npz"
        splits, names = _from_arrays(folder / f"{name}.npz", size)
    elif folder and (folder / "img_align_celeba").is_dir():
        how = "Read from the folder img_align_celeba"
        splits, names = _from_images(folder / "img_align_celeba", size, skip_corrupt)
    else:
        how = "Read from TensorFlow Datasets' celeb_a"
        try:
            splits, names = _from_tfds(tfds_folder, size, download)
        except (FileNotFoundError, ImportError) as error:
            raise type(error)(
                f"There is no {name}.npz and no folder img_align_celeba in root or TFFLOWS_DATA. "
                f"{error}"
            ) from error
    return make_dataset(
        name,
        f"{ABOUT} {how}: {size} x {size} pixels, {num_bits} bits a pixel.",
        {split: (reduce_bits(x, num_bits), y) for split, (x, y) in splits.items()},
        num_bits,
        seed,
        names,
    )


def shrink(image: np.ndarray, size: int) -> np.ndarray:
    """Central 148 x 148 pixels of an aligned image, averaged over the area of each new pixel.

    Args:
        image: uint8 `[218, 178, 3]`.
        size: height and width of the result.

    Returns:
        uint8 `[size, size, 3]`, rounded to the nearest.

    Example:
        >>> import numpy as np
        >>> from tfflows.data.celeba import shrink
        >>> image = np.full((218, 178, 3), 7, "uint8")
        >>> small = shrink(image, 64)
        >>> small.shape, small.min(), small.max()
        ((64, 64, 3), np.uint8(7), np.uint8(7))
    """
    crop = image[TOP : TOP + CROP, LEFT : LEFT + CROP].astype("float32")
    shares = _shares(size)
    rows = (shares @ crop.reshape(CROP, -1)).reshape(size, CROP, 3)
    return np.rint(shares @ rows).astype("uint8")


@functools.cache
def _shares(size: int) -> np.ndarray:
    """`[size, CROP]`: the share that each old pixel has in each new one, along one axis.

    Pillow's BOX filter takes old pixels wholly or not at all, which is no average over the area
    where 148 is not a multiple of `size`.
    """
    edges = np.arange(size + 1)[:, None] * CROP / size
    pixels = np.arange(CROP)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return (np.maximum(overlap, 0) * size / CROP).astype("float32")


def _from_arrays(file: Path, size: int):
    splits, names = read_splits(file)
    for split, (x, _) in splits.items():
        if x.dtype != np.uint8 or x.shape[1:] != (size, size, 3):
            raise ValueError(
                f"File {str(file)!r} has {split} {x.dtype} {x.shape}: expected uint8 "
                f"(n, {size}, {size}, 3)."
            )
    return splits, names


def _from_images(folder: Path, size: int, skip_corrupt: bool):
    files = image_files(folder)
    partition = np.zeros(len(files), int)
    if found := _find_list(folder, "list_eval_partition"):
        partition = _read_list(found, files, 1, ("0", "1", "2"))[1][:, 0]
    names = attributes = None
    if found := _find_list(folder, "list_attr_celeba"):
        names, values = _read_list(found, files, None, ("-1", "1"))
        attributes = values == 1
    splits = {}
    for i, split in enumerate(SPLITS):
        index = np.flatnonzero(partition == i)
        if len(index) == 0 and split == "train":
            raise ValueError(
                f"Folder {str(folder)!r} holds no image of partition 0: expected training images."
            )
        if len(index):
            x, kept = read_images(
                [files[j] for j in index],
                skip_corrupt,
                ALIGNED,
                functools.partial(shrink, size=size),
            )
            splits[split] = (x, None if attributes is None else attributes[index[kept]])
    return splits, names


def _find_list(folder: Path, name: str) -> Path | None:
    places = [
        place / f"{name}{end}" for place in (folder, folder.parent) for end in (".txt", ".csv")
    ]
    return next((path for path in places if path.is_file()), None)


def _read_list(path: Path, files: list[Path], width: int | None, allowed: tuple[str, ...]):
    """Names of the columns, and int values `[n, k]` for `n` files, of a .txt or Kaggle's .csv.

    A line is a file's name and its values. The .txt of attributes starts with a count and a line
    of names, each .csv with a line "image_id" and names.
    """
    names, rows = [], {}
    for line in path.read_text(encoding="utf-8").splitlines():
        first, *rest = line.replace(",", " ").split(maxsplit=1) or [""]
        if first.endswith(".jpg"):
            rows[Path(first).stem] = " ".join(rest)  # the images may have become .png
        elif rest:
            names = [word for word in (first, *rest[0].split()) if word != "image_id"]
    width = width or len(names)
    values = np.empty((len(files), width), "int8")
    for i, file in enumerate(files):
        if file.stem not in rows:
            raise ValueError(
                f"File {str(path)!r} has no line for the image {file.name!r}: expected one for "
                f"each image."
            )
        row = rows[file.stem].split()
        if len(row) != width or not set(row) <= set(allowed):
            wrong = [word for word in row if word not in allowed]
            raise ValueError(
                f"File {str(path)!r} has {len(row)} values for the image {file.name!r}"
                f"{f', among them {wrong[0]!r}' if wrong else ''}: expected {width}, each "
                f"{' or '.join(allowed)}."
            )
        values[i] = row
    return names, values


def _from_tfds(root: Path | None, size: int, download: bool):
    found = load_tfds("celeb_a", root, download)
    splits, names = {}, None
    for split in SPLITS:
        images, attributes = [], []
        for example in found.get(split, ()):
            names = sorted(example["attributes"])  # the official order
            images.append(shrink(example["image"], size))
            attributes.append([example["attributes"][name] for name in names])
        if images:
            splits[split] = (np.stack(images), np.array(attributes, bool))
    return splits, names
