"""Convert a checkpoint of OpenAI's Glow to a `tfflows.Glow` of the same density.

    python tools/convert_openai_glow.py CHECKPOINT OUT --image-size 32 --num-bits 8

CHECKPOINT is what https://github.com/openai/glow saves with TensorFlow 1's Saver, given as the path
before `.index` and `.data-...`. OUT is a new folder with `config.json` and `model.weights.h5`:

    import zoo
    zoo.register("my_glow", "OUT")
    flow = zoo.load("my_glow", weights="OUT/model.weights.h5")

Image size and bits per pixel are not in a checkpoint and have to be what it was trained with
(`--image_size` and `--n_bits_x` there). All else is read from the variables' names and shapes:
levels, steps, width, additive or affine couplings, the permutation, and the top prior (`--learntop`
and `--ycond` there). A `--ycond` checkpoint becomes a flow of class labels.

A checkpoint holds each weight and its moving average. The averages are converted where there are
any, or with `--raw` the weights, which are what OpenAI's `train.py` measures and samples from. The
optimizer's state and the classifier of `--weight_y` are left out.

What differs in form, not in value: the actnorms within the couplings' networks become part of the
convolutions; the top prior, a convolution of zeros there, becomes a mean and a scale for each
position; a fixed shuffle becomes a 1x1 convolution, W = P L U with P the shuffle and L = U = 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import sys
from pathlib import Path

import numpy as np

# tfops.py multiplies all its learned log-scales by this, which makes them learn faster.
LOG_SCALE_FACTOR = 3.0
SCOPE = "model/"
AVERAGE = "/ExponentialMovingAverage"
# These stay as they start, so they have no average.
NOT_TRAINED = ("P", "sign_S", "indices", "indices_inverse")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the names and shapes of a checkpoint's variables tell about its model."""

    levels: int
    steps: int
    width: int
    channels: int  # of the squeezed image
    coupling: str  # "affine" or "additive"
    permutation: str  # "invconv", "invconv_lu", "shuffle" or "reverse"
    learntop: bool
    num_classes: int | None


# What is in the checkpoint.


def read(checkpoint, raw: bool = False) -> dict[str, np.ndarray]:
    """The model's variables, their names without the scope `model`, in float64.

    Args:
        checkpoint: path before `.index`.
        raw: take the weights and not their moving averages.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        ValueError: if it cannot be read, is of something else, has averages of some weights only,
            or values that are not finite.
    """
    import tensorflow as tf

    path = re.sub(r"\.(index|data-\d+-of-\d+)$", "", str(checkpoint))
    if not (Path(path).is_file() or Path(path + ".index").is_file()):
        raise FileNotFoundError(
            f"There is no checkpoint {path}: expected the path before '.index', and found no file "
            f"{path}.index."
        )

    def attempt(function, *arguments):
        try:
            return function(*arguments)
        except Exception as error:  # TensorFlow raises many kinds for damaged files
            raise ValueError(f"The checkpoint {path} cannot be read: {error}") from error

    reader = attempt(tf.train.load_checkpoint, path)
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith(SCOPE)]
    chosen = _choose([name.removeprefix(SCOPE) for name in names], raw)
    values = {name: attempt(reader.get_tensor, SCOPE + key) for name, key in chosen.items()}
    for name, value in values.items():
        if not np.all(np.isfinite(value)):
            raise ValueError(f"The variable {SCOPE}{name} has values that are not finite.")
    return {name: value.astype("float64") for name, value in values.items()}


def _choose(stored: list[str], raw: bool) -> dict[str, str]:
    """From each variable's own name to the one that its value is stored under."""
    averages = {name.removesuffix(AVERAGE): name for name in stored if name.endswith(AVERAGE)}
    # TensorFlow keeps two more variables in the scope of an average whose bias it corrects.
    plain = {name: name for name in stored if AVERAGE not in name}
    if raw or not averages:
        if averages and not plain.keys() & averages.keys():
            raise ValueError(
                "The checkpoint holds moving averages only, no weights beside them; convert it "
                "without --raw."
            )
        return plain
    lacking = [
        name
        for name in plain
        if name not in averages and name.rpartition("/")[2] not in NOT_TRAINED
    ]
    if lacking:
        raise ValueError(
            f"The checkpoint has moving averages of {len(averages)} variables, but not of "
            f"{_some(lacking)}; --raw takes the weights themselves."
        )
    return plain | averages


def settings_of(shapes: dict[str, tuple[int, ...]]) -> Settings:
    """The model that has variables of these shapes.

    Raises:
        ValueError: if a name is unknown, one is missing, or a shape does not fit the others.
    """
    steps = [re.match(r"(\d+)/(\d+)/", name) for name in shapes]
    steps = {(int(match[1]), int(match[2])) for match in steps if match}
    if not steps:
        raise ValueError(
            "This is no checkpoint of OpenAI's Glow: it has no variables of a first step, such as "
            f"{SCOPE}0/0/actnorm_center/b. Within {SCOPE} it has {_some(shapes)}."
        )

    def last_size(name, rank):
        if name not in shapes:
            raise ValueError(f"The checkpoint lacks the variable {SCOPE}{name}.")
        if len(shapes[name]) != rank:
            raise ValueError(f"{SCOPE}{name} has shape {shapes[name]}; expected {rank} axes.")
        return shapes[name][-1]

    channels = last_size("0/0/actnorm_center/b", 4)
    outputs = last_size("0/0/f1/l_last/W", 4)
    if channels % 4:
        raise ValueError(
            f"{SCOPE}0/0/actnorm_center/b has {channels} channels, but a squeezed image has a "
            "multiple of 4."
        )
    if outputs not in (channels // 2, channels):
        raise ValueError(
            f"{SCOPE}0/0/f1/l_last/W has {outputs} outputs for {channels} channels; expected "
            f"{channels // 2} (additive coupling) or {channels} (affine coupling)."
        )
    kinds = {"invconv/W": "invconv", "invconv/L": "invconv_lu", "shuffle/indices": "shuffle"}
    found = [kind for name, kind in kinds.items() if f"0/0/{name}" in shapes]
    scopes = {name.partition("/")[2].partition("/")[0] for name in shapes if name[:6] == "prior/"}
    num_classes = None
    if "y_emb" in scopes:
        last_size("prior/y_emb/W", 2)
        num_classes = shapes["prior/y_emb/W"][0]
    settings = Settings(
        levels=1 + max(level for level, _ in steps),
        steps=1 + max(step for _, step in steps),
        width=last_size("0/0/f1/l_1/W", 4),
        channels=channels,
        coupling="affine" if outputs == channels else "additive",
        permutation=found[0] if found else "reverse",
        learntop="p" in scopes,
        num_classes=num_classes,
    )
    _compare(shapes, expected_shapes(settings), settings)
    return settings


def expected_shapes(settings: Settings) -> dict[str, tuple[int, ...]]:
    """All variables that a model has, as model.py and tfops.py create them."""
    shapes = {}
    for level in range(settings.levels):
        c = settings.channels * 2**level
        for step in range(settings.steps):
            network = {
                **_hidden_convolution("l_1", 3, c // 2 + 1, settings.width),
                **_hidden_convolution("l_2", 1, settings.width, settings.width),
                **_last_convolution(
                    "l_last", settings.width, c if settings.coupling == "affine" else c // 2
                ),
            }
            variables = {
                **_actnorm("", c),
                **_permutation(settings.permutation, c),
                **{f"f1/{name}": shape for name, shape in network.items()},
            }
            shapes |= {f"{level}/{step}/{name}": shape for name, shape in variables.items()}
        if level < settings.levels - 1:
            shapes |= _last_convolution(f"pool{level}/conv", c // 2, c)
    if settings.learntop:
        shapes |= _last_convolution("prior/p", 2 * c, 2 * c)
    if settings.num_classes is not None:
        shapes["prior/y_emb/W"] = (settings.num_classes, 2 * c)
        shapes["prior/y_emb/b"] = shapes["prior/y_emb/logs"] = (1, 2 * c)
    return shapes


def _actnorm(scope, channels):
    shape = (1, 1, 1, channels)
    return {f"{scope}actnorm_center/b": shape, f"{scope}actnorm_scale/logs": shape}


def _hidden_convolution(scope, size, inputs, outputs):
    return {f"{scope}/W": (size, size, inputs, outputs), **_actnorm(f"{scope}/", outputs)}


def _last_convolution(scope, inputs, outputs):
    # The additional input channel is 1 in the padding.
    kernel = (3, 3, inputs + 1, outputs)
    return {f"{scope}/W": kernel, f"{scope}/b": (1, 1, 1, outputs), f"{scope}/logs": (1, outputs)}


def _permutation(kind, channels):
    if kind == "invconv":
        return {"invconv/W": (channels, channels)}
    if kind == "invconv_lu":
        matrices = {f"invconv/{name}": (channels, channels) for name in "PLU"}
        return {**matrices, "invconv/sign_S": (channels,), "invconv/log_S": (channels,)}
    if kind == "shuffle":
        return {"shuffle/indices": (channels,), "shuffle/indices_inverse": (channels,)}
    return {}


def _compare(found, expected, settings: Settings):
    model = ", ".join(f"{key}={value}" for key, value in dataclasses.asdict(settings).items())
    missing = [name for name in expected if name not in found]
    if missing:
        raise ValueError(
            f"The checkpoint lacks {len(missing)} variables of a model with {model}: "
            f"{_some(missing)}."
        )
    unknown = [n for n in found if n not in expected and not n.startswith("classifier/")]
    if unknown:
        raise ValueError(
            f"The checkpoint has {len(unknown)} variables that a model with {model} does not "
            f"have: {_some(unknown)}."
        )
    for name, shape in expected.items():
        if tuple(found[name]) != shape:
            raise ValueError(
                f"{SCOPE}{name} has shape {tuple(found[name])}, but a model with {model} has "
                f"{shape}."
            )


def _some(names) -> str:
    names = [SCOPE + name for name in names]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "nothing"


# From their parameters to ours.


def convert(
    checkpoint,
    image_size: int,
    num_bits: int,
    raw: bool = False,
    dtype: str = "float32",
    name: str = "glow",
):
    """A `tfflows.Glow` with the weights of a checkpoint of OpenAI's Glow.

    Args:
        checkpoint: path before `.index`.
        image_size: height and width of the images that it was trained on.
        num_bits: bits per pixel that it was trained on.
        raw: take the weights and not their moving averages.
        dtype: of the flow.
        name: of the flow.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        ValueError: if the checkpoint is not one of OpenAI's Glow, is spoilt, or does not fit the
            image size.
    """
    variables = read(checkpoint, raw)
    settings = settings_of({key: value.shape for key, value in variables.items()})
    if image_size < 1 or image_size % 2**settings.levels:
        raise ValueError(
            f"The checkpoint has {settings.levels} levels, so {2**settings.levels} divides the "
            f"sides of its images, but found an image size of {image_size}."
        )
    flow = build_flow(settings, image_size, num_bits, dtype, name)
    # Their level 0 and step 0 are next to the data, ours are next to the base.
    for theirs, level in enumerate(reversed(flow.multiscale.levels)):
        last = theirs == settings.levels - 1
        has_prior = not last or settings.learntop or settings.num_classes is not None
        size = (3 if last else 1) if has_prior else 0
        prior, layers = level.unrolled()[:size], level.unrolled()[size:-1]
        if last and has_prior:
            _set_top_prior(prior[1], settings, variables, level.latent_shape)
        elif has_prior:
            _set_prior(prior[0].conditioner.conv, variables, f"pool{theirs}/conv")
        for step in range(settings.steps):
            coupling, permutation, actnorm = layers[3 * (settings.steps - 1 - step) :][:3]
            scope = f"{theirs}/{step}"
            _set_coupling(coupling.conditioner, settings.coupling, variables, f"{scope}/f1")
            _set_permutation(permutation, settings.permutation, variables, scope)
            log_scale = LOG_SCALE_FACTOR * variables[f"{scope}/actnorm_scale/logs"]
            actnorm.log_scale.assign(-log_scale.ravel())
            actnorm.shift.assign(-variables[f"{scope}/actnorm_center/b"].ravel())
            actnorm.adapted.assign(True)
    return flow


def build_flow(settings: Settings, image_size: int, num_bits: int, dtype: str, name: str):
    """The flow that a model with these settings is converted to."""
    import tfflows

    return tfflows.Glow(
        (image_size, image_size, settings.channels // 4),
        levels=settings.levels,
        steps=settings.steps,
        width=settings.width,
        coupling=settings.coupling,
        permutation="reverse" if settings.permutation == "reverse" else "conv1x1",
        parameterization="full" if settings.permutation == "invconv" else "lu",
        prior="convolution",
        learned_prior=settings.learntop or settings.num_classes is not None,
        squeeze_order="pixel_unshuffle",
        edge_bias=True,
        num_bits=num_bits,
        num_classes=settings.num_classes,
        dtype=dtype,
        name=name,
    )


def _scaled_convolution(variables, scope):
    """Kernel, kernel of the channel that is 1 in the padding, and bias of a `conv2d_zeros`."""
    scale = np.exp(LOG_SCALE_FACTOR * variables[f"{scope}/logs"].ravel())
    kernel = variables[f"{scope}/W"] * scale
    return kernel[:, :, :-1], kernel[:, :, -1:], variables[f"{scope}/b"].ravel() * scale


def _normalized_convolution(variables, scope):
    """Kernel and bias of a `conv2d` and the actnorm after it."""
    scale = np.exp(LOG_SCALE_FACTOR * variables[f"{scope}/actnorm_scale/logs"].ravel())
    bias = variables[f"{scope}/actnorm_center/b"].ravel()
    return variables[f"{scope}/W"] * scale, bias * scale


def _set_coupling(network, kind, variables, scope):
    kernel, bias = _normalized_convolution(variables, f"{scope}/l_1")
    network._first.kernel.assign(kernel[:, :, :-1])
    network._first.bias.assign(bias)
    network.first_edge.assign(kernel[:, :, -1:])
    kernel, bias = _normalized_convolution(variables, f"{scope}/l_2")
    network._middle.kernel.assign(kernel)
    network._middle.bias.assign(bias)

    def ours(parameters):
        """Theirs are [t, h, t, h, ...] of (z + t) sigmoid(h + 2); ours [h, t] of (x - t) ..."""
        if kind == "additive":
            return -parameters
        return np.concatenate([parameters[..., 1::2], -parameters[..., 0::2]], axis=-1)

    kernel, edge, bias = (ours(part) for part in _scaled_convolution(variables, f"{scope}/l_last"))
    factor = network._output_factor
    # A transposed convolution, whose kernel is the other way round.
    network._last.kernel.assign(kernel[::-1, ::-1].swapaxes(2, 3) / factor)
    network._last.bias.assign(bias / factor)
    network.last_edge.assign(edge)
    if network._context is not None:  # there, the class changes the top prior alone
        network._context.kernel.assign(np.zeros(network._context.kernel.shape))


def _set_permutation(layer, kind, variables, scope):
    if kind == "invconv":
        matrix = variables[f"{scope}/invconv/W"]
        condition = np.linalg.cond(matrix)
        if not condition < 1 / np.finfo(layer.compute_dtype).eps:
            raise ValueError(
                f"{SCOPE}{scope}/invconv/W is singular: its condition number is {condition:.3g}."
            )
        layer.kernel.assign(matrix)
    elif kind == "invconv_lu":
        names = {"permutation": "P", "lower": "L", "upper": "U"}
        names |= {"sign": "sign_S", "log_diagonal": "log_S"}
        for ours, theirs in names.items():
            getattr(layer, ours).assign(variables[f"{scope}/invconv/{theirs}"])
    elif kind == "shuffle":
        indices = variables[f"{scope}/shuffle/indices"].astype(int)
        size = len(indices)
        if sorted(indices) != list(range(size)):
            raise ValueError(
                f"{SCOPE}{scope}/shuffle/indices should be each of 0 ... {size - 1} once, but "
                f"found {indices.tolist()}."
            )
        layer.permutation.assign(np.eye(size)[:, indices])
        layer.lower.assign(np.zeros((size, size)))
        layer.upper.assign(np.zeros((size, size)))
        layer.sign.assign(np.ones(size))
        layer.log_diagonal.assign(np.zeros(size))


def _set_prior(convolution, variables, scope):
    """Theirs are [mean, logs, mean, logs, ...], ours [s, shift]."""
    kernel, edge, bias = (
        np.concatenate([part[..., 1::2], part[..., 0::2]], axis=-1)
        for part in _scaled_convolution(variables, scope)
    )
    # Our additional channel is 1 within the image, theirs in the padding.
    convolution.kernel.assign(np.concatenate([kernel, -edge], axis=2))
    convolution.bias.assign(bias + edge.sum((0, 1, 2)))


def _set_top_prior(layer, settings, variables, shape):
    """Theirs are [mean, logs] at each position, ours [s, shift] of all positions."""

    def ours(parameters):
        mean, log_scale = np.split(parameters, 2, axis=-1)
        return np.concatenate([log_scale.reshape(-1), mean.reshape(-1)])

    height, width, channels = shape
    parameters = np.zeros((height, width, 2 * channels))
    if settings.learntop:
        _, edge, bias = _scaled_convolution(variables, "prior/p")
        outside = np.pad(np.zeros((height, width)), 1, constant_values=1.0)
        parameters += bias
        for row, column in np.ndindex(3, 3):
            window = outside[row : row + height, column : column + width]
            parameters += window[..., np.newaxis] * edge[row, column, 0]
    if settings.num_classes is not None:
        scale = np.exp(LOG_SCALE_FACTOR * variables["prior/y_emb/logs"])
        parameters += variables["prior/y_emb/b"] * scale
        classes = variables["prior/y_emb/W"] * scale
        layer.kernel.assign(
            np.stack([ours(np.broadcast_to(row, parameters.shape)) for row in classes])
        )
    layer.bias.assign(ours(parameters))


# The command.


def save(flow, folder) -> None:
    """Write `config.json` and `model.weights.h5`, as in the folder of a zoo entry."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    description = {"flow": type(flow).__name__, "config": flow.get_config()}
    text = json.dumps(description, indent=2) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
    flow.save_weights(folder / "model.weights.h5")


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 good, 1 failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT")
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("--image-size", type=int, required=True, help="height and width, in pixels")
    parser.add_argument("--num-bits", type=int, required=True, help="bits per pixel, 1 to 8")
    parser.add_argument("--raw", action="store_true", help="the weights, not their averages")
    arguments = parser.parse_args(argv)
    # TensorFlow's start-up lines tell a user nothing.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        if arguments.out.exists():
            raise FileExistsError(f"{arguments.out} exists; it is not overwritten.")
        flow = convert(
            arguments.checkpoint,
            arguments.image_size,
            arguments.num_bits,
            arguments.raw,
            name=arguments.out.name,
        )
        save(flow, arguments.out)
    except (ValueError, OSError) as error:
        print(f"convert_openai_glow: {error}", file=sys.stderr)
        return 1
    facts = {key: value for key, value in flow.get_config().items() if value is not None}
    print("\n".join(f"{key:18}{value}" for key, value in facts.items()))
    print(f"{'parameters':18}{flow.count_params():,}")
    print(f"written to        {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
