"""The verb of the command line that draws how a flow of the plane comes about."""

from __future__ import annotations

from pathlib import Path

from tfflows.cli.arguments import flow_of, output_of

_KINDS = ("deformation", "samples", "trajectory")


def add_verb(command) -> None:
    """Add the verb to a parser; `command(name, run, summary)` adds one and returns its parser."""
    sub = command("plot", _plot, "Draw what the layers of a flow do to the plane, and more.")
    sub.add_argument("name", help="zoo entry, or path of a saved .keras flow, of 2-D points")
    help_text = "a grid on its way through the layers, samples beside the density, or samples of a "
    help_text += "continuous flow on their way (default deformation)"
    sub.add_argument("--kind", choices=_KINDS, default="deformation", help=help_text)
    sub.add_argument("-o", "--output", help="the picture to write (default NAME_KIND.png)")


def _plot(arguments):
    default = f"{Path(arguments.name).stem}_{arguments.kind}.png"
    output = output_of(arguments.output, default)
    flow = flow_of(arguments.name)
    from tfflows import plots

    save = {
        "deformation": plots.save_deformation,
        "samples": plots.save_samples,
        "trajectory": plots.save_trajectory,
    }[arguments.kind]
    print(f"{arguments.kind.capitalize()} of {arguments.name}: {save(flow, output).resolve()}")
