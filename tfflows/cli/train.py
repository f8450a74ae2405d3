"""The verbs of the command line that train: a recipe to start from, and the training itself."""

from __future__ import annotations

import difflib
import inspect
import math
from pathlib import Path

from tfflows.cli.arguments import output_of
from tfflows.cli.quiet import import_tensorflow

# Of a first try: what a table or images of some thousand examples need, in minutes.
_STEPS = 5000
# Rows of a table below which networks learn them by heart, and dropout keeps them from it.
_FEW = 10_000
_CONFIGS = {
    "BNAF": {"num_layers": 5, "width": 16},
    "FFJORD": {"hidden": [64, 64, 64], "activation": "gelu", "squash": False},
    "Gaussianization": {"num_layers": 10},
    "IAF": {"num_layers": 5, "hidden": [128, 128]},
    "IResNet": {"num_blocks": 10, "hidden": [64, 64]},
    "MAF": {"num_layers": 5, "hidden": [128, 128]},
    "NAF": {"num_layers": 5, "hidden": [128, 128]},
    "NICE": {"num_couplings": 8, "hidden": [128, 128]},
    "NSF": {"num_layers": 5, "hidden": [128, 128]},
    "PlanarFlow": {"num_layers": 32},
    "RealNVP": {"num_couplings": 8, "hidden": [128, 128]},
    "ResidualFlow": {"num_blocks": 10, "hidden": [64, 64]},
    "SylvesterFlow": {"num_layers": 16, "rank": 2},
}


def add_verbs(command) -> None:
    """Add the verbs to a parser; `command(name, run, summary)` adds one and returns its parser."""
    sub = command("init", _init, "Write a recipe to start from, for a flow and your data.")
    sub.add_argument("flow", metavar="FLOW", help="e.g. RealNVP, NSF, or Glow for images")
    sub.add_argument("--data", required=True, help="a name, a path, or tfds:NAME")
    sub.add_argument("-o", "--output", help="JSON file (default FLOW_DATA.json)")

    summary = "Train a recipe, a flow with settings to start from, or an entry anew; resumes."
    sub = command("train", _train, summary)
    help_text = "JSON file, name of a flow such as RealNVP, or zoo entry"
    sub.add_argument("recipe", metavar="RECIPE", help=help_text)
    help_text = "a name, a path, or tfds:NAME (default: the recipe's; a flow needs it)"
    sub.add_argument("--data", help=help_text)
    sub.add_argument("--epochs", type=int, help="instead of the recipe's")
    sub.add_argument("--output", help="folder of the run (default runs/NAME)")
    sub.add_argument(
        "--strategy",
        default="auto",
        choices=["auto", "one_device", "mirrored", "multi_worker"],
        help="where to train: one device, all GPUs, or the workers of TF_CONFIG (default auto)",
    )
    help_text = "all workers, the same on each, in place of TF_CONFIG"
    sub.add_argument("--workers", metavar="HOST:PORT,...", help=help_text)
    sub.add_argument("--index", type=int, default=0, help="of this worker, from 0, the chief")


def _init(arguments):
    output = output_of(arguments.output, f"{_run_name(arguments.flow, arguments.data)}.json")
    if output.exists():
        raise FileExistsError(f"{output} exists: expected the name of a new file, by --output.")
    recipe, data = _starting_recipe(arguments.flow, arguments.data)
    recipe.build_flow(data)  # says whether flow and data fit
    try:
        recipe.to_file(output)
    except OSError as error:
        raise OSError(f"Cannot write {output}: {error.strerror or error}.") from error
    print(f"Recipe, for `tfflows train {output}`: {output.resolve()}")


def _train(arguments):
    import_tensorflow()
    from tfflows import training

    if arguments.workers:
        training.set_workers(arguments.workers.split(","), arguments.index)
    # Collective operations must be set up before any other.
    strategy = training.strategy(arguments.strategy)
    recipe, name = _recipe_of(arguments)
    changes = {"data": arguments.data, "epochs": arguments.epochs}
    recipe = recipe.replace(**{k: v for k, v in changes.items() if v is not None})
    folder = Path(arguments.output or Path("runs") / name)
    flow = training.train(recipe, folder, strategy=strategy)
    if training.is_chief(strategy):
        path = folder / "flow.keras"
        flow.save(path)
        print(f"The trained flow: {path.resolve()}")


def _recipe_of(arguments):
    """The recipe that is named, and the name of its run."""
    import zoo
    from tfflows.flows import FLOWS
    from tfflows.training import Recipe

    name = arguments.recipe
    if name.endswith(".json"):
        return Recipe.from_file(name), Path(name).stem
    if name not in FLOWS:
        if name not in zoo.names():
            raise ValueError(_unknown(name, [*FLOWS, *zoo.names()], "flow or zoo entry"))
        return zoo.recipe(name), name
    if arguments.data is None:
        raise ValueError(f"Which data should {name} be trained on? Give --data.")
    recipe, _ = _starting_recipe(name, arguments.data, arguments.epochs)
    return recipe, _run_name(name, arguments.data)


def _run_name(flow: str, source: str) -> str:
    return f"{flow.lower()}_{Path(source).stem.removeprefix('tfds:')}"


def _starting_recipe(flow: str, source: str, epochs: int | None = None):
    """Settings that make a fair first try of a flow on some data, and the data.

    Args:
        flow: name of a flow.
        source: what `tfflows.data.load` takes.
        epochs: if not as many as a first try needs.

    Raises:
        ValueError: for an unknown flow, or as `tfflows.data.load` does.
    """
    import_tensorflow()
    from tfflows import data
    from tfflows.flows import FLOWS
    from tfflows.training import Recipe

    known = [name for name in FLOWS if name != "Flow"]
    if flow not in known:
        raise ValueError(_unknown(flow, known, "flow"))
    found = data.load(source)
    is_image = len(found.event_shape) == 3
    n = len(found.train)
    batch_size = min(64 if is_image else 256, max(1, n // 10))
    epochs = epochs or min(max(math.ceil(_STEPS * batch_size / n), 10), 200)
    config = _CONFIGS.get(flow) or _image_config(found.event_shape)
    if not is_image and n < _FEW and "dropout" in inspect.signature(FLOWS[flow]).parameters:
        config = {**config, "dropout": 0.5 if n < _FEW / 10 else 0.2}
    pretraining = None
    if flow == "FFJORD":  # most of it without solving the equation
        pretraining = {"loss": "flow_matching", "epochs": epochs, "learning_rate": 2e-3}
        epochs = math.ceil(epochs / 10)
    recipe = Recipe(
        flow,
        source,
        config,
        num_bits=found.num_bits,
        epochs=epochs,
        patience=max(10, epochs // 10),
        batch_size=batch_size,
        learning_rate=1e-3,
        warmup_steps=min(100, epochs * (n // batch_size) // 10),
        weight_decay=0.01,
        global_clipnorm=10.0,
        pretraining=pretraining,
    )
    return recipe, found


def _image_config(event_shape):
    """Of Glow and ImageRealNVP: halved as long as both sides are even, down to four pixels."""
    levels = 1
    while all(side % 2 ** (levels + 1) == 0 for side in event_shape[:2]) and (
        min(event_shape[:2]) // 2 ** (levels + 1) >= 4
    ):
        levels += 1
    return {"levels": levels, "width": 64}


def _unknown(name: str, known: list[str], what: str) -> str:
    lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.4)
    hint = f": did you mean {' or '.join(repr(lower[other]) for other in near)}?" if near else "."
    return f"There is no {what} {name!r}{hint}"
