"""The page that a run ends with."""

from __future__ import annotations

import math
from pathlib import Path

from tfflows import plots
from tfflows.data import Dataset
from tfflows.evaluate import round_trip
from tfflows.flow import Flow
from tfflows.training.recipe import Recipe


def report_of_run(
    folder: Path, recipe: Recipe, data: Dataset, flow: Flow, rows: list[dict], summary: dict
) -> str:
    """Draw the curves into `curves.png`, and return the text of `report.md`.

    Args:
        folder: of the run; its `samples.png` is shown if it exists.
        recipe, data: what was trained on what.
        flow: with the weights of the best epoch.
        rows: of `log.csv`.
        summary: of `run.json`.
    """
    plots.save_curves(folder / "curves.png", rows)
    best = f"{summary['validation_nll']:.4f} nats"
    if flow.num_bits is not None:
        bits = summary["validation_nll"] / math.prod(flow.event_shape) / math.log(2)
        best = f"{bits:.4f} bits/dim"
    x, y = (None if part is None else part[:256] for part in data.validation)
    errors = round_trip(flow, x, y if recipe.conditional else None)
    seconds = sum(row["seconds"] for row in rows)
    steps = len(rows) * recipe.passes_per_epoch * (len(data.train) // recipe.batch_size)
    facts = {
        "flow": f"{type(flow).__name__}, {flow.count_params():,} parameters",
        "data": recipe.data,
        "validation, best epoch": f"{best} (epoch {summary['best_epoch']} of {summary['epochs']})",
        "round trip": str(errors),
        "training": f"{summary['seconds']:.0f} s on {summary['hardware']}",
        "examples per second": f"{steps * recipe.batch_size / seconds:.0f}, validation included",
        "memory, precision": f"{recipe.memory}, {recipe.precision}",
    }
    lines = [f"# {folder.resolve().name}", "", "| | |", "| --- | --- |"]
    lines += [f"| {key} | {value} |" for key, value in facts.items()]
    for rewind in summary["rewinds"]:
        lines += ["", f"Back to the end of epoch {rewind['after_epoch']}: {rewind['reason']}"]
    lines += ["", "![loss by epoch](curves.png)"]
    if (folder / "samples.png").is_file():
        lines += ["", "![samples](samples.png)"]
    lines += ["", "```json", recipe.to_json().rstrip("\n"), "```", ""]
    return "\n".join(lines)
