"""The verb of the command line that draws flows."""

from __future__ import annotations

from pathlib import Path

from tfflows.cli.arguments import flow_of, output_of

_KINDS = ("deformation", "jacobian", "levels", "masks", "samples", "trajectory")
_FILMED = ("deformation", "trajectory")


def add_verb(command) -> None:
    """Add the verb to a parser; `command(name, run, summary)` adds one and returns its parser."""
    sub = command("plot", _plot, "Draw what the layers of a flow do, its samples, masks and more.")
    sub.add_argument("name", help="zoo entry, or path of a saved .keras flow")
    help_text = "of 2-D points: deformation (the default), a grid on its way through the layers; "
    help_text += "samples beside the density; trajectory, samples of a continuous flow on their "
    help_text += "way. Of images: samples; levels, what each of them holds. Of any flow: jacobian, "
    help_text += "of z at a sample; masks, of its couplings"
    sub.add_argument("--kind", choices=_KINDS, default="deformation", help=help_text)
    help_text = "the picture to write (default NAME_KIND.png); deformation and trajectory are "
    help_text += "films where its name ends with .gif or .mp4"
    sub.add_argument("-o", "--output", help=help_text)


def _plot(arguments):
    kind, default = arguments.kind, f"{Path(arguments.name).stem}_{arguments.kind}.png"
    output = output_of(arguments.output, default)
    is_film = output.suffix in (".gif", ".mp4")
    if is_film and kind not in _FILMED:
        raise ValueError(f"There are films of {' and '.join(_FILMED)}, but none of {kind}.")
    flow = flow_of(arguments.name)
    from tfflows import plots

    if is_film:
        written = plots.save_film(output, getattr(plots, f"figures_of_{kind}")(flow))
    else:
        inputs = ()
        if kind == "jacobian":
            inputs = (flow.sample(1, seed=0)[0],)
        if kind == "levels":
            inputs = (flow.sample(8, seed=0),)
        written = getattr(plots, f"save_{kind}")(flow, output, *inputs)
    print(f"{kind.capitalize()} of {arguments.name}: {written.resolve()}")
