"""The verb of the command line that draws samples: a picture, or rows of numbers."""

from __future__ import annotations

import csv
from pathlib import Path

from tfflows.cli.arguments import flow_of, output_of, source_of, temperatures

_ENDINGS = (".png", ".csv", ".npy")


def add_verb(command) -> None:
    """Add the verb to a parser; `command(name, run, summary)` adds one and returns its parser."""
    sub = command("sample", _sample, "Draw samples: a PNG picture, or rows as CSV or NumPy file.")
    sub.add_argument("name", help="zoo entry, or path of a saved .keras flow")
    help_text = "number of samples (default 100; 2000 points in a picture; 1000 rows)"
    sub.add_argument("--n", type=int, help=help_text)
    help_text = "factor on z (default 1), or one a level with commas, coarsest first"
    sub.add_argument("--temperature", type=temperatures, default=1.0, help=help_text)
    sub.add_argument("--seed", type=int, default=0, help="(default 0)")
    sub.add_argument("--label", type=int, help="class of the samples of a conditional entry")
    help_text = "a picture, .png, or the samples themselves, .csv or .npy (default NAME.png)"
    sub.add_argument("-o", "--output", help=help_text)


def _sample(arguments):
    output = output_of(arguments.output, f"{Path(arguments.name).stem}.png")
    if output.suffix not in _ENDINGS:
        raise ValueError(f"Cannot write {output}: expected a name ending in .png, .csv or .npy.")
    flow = flow_of(arguments.name)
    if output.suffix != ".png":
        print(_save_rows(arguments, output, flow))
        return
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


def _save_rows(arguments, output: Path, flow) -> str:
    """Write the samples, vectors as they are and images as pixels; says what was written."""
    import numpy as np

    from tfflows import edit
    from tfflows.distributions.dequantization import quantize

    is_csv = output.suffix == ".csv"
    if is_csv and len(flow.event_shape) != 1:
        raise ValueError(
            f"A CSV file has vectors in its rows, but the events of {arguments.name} have shape "
            f"{flow.event_shape}: write them as .npy."
        )
    n = 1000 if arguments.n is None else arguments.n
    rows = edit.sample(flow, n, arguments.temperature, arguments.seed, arguments.label).numpy()
    if flow.num_bits is not None:
        rows = quantize(rows, flow.num_bits)
    names = _column_names(arguments.name, flow) if is_csv else None
    unfinished = output.with_name(f"unfinished.{output.name}")
    try:
        with open(unfinished, "w" if is_csv else "wb") as file:
            if names:
                csv.writer(file, lineterminator="\n").writerow(names)
            if is_csv:
                # As many digits as bring back each number.
                digits = 9 if rows.dtype == np.float32 else 17
                np.savetxt(file, rows, f"%.{digits}g", delimiter=",")
            else:
                np.save(file, rows)
        unfinished.replace(output)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise OSError(f"Cannot write {output}: {error.strerror or error}.") from error
    header = "" if names or not is_csv else " without a header, since no names of columns are known"
    return f"{n:,} samples of {arguments.name}{header}: {output.resolve()}"


def _column_names(name: str, flow):
    """The names of the columns of the data that the flow was trained on, if these are there."""
    from tfflows import data

    try:
        found = data.load(source_of(name, None), download=False)
    except (ValueError, OSError, ImportError):
        return None
    return found.column_names if found.event_shape == flow.event_shape else None
