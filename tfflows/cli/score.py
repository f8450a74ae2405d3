"""The verb that scores every example of a file for being unusual."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tfflows.cli.arguments import flow_of, output_of, source_of

_HEADER = "row,score,p_value,alarm\n"


def add_verb(command) -> None:
    """Add the verb to a parser; `command(name, run, summary)` adds one and returns its parser."""
    sub = command("score", _score, "Score examples for being unusual, with p-values and alarms.")
    sub.add_argument("name", help="zoo entry, or path of a saved .keras flow")
    sub.add_argument("examples", help=".csv or .npy file, or folder of images, of any size")
    help_text = "density, typicality, score_norm or ratio (default density)"
    sub.add_argument("--kind", default="density", help=help_text)
    help_text = "data set whose validation split is ordinary (default: that of the flow)"
    sub.add_argument("--reference", help=help_text)
    sub.add_argument("--background", help="for the ratio: zoo entry, or path of a .keras flow")
    help_text = "share of ordinary examples that may raise an alarm (default 0.01)"
    sub.add_argument("--rate", type=float, default=0.01, help=help_text)
    sub.add_argument("--batch-size", type=int, default=1000, help="(default 1000)")
    sub.add_argument("-o", "--output", help="CSV file to write (default scores.csv)")


def _score(arguments):
    output = output_of(arguments.output, "scores.csv")
    if not Path(arguments.examples).exists():
        raise FileNotFoundError(f"There is no file {arguments.examples}.")
    flow = flow_of(arguments.name)
    background = arguments.background and flow_of(arguments.background)
    from tfflows import data
    from tfflows.data.arrays import reduce_bits
    from tfflows.data.streams import batches_of
    from tfflows.evaluate import AnomalyDetector

    if flow.is_conditional:
        raise ValueError(f"{arguments.name} takes a context, which files of examples do not have.")
    reference = data.load(source_of(arguments.name, arguments.reference), download=False)

    def as_events(x):
        return x if flow.num_bits is None else reduce_bits(x, flow.num_bits)

    detector = AnomalyDetector(
        flow,
        as_events(reference.validation.x),
        kind=arguments.kind,
        background=background,
        batch_size=arguments.batch_size,
    )
    threshold = detector.threshold(arguments.rate)
    print(
        f"Scores above {threshold.value:.6g} are alarms: of ordinary examples "
        f"{threshold.interval[0]:.2%} to {threshold.interval[1]:.2%} are, with probability 0.95, "
        f"by {len(detector.reference):,} of {reference.name}."
    )
    with _Unfinished(output, arguments, detector.reference) as file:
        examples = batches_of(arguments.examples, flow.event_shape, arguments.batch_size, file.rows)
        for x in examples:
            scores = detector.scores(as_events(x))
            file.append(scores, detector.p_values(scores), scores > threshold.value)
    print(f"{file.alarms:,} alarms in {file.rows:,} examples: {output.resolve()}")


class _Unfinished:
    """The scores on their way, which a run that was interrupted goes on with.

    They go on if the same was asked for, which a file beside them says.
    """

    def __init__(self, output: Path, arguments, reference):
        self._output = output
        self._path = output.with_name(f"unfinished.{output.name}")
        self._asked = self._path.with_name(f"{self._path.name}.json")
        settings = {key: value for key, value in vars(arguments).items() if key != "run"}
        # A file that was written again, or a folder with other files, is another one.
        state = Path(arguments.examples).stat()
        self._settings = {
            **settings,
            "examples_state": [state.st_size, state.st_mtime_ns],
            "reference": [float(value) for value in reference],
        }
        self.rows = self.alarms = 0

    def __enter__(self):
        try:
            if self._asked.is_file() and json.loads(self._asked.read_text()) == self._settings:
                self._keep_whole_rows()
                print(f"Going on after row {self.rows:,}.")
            else:
                self._asked.write_text(json.dumps(self._settings))
                self._path.write_text(_HEADER)
            self._file = open(self._path, "a", encoding="utf-8")
        except OSError as error:
            raise OSError(f"Cannot write {self._path}: {error.strerror or error}.") from error
        return self

    def _keep_whole_rows(self):
        """Cut off what an interruption left of a row, and count the others."""
        size = 0
        with open(self._path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                size += len(line)
                if not line.startswith(b"row"):
                    self.rows += 1
                    self.alarms += line.endswith(b",1\n")
        with open(self._path, "rb+") as file:
            file.truncate(size)

    def append(self, scores, p_values, alarms):
        """Write rows, and say how many there are."""
        for score, p_value, alarm in zip(scores, p_values, alarms, strict=True):
            self.rows += 1
            self.alarms += int(alarm)
            self._file.write(f"{self.rows},{score:.9g},{p_value:.6g},{int(alarm)}\n")
        self._file.flush()
        if sys.stderr.isatty():
            print(f"\r{self.rows:,} examples", end="", file=sys.stderr)

    def __exit__(self, kind, error, traceback):
        self._file.close()
        if sys.stderr.isatty():
            print(file=sys.stderr)
        if kind is None:
            self._path.replace(self._output)
            self._asked.unlink()
        return False
