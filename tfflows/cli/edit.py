"""The verbs of the command line that edit images, each with a picture."""

from __future__ import annotations

import difflib
import math
from pathlib import Path

from tfflows.cli.arguments import (
    box,
    image_flow_of,
    images_of,
    output_of,
    pictures_of,
    source_of,
)
from tfflows.cli.pictures import beside, save, say_range


def add_verbs(command) -> None:
    """Add the verbs to a parser; `command(name, run, summary)` adds one and returns its parser."""

    def verb(name, run, summary):
        sub = command(name, run, summary)
        sub.add_argument("name", help="zoo entry, or path of a saved .keras flow")
        sub.add_argument("-o", "--output", help=f"PNG file (default NAME_{name}.png)")
        return sub

    picture = (
        "BMP, GIF, JPEG, PNG or WebP file; the middle is cut out and scaled to the flow's size"
    )

    def takes_label(sub):
        sub.add_argument("--label", type=int, help="class of the images, for a conditional flow")

    def takes_noise(sub, temperature):
        help_text = f"factor on the noise (default {temperature:g})"
        sub.add_argument("--temperature", type=float, default=temperature, help=help_text)
        sub.add_argument("--seed", type=int, default=0, help="(default 0)")

    sub = verb("interpolate", _interpolate, "Draw a path between two images in latent space.")
    sub.add_argument("images", nargs=2, metavar="IMAGE", help=picture)
    sub.add_argument("--steps", type=int, default=8, help="images on the path (default 8)")
    sub.add_argument("--kind", default="spherical", choices=["spherical", "linear"])
    takes_label(sub)

    sub = verb("edit", _edit, "Add and take away an attribute that data show.")
    sub.add_argument(
        "images", nargs="*", metavar="IMAGE", help=f"{picture} (default: held-out images)"
    )
    help_text = "data set with attributes (default: the zoo's direction, or else the entry's data)"
    sub.add_argument("--data", help=help_text)
    sub.add_argument("--attribute", required=True, help="its name, its column, or a class label")
    help_text = "most of the mean difference that is added or taken away (default 1)"
    sub.add_argument("--strength", type=float, default=1.0, help=help_text)
    sub.add_argument("--steps", type=int, default=5, help="strengths a row (default 5)")
    sub.add_argument("--n", type=int, default=6, help="held-out images (default 6)")
    help_text = "training images that the direction is taken from (default 2000)"
    sub.add_argument("--examples", type=int, default=2000, help=help_text)
    takes_label(sub)

    sub = verb("reconstruct", _reconstruct, "Draw images from their coarsest levels only.")
    sub.add_argument("images", nargs="+", metavar="IMAGE", help=picture)
    takes_noise(sub, 0.0)
    takes_label(sub)

    sub = verb("inpaint", _inpaint, "Fill in a box that is unknown.")
    sub.add_argument("images", nargs="+", metavar="IMAGE", help=picture)
    help_text = "Y0,X0,Y1,X1: rows Y0 to Y1 - 1 and columns X0 to X1 - 1"
    sub.add_argument("--box", type=box, required=True, help=help_text)
    sub.add_argument("--n", type=int, default=3, help="fillings of each image (default 3)")
    sub.add_argument("--steps", type=int, default=100, help="(default 100)")
    takes_noise(sub, 0.5)
    takes_label(sub)

    sub = verb("neighbours", _neighbours, "Draw samples beside the nearest training images.")
    sub.add_argument("--data", help="data set (default: the entry's own)")
    sub.add_argument("--n", type=int, default=8, help="samples (default 8)")
    sub.add_argument("--k", type=int, default=5, help="neighbours of each (default 5)")
    takes_noise(sub, 1.0)
    takes_label(sub)


def _interpolate(arguments):
    output, pictures = _files(arguments)
    flow = image_flow_of(arguments.name)
    from tfflows import edit

    a, b = images_of(pictures, flow)
    images = edit.interpolate(flow, a, b, arguments.steps, arguments.kind, arguments.label)
    labels = [f"{i / (arguments.steps - 1):.2f}" for i in range(arguments.steps)]
    save(arguments.name, output, flow, images.numpy()[None], labels)
    say_range(flow, images.numpy()[None], labels)


def _edit(arguments):
    _require_positive(arguments, "steps", "n", "examples")
    if not math.isfinite(arguments.strength):
        raise ValueError(f"--strength should be finite, but found {arguments.strength}.")
    output, pictures = _files(arguments)
    shipped = _shipped_directions(arguments)
    direction = shipped.get(arguments.attribute)
    source = None
    if direction is None or not pictures:
        source = source_of(arguments.name, arguments.data)
    flow = image_flow_of(arguments.name)
    import numpy as np

    from tfflows import edit

    data = None if source is None else _data(arguments, source, flow)
    if direction is None:
        some = slice(arguments.examples)
        attribute = _attribute(data, arguments.attribute)[some]
        context = data.train.y[some] if flow.is_conditional else None
        direction = edit.attribute_direction(flow, data.train.x[some], attribute, context)
    if pictures:
        images, context = images_of(pictures, flow), arguments.label
    else:
        images = data.test.x[: arguments.n]
        context = data.test.y[: arguments.n] if flow.is_conditional else None
    strengths = np.linspace(-arguments.strength, arguments.strength, arguments.steps)
    edited = edit.manipulate(flow, images, direction, strengths, context).numpy()
    labels = [f"{arguments.attribute} {strength:+.2g}" for strength in strengths]
    save(arguments.name, output, flow, beside(images, edited, flow), ["image", *labels])
    say_range(flow, edited, labels)


def _shipped_directions(arguments) -> dict:
    """Directions of attributes that the zoo has for an entry, where no data are given.

    Raises:
        ValueError: for an attribute that they lack.
    """
    if arguments.data is not None or arguments.name.endswith(".keras"):
        return {}
    import zoo

    found = zoo.directions(arguments.name)
    if found and arguments.attribute not in found:
        raise ValueError(
            f"The zoo has no direction of {_with_near(arguments.attribute, found)} for "
            f"{arguments.name}, only of {', '.join(found)}: give one of these, or --data with "
            "images that show it."
        )
    return found


def _reconstruct(arguments):
    output, pictures = _files(arguments)
    flow = image_flow_of(arguments.name)
    import numpy as np

    from tfflows import edit

    images = images_of(pictures, flow)
    levels = len(edit.multiscale_of(flow).part_shapes)
    options = {
        "temperature": arguments.temperature,
        "seed": arguments.seed,
        "context": arguments.label,
    }
    made = [edit.reconstruct(flow, images, k, **options) for k in range(1, levels + 1)]
    made = np.stack(made, axis=1)
    labels = [f"{k} of {levels} levels" for k in range(1, levels + 1)]
    save(arguments.name, output, flow, beside(images, made, flow), ["image", *labels])
    say_range(flow, made, labels)


def _inpaint(arguments):
    output, pictures = _files(arguments)
    flow = image_flow_of(arguments.name)
    import keras
    import numpy as np

    from tfflows import edit

    images = images_of(pictures, flow)
    y0, x0, y1, x1 = arguments.box
    height, width, _ = flow.event_shape
    if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
        raise ValueError(
            f"--box should lie within the {height} x {width} pixels, Y0,X0 above and left of "
            f"Y1,X1, but found {y0},{x0},{y1},{x1}."
        )
    _require_positive(arguments, "n")
    mask = np.zeros([height, width], bool)
    mask[y0:y1, x0:x1] = True
    bar = keras.utils.Progbar(len(images) * arguments.steps, unit_name="step")
    made = np.stack(
        [
            edit.inpaint(
                flow,
                np.repeat(image[None], arguments.n, axis=0),
                mask,
                arguments.steps,
                temperature=arguments.temperature,
                seed=arguments.seed + i,
                context=arguments.label,
                progress=lambda done, i=i: bar.update(i * arguments.steps + done),
            )
            for i, image in enumerate(images)
        ]
    )
    known = np.where(mask[..., None], 2 ** (flow.num_bits or 8) // 2, images)
    made = np.concatenate([known[:, None], made], axis=1)
    labels = ["image", "known", *(f"filled {i + 1}" for i in range(arguments.n))]
    save(arguments.name, output, flow, beside(images, made, flow), labels)


def _neighbours(arguments):
    output, _ = _files(arguments)
    source = source_of(arguments.name, arguments.data)
    flow = image_flow_of(arguments.name)
    import numpy as np

    from tfflows import edit
    from tfflows.distributions.dequantization import quantize

    _require_positive(arguments, "n", "k")
    data = _data(arguments, source, flow)
    context = arguments.label
    if flow.is_conditional and context is None:
        context = data.test.y[: arguments.n]
    samples = flow.sample(arguments.n, arguments.temperature, arguments.seed, context)
    samples = quantize(samples, flow.num_bits or 8)
    held_out = data.test.x[: arguments.n]
    both = np.concatenate([samples, held_out])
    index, distance = edit.nearest_neighbours(both, data.train.x, arguments.k)
    neighbours = data.train.x[index[: arguments.n]]
    labels = ["sample", *(f"nearest {i + 1}" for i in range(arguments.k))]
    save(arguments.name, output, flow, beside(samples, neighbours, flow), labels)
    root_mean_square = distance[:, 0] / np.sqrt(samples[0].size)
    print(
        "Root mean square difference of the pixels to the nearest of "
        f"{len(data.train):,} training images, median: "
        f"{np.median(root_mean_square[: arguments.n]):.2f} of {arguments.n} samples, "
        f"{np.median(root_mean_square[arguments.n :]):.2f} of {len(held_out)} test images."
    )


def _files(arguments):
    """The path to write and the pictures to read, both looked at before a flow is loaded."""
    default = f"{Path(arguments.name).stem}_{arguments.run.__name__[1:]}.png"
    return output_of(arguments.output, default), pictures_of(getattr(arguments, "images", []))


def _require_positive(arguments, *options):
    for option in options:
        if getattr(arguments, option) < 1:
            found = getattr(arguments, option)
            raise ValueError(f"--{option} should be at least 1, but found {found}.")


def _data(arguments, source, flow):
    """The data set, if it has the images of the flow."""
    from tfflows import data

    try:
        found = data.load(source, num_bits=flow.num_bits or 8)
    except (ValueError, OSError) as error:
        if arguments.data is not None:
            raise
        images = ", or image files" if arguments.run is _edit else ""
        raise ValueError(
            f"The data that {arguments.name} was trained on are not at hand: give --data{images}. "
            f"{error}"
        ) from error
    if found.event_shape != flow.event_shape:
        raise ValueError(
            f"The data set {found.name} has examples of shape {found.event_shape}, but the flow's "
            f"have shape {flow.event_shape}."
        )
    return found


def _attribute(data, name: str):
    """Which of the training examples have the attribute or are of the class."""
    y = data.train.y
    if y is None:
        raise ValueError(f"The data set {data.name} has neither attributes nor labels.")
    if y.ndim == 2 and name in (data.attribute_names or ()):
        return y[:, data.attribute_names.index(name)]
    count = y.shape[1] if y.ndim == 2 else data.num_classes
    if name.isdecimal() and int(name) < count:
        return y[:, int(name)] if y.ndim == 2 else y == int(name)
    kind = "attributes" if y.ndim == 2 else "classes"
    known = ", ".join(data.attribute_names or ()) or f"0 to {count - 1}"
    raise ValueError(
        f"The data set {data.name} has no attribute "
        f"{_with_near(name, data.attribute_names or ())}: its {kind} are {known}."
    )


def _with_near(name: str, known) -> str:
    """A name that is not known, and which of those that are it may stand for."""
    lower = {other.lower(): other for other in known}
    near = [lower[other] for other in difflib.get_close_matches(name.lower(), lower, n=3)]
    return f"{name!r} (did you mean {' or '.join(map(repr, near))}?)" if near else repr(name)
