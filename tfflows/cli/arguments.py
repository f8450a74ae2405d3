"""What the verbs of the command line are given: flows, exports, data, images, files to write."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfflows.cli.quiet import import_tensorflow


def _entry(name: str):
    """The zoo, if it has such an entry, and TensorFlow ready for what is asked of it."""
    import zoo
    from zoo.catalog import folder_of

    folder_of(name)
    import_tensorflow()
    return zoo


def flow_of(name: str):
    """The flow of a zoo entry or of a `.keras` file.

    Raises:
        ValueError: for an unknown entry, or a file that holds something else.
        FileNotFoundError: where there is no such file.
    """
    if not name.endswith(".keras"):
        return _entry(name).load(name)
    if not Path(name).is_file():
        raise FileNotFoundError(f"There is no saved flow {name}.")
    import_tensorflow()
    import keras

    import tfflows.flow
    import tfflows.flows  # registers the classes that the file names

    flow = keras.models.load_model(name)
    if not isinstance(flow, tfflows.flow.Flow):
        raise ValueError(f"{name} holds a {type(flow).__name__}, not a flow.")
    return flow


def export_of(name: str, directory, version: int = 1, format: str = "savedmodel") -> Path:
    """The model that is written of the same to `directory/NAME/version/`.

    Raises:
        ValueError: as `flow_of` does, for a version below 1, and as `tfflows.export.formats.save`.
        OSError: if that version exists, or the folder cannot be written.
    """
    import_tensorflow()
    if format != "savedmodel":
        from tfflows import export
        from tfflows.export import formats

        path = export.version_path(directory, Path(name).stem, version)
        return formats.save(flow_of(name), path, format)
    if not name.endswith(".keras"):
        import zoo

        return zoo.export(name, directory, version)
    from tfflows import export

    path = export.version_path(directory, Path(name).stem, version)
    return export.save(flow_of(name), path)


def image_flow_of(name: str):
    """The same, for a flow whose events can be drawn as images.

    Raises:
        ValueError: for a flow of something else.
    """
    flow = flow_of(name)
    if len(flow.event_shape) != 3 or flow.event_shape[-1] not in (1, 3):
        raise ValueError(
            f"{name} should be a flow of grey or RGB images, but its events have shape "
            f"{flow.event_shape}."
        )
    return flow


def source_of(name: str, given: str | None) -> str:
    """The name of the data set: as given, or else the entry's own or that of the file's run.

    Raises:
        ValueError: for a `.keras` file without the `recipe.json` of its run beside it.
    """
    if given is not None:
        return given
    if not name.endswith(".keras"):
        return _entry(name).recipe(name).data
    recipe = Path(name).with_name("recipe.json")
    if not recipe.is_file():
        raise ValueError(f"Which data? {name} has no recipe.json beside it; give --data.")
    import_tensorflow()
    from tfflows.training.recipe import Recipe

    return Recipe.from_file(recipe).data


def output_of(given: str | None, default: str) -> Path:
    """The path of the picture to write, looked at before any work is done.

    Raises:
        OSError: where its folder does not exist, or it is itself one.
    """
    output = Path(given or default)
    if output.is_dir():
        raise OSError(f"Cannot write {output}: it is a folder, and the name of a file is needed.")
    if not output.parent.is_dir():
        raise OSError(f"Cannot write {output}: the folder {output.parent} does not exist.")
    return output


def pictures_of(files: list[str]) -> list:
    """Image files, decoded, but not yet of a flow's size: what is wrong with them is known early.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that cannot be read, or has another kind of pixels than 8 bits.
        ImportError: without Pillow.
    """
    from tfflows.data.images import open_image

    pictures = []
    for file in files:
        if not Path(file).is_file():
            raise FileNotFoundError(f"There is no image file {file}.")
        with open_image(Path(file)) as image:
            pictures.append(image.copy())
    return pictures


def images_of(pictures: list, flow):
    """uint8 images `[n, *event_shape]` of pictures, cut and scaled, with the flow's bits."""
    import numpy as np

    from tfflows.data import reduce_bits
    from tfflows.data.images import fit_image

    images = np.stack([fit_image(picture, flow.event_shape) for picture in pictures])
    return reduce_bits(images, flow.num_bits or 8)


def temperatures(text: str) -> float | list[float]:
    """One number, or several with commas between them."""
    numbers = [float(part) for part in text.split(",")]
    return numbers if len(numbers) > 1 else numbers[0]


def box(text: str) -> tuple[int, ...]:
    """Four integers with commas between them."""
    numbers = tuple(int(part) for part in text.split(","))
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"expected y0,x0,y1,x1, but found {text!r}")
    return numbers
