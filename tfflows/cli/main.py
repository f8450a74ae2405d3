"""The commands of `tfflows`, and what most of them do."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tfflows.cli import edit, serve
from tfflows.cli.arguments import export_of, flow_of, output_of, source_of, temperatures

_DESCRIPTION = "Normalizing flows: sample, edit, train, measure, export and serve."


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
    help_text = "factor on z (default 1), or one a level with commas, coarsest first"
    sub.add_argument("--temperature", type=temperatures, default=1.0, help=help_text)
    sub.add_argument("--seed", type=int, default=0, help="(default 0)")
    sub.add_argument("--label", type=int, help="class of the samples of a conditional entry")
    sub.add_argument("-o", "--output", help="PNG file (default NAME.png)")

    edit.add_verbs(command)

    sub = command("train", _train, "Train a recipe, or a zoo entry's recipe anew; resumes.")
    sub.add_argument("recipe", metavar="RECIPE-or-NAME", help="JSON file or zoo entry")
    sub.add_argument("--data", help="another data set: a name, a path, or tfds:NAME")
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

    sub = command("evaluate", _evaluate, "Measure a flow on held-out data.")
    sub.add_argument("name", help="zoo entry, or path of a saved .keras flow")
    sub.add_argument("--data", help="data set (default: the entry's own)")
    sub.add_argument("--split", default="test", choices=["train", "validation", "test"])
    sub.add_argument("--draws", type=int, default=1, help="dequantisation draws per image")
    help_text = "draws per image for the importance-weighted bound (default 16)"
    sub.add_argument("--num-samples", type=int, default=16, help=help_text)
    help_text = "random examples for all figures but the likelihood (default 256)"
    sub.add_argument("--examples", type=int, default=256, help=help_text)
    sub.add_argument("--seed", type=int, default=0, help="of the draws (default 0)")

    sub = command("verify", _verify, "Check that entries compute what was published.")
    sub.add_argument("names", nargs="*", help="zoo entries (default: all)")

    sub = command("export", _export, "Write a SavedModel for a model server, or another format.")
    sub.add_argument("name", help="zoo entry, or path of a saved .keras flow")
    sub.add_argument("directory", help="the model is written to DIRECTORY/NAME/VERSION/")
    sub.add_argument("--version", type=int, default=1, help="(default 1)")
    sub.add_argument(
        "--format",
        default="savedmodel",
        choices=["savedmodel", "onnx", "litert", "openvino"],
        help="the last three have log_prob, encode and decode (default savedmodel)",
    )

    serve.add_verb(command)
    return parser


def _list(arguments):
    import zoo

    names = zoo.list(arguments.pattern)
    if not names:
        raise ValueError(f"No zoo entry matches {arguments.pattern!r}; known are {zoo.list()}.")
    for name in names:
        facts = zoo.metadata(name)
        if "weights" not in facts:
            print(f"{name:32}{'no weights':>18}  {facts['parameters']:>10,} parameters")
            continue
        measured = facts["likelihood"]
        figure = f"{measured['nll']:.3f} nats"
        if measured["bits_per_dim"] is not None:
            figure = f"{measured['bits_per_dim']:.3f} bits/dim"
        print(f"{name:32}{figure:>18}  {facts['parameters']:>10,} parameters")


def _card(arguments):
    import zoo

    print(zoo.card(arguments.name))


def _sample(arguments):
    output = output_of(arguments.output, f"{Path(arguments.name).stem}.png")
    flow = flow_of(arguments.name)
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
    from tfflows import training

    if arguments.workers:
        training.set_workers(arguments.workers.split(","), arguments.index)
    # Collective operations must be set up before any other.
    strategy = training.strategy(arguments.strategy)
    name = arguments.recipe
    is_file = name.endswith(".json")
    from tfflows.training.recipe import Recipe

    recipe = Recipe.from_file(name) if is_file else zoo.recipe(name)
    changes = {"data": arguments.data, "epochs": arguments.epochs}
    recipe = recipe.replace(**{k: v for k, v in changes.items() if v is not None})
    folder = Path(arguments.output or Path("runs") / Path(name).stem)
    flow = training.train(recipe, folder, strategy=strategy)
    if training.is_chief(strategy):
        path = folder / "flow.keras"
        flow.save(path)
        print(f"The trained flow: {path.resolve()}")


def _evaluate(arguments):
    source = source_of(arguments.name, arguments.data)
    flow = flow_of(arguments.name)
    from tfflows import data, evaluate

    for line in evaluate.report(
        flow,
        data.load(source, num_bits=flow.num_bits or 8),
        arguments.split,
        arguments.draws,
        arguments.num_samples,
        arguments.examples,
        arguments.seed,
    ):
        print(line, flush=True)


def _verify(arguments):
    import zoo

    results = [zoo.verify(name) for name in arguments.names or zoo.list(pretrained=True)]
    for result in results:
        print(result)
    return 0 if all(result.ok for result in results) else 1


def _export(arguments):
    path = export_of(arguments.name, arguments.directory, arguments.version, arguments.format)
    what = "SavedModel" if arguments.format == "savedmodel" else f"Models ({arguments.format})"
    print(f"{what}: {path.resolve()}")
