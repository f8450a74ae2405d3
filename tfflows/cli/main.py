"""The commands of `tfflows`, and what most of them do."""

from __future__ import annotations

import argparse
import sys

import tfflows
from tfflows.cli import doctor, edit, evaluate, plot, sample, score, serve, train
from tfflows.cli.arguments import export_of
from tfflows.cli.quiet import import_tensorflow

_DESCRIPTION = "Normalizing flows: sample, edit, train, measure, export and serve."


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 good, 1 failed, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
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
    version = f"tfflows {tfflows.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name, run, summary):
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        return sub

    sub = command("list", _list, "List the zoo's entries with their figures.")
    sub.add_argument("pattern", nargs="?", default="*", help="shell pattern, e.g. 'real*'")

    sub = command("card", _card, "Print the card of a zoo entry.")
    sub.add_argument("name")

    sample.add_verb(command)
    edit.add_verbs(command)
    plot.add_verb(command)

    train.add_verbs(command)
    evaluate.add_verbs(command)
    score.add_verb(command)

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
    doctor.add_verb(command)

    sub = command("completion", _completion, "Print a script by which a shell completes commands.")
    sub.add_argument("shell", choices=["bash", "tcsh", "zsh"])
    return parser


def _completion(arguments):
    try:
        import shtab
    except ImportError as error:
        raise ImportError("`tfflows completion` needs shtab: pip install shtab.") from error
    print(shtab.complete(_parser(), arguments.shell))


def _list(arguments):
    import zoo

    names = zoo.list(arguments.pattern)
    if not names:
        raise ValueError(
            f"No zoo entry matches {arguments.pattern!r}: `tfflows list` names all "
            f"{len(zoo.list())}."
        )
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


def _verify(arguments):
    import_tensorflow()
    import zoo

    results = [zoo.verify(name) for name in arguments.names or zoo.list(pretrained=True)]
    for result in results:
        print(result)
    return 0 if all(result.ok for result in results) else 1


def _export(arguments):
    path = export_of(arguments.name, arguments.directory, arguments.version, arguments.format)
    what = "SavedModel" if arguments.format == "savedmodel" else f"Models ({arguments.format})"
    print(f"{what}: {path.resolve()}")
