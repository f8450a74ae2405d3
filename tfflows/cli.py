"""The command line `tfflows`. Nothing imports it, and it imports TensorFlow only when it must."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

_DESCRIPTION = "Normalizing flows: sample, train, measure and export."


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 good, 1 failed, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    # TensorFlow's start-up lines tell a user nothing.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return arguments.run(arguments) or 0
    except (ValueError, OSError, ImportError) as error:
        print(f"tfflows: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tfflows: interrupted; `train` goes on when it is called again.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tfflows", description=_DESCRIPTION)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name, run, summary):
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        return sub

    sub = command("list", _list, "List the zoo's entries with their figures.")
    sub.add_argument("pattern", nargs="?", default="*", help="shell pattern, e.g. 'real*'")

    sub = command("card", _card, "Print the card of a zoo entry.")
    sub.add_argument("name")

    sub = command("sample", _sample, "Draw samples into a PNG picture.")
    sub.add_argument("name", help="zoo entry, or path of a saved .keras flow")
    sub.add_argument("--n", type=int, help="number of samples (default 100, or 2000 points)")
    sub.add_argument("--temperature", type=float, default=1.0, help="factor on z (default 1)")
    sub.add_argument("--seed", type=int, default=0, help="(default 0)")
    sub.add_argument("--label", type=int, help="class of the samples of a conditional entry")
    sub.add_argument("--output", help="PNG file (default NAME.png)")

    sub = command("train", _train, "Train a recipe, or a zoo entry's recipe anew; resumes.")
    sub.add_argument("recipe", metavar="RECIPE-or-NAME", help="JSON file or zoo entry")
    sub.add_argument("--data", help="another data set: a name, a path, or tfds:NAME")
    sub.add_argument("--epochs", type=int, help="instead of the recipe's")
    sub.add_argument("--output", help="folder of the run (default runs/NAME)")

    sub = command("evaluate", _evaluate, "Measure the likelihood on held-out data.")
    sub.add_argument("name", help="zoo entry, or path of a saved .keras flow")
    sub.add_argument("--data", help="data set (default: the entry's own)")
    sub.add_argument("--split", default="test", choices=["train", "validation", "test"])
    sub.add_argument("--draws", type=int, default=1, help="dequantisation draws per image")
    sub.add_argument("--seed", type=int, default=0, help="of the draws (default 0)")

    sub = command("verify", _verify, "Check that entries compute what was published.")
    sub.add_argument("names", nargs="*", help="zoo entries (default: all)")

    sub = command("export", _export, "Write a SavedModel for a model server.")
    sub.add_argument("name", help="zoo entry, or path of a saved .keras flow")
    sub.add_argument("directory", help="the model is written to DIRECTORY/NAME/VERSION/")
    sub.add_argument("--version", type=int, default=1, help="(default 1)")
    return parser


def _list(arguments):
    import zoo

    names = zoo.list(arguments.pattern)
    if not names:
        raise ValueError(f"No zoo entry matches {arguments.pattern!r}; known are {zoo.list()}.")
    for name in names:
        facts = zoo.metadata(name)
        measured = facts["likelihood"]
        figure = f"{measured['nll']:.3f} nats"
        if measured["bits_per_dim"] is not None:
            figure = f"{measured['bits_per_dim']:.3f} bits/dim"
        print(f"{name:32}{figure:>18}  {facts['parameters']:>10,} parameters")


def _card(arguments):
    import zoo

    print(zoo.card(arguments.name))


def _sample(arguments):
    output = Path(arguments.output or f"{Path(arguments.name).stem}.png")
    if not output.parent.is_dir():
        raise OSError(f"Cannot write {output}: the folder {output.parent} does not exist.")
    flow = _flow(arguments.name)
    from tfflows import plots

    plots.save_samples(
        flow,
        output,
        n=arguments.n,
        temperature=arguments.temperature,
        seed=arguments.seed,
        context=arguments.label,
    )
    print(f"Samples of {arguments.name}: {output.resolve()}")


def _train(arguments):
    import zoo

    name = arguments.recipe
    is_file = name.endswith(".json")
    from tfflows.training.recipe import Recipe

    recipe = Recipe.from_file(name) if is_file else zoo.recipe(name)
    changes = {"data": arguments.data, "epochs": arguments.epochs}
    recipe = recipe.replace(**{k: v for k, v in changes.items() if v is not None})
    folder = Path(arguments.output or Path("runs") / Path(name).stem)
    from tfflows import training

    flow = training.train(recipe, folder)
    path = folder / "flow.keras"
    flow.save(path)
    print(f"The trained flow: {path.resolve()}")


def _evaluate(arguments):
    import zoo

    is_entry = not arguments.name.endswith(".keras")
    if not is_entry and arguments.data is None:
        raise ValueError(f"Which data? {arguments.name} does not say; give --data.")
    source = arguments.data or zoo.recipe(arguments.name).data
    flow = _flow(arguments.name)
    from tfflows import data, evaluate

    split = getattr(data.load(source), arguments.split)
    context = split.y if flow.is_conditional else None
    print(evaluate.likelihood(flow, split.x, context, arguments.draws, arguments.seed))


def _verify(arguments):
    import zoo

    results = [zoo.verify(name) for name in arguments.names or zoo.list()]
    for result in results:
        print(result)
    return 0 if all(result.ok for result in results) else 1


def _export(arguments):
    if arguments.name.endswith(".keras"):
        from tfflows import export

        name = Path(arguments.name).stem
        path = export.version_path(arguments.directory, name, arguments.version)
        path = export.save(_flow(arguments.name), path)
    else:
        import zoo

        path = zoo.export(arguments.name, arguments.directory, arguments.version)
    print(f"SavedModel: {path.resolve()}")


def _flow(name: str):
    """The flow of a zoo entry or of a `.keras` file."""
    import zoo

    if not name.endswith(".keras"):
        return zoo.load(name)
    if not Path(name).is_file():
        raise FileNotFoundError(f"There is no saved flow {name}.")
    import keras

    import tfflows.flow
    import tfflows.flows  # registers the classes that the file names

    flow = keras.models.load_model(name)
    if not isinstance(flow, tfflows.flow.Flow):
        raise ValueError(f"{name} holds a {type(flow).__name__}, not a flow.")
    return flow


if __name__ == "__main__":
    sys.exit(main())
