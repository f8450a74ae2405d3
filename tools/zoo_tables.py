"""Write the tables of docs/ that are made of the entries' metadata."""

from collections import defaultdict
from pathlib import Path

import zoo
from tfflows.data.toy import DENSITIES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ZOO = "| entry | data | test figure | beside it |\n| --- | --- | --- | --- |\n"
PLANE = "<!-- table of the plane: written by tools/zoo_tables.py -->\n"
CHOICES = "<!-- table of choices: written by tools/zoo_tables.py -->\n"

# Data, the flow to start with, why, and what was measured: of entries, or in
# benchmarks/families.md.
ADVICE = [
    (
        "a table, up to some 100 columns",
        "`NSF` (splines)",
        "flexible marginals, both directions in one pass",
        ["NSF-C, 6", "NSF-C, 63"],
    ),
    (
        "a table, density alone matters",
        "`MAF`, `NSF(autoregressive=True)`",
        "the best likelihoods of tables; sampling takes one pass a column",
        ["NSF-AR, 6", "NSF-AR, 63"],
    ),
    (
        "samples matter, their density alone (variational inference)",
        "`IAF`",
        "sampling in one pass; the density of other points takes one pass a column",
        [],
    ),
    (
        "two or three columns, sharp modes",
        "`NAF`, `NSF`, `FFJORD`",
        "no bounded slope",
        ["naf_eight_gaussians", "nsf_coupling_checkerboard"],
    ),
    (
        "one column",
        "`Gaussianization`, `MAF` with a spline",
        "coupling flows need two",
        [],
    ),
    (
        "angles",
        "`NSF` with `transformers.CircularSpline` and `networks.PeriodicFeatures`",
        "periodic density",
        [],
    ),
    (
        "heavy tails",
        "any, with `base=distributions.StudentT(df=3.0)`",
        "a Lipschitz map of a normal has light tails",
        [],
    ),
    (
        "a baseline without training",
        "`Gaussianization`, `flow.adapt(x)`",
        "closed form",
        [],
    ),
    (
        "small images (28x28, 32x32)",
        "`Glow`, `ImageRealNVP`",
        "convolutions and several scales",
        ["glow_mnist", "realnvp_mnist"],
    ),
    (
        "an invertible classifier",
        "`HybridClassifier(IResNet(...))`",
        "certified Lipschitz constants",
        [],
    ),
    (
        "trajectories, dynamics",
        "`FFJORD`",
        "an ODE with a free-form network",
        ["ffjord_pinwheel"],
    ),
    (
        "given something else",
        "any, with `context_dim=` or `num_classes=`",
        "all flows take a context",
        ["realnvp_digits_conditional"],
    ),
]


def figure(likelihood: dict) -> str:
    """An image's bits/dim or a vector's nats, with the standard error."""
    if likelihood["bits_per_dim"] is None:
        return f"{likelihood['nll']:.3f} ± {likelihood['standard_error']:.3f} nats"
    error = likelihood["bits_per_dim_standard_error"]
    return f"{likelihood['bits_per_dim']:.3f} ± {error:.3f} bits/dim"


def row(name: str) -> str:
    """One line of the table of all entries."""
    facts = zoo.metadata(name)
    others = [f"{what.split(',')[0]} {figure(f)}" for what, f in facts["baselines"].items()]
    cells = [
        f"[`{name}`](../zoo/models/{name}/card.md)",
        facts["data"]["name"],
        figure(facts["likelihood"]),
        "; ".join(others),
    ]
    return "| " + " | ".join(cells) + " |\n"


def plane() -> str:
    """Entries in the plane: one row for each density, one column for each kind of flow."""
    found, kinds = defaultdict(dict), []
    for name in zoo.list(pretrained=True):
        facts = zoo.metadata(name)
        density = facts["data"]["name"]
        if density in DENSITIES:
            kind = name.removesuffix(f"_{density}")
            found[density][kind] = f"{facts['likelihood']['nll']:.3f}"
            kinds.append(kind)
            for what, value in facts["baselines"].items():
                if what.startswith("exact"):
                    found[density]["exact"] = f"{value['nll']:.3f}"
    kinds = [*sorted(set(kinds)), "exact"]
    head = ["", *kinds]
    rows = [[density, *(found[density].get(k, "") for k in kinds)] for density in sorted(found)]
    lines = [head, ["---", *["---:"] * len(kinds)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def choices() -> str:
    """Which flow for which data, with what was measured of it."""
    lines = [["data", "flow", "why", "measured"], ["---"] * 4]
    for data, flow, why, evidence in ADVICE:
        lines.append([data, flow, why, "; ".join(map(measured, evidence))])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def measured(what: str) -> str:
    """An entry's likelihood on test data, or the times of a family at so many dimensions."""
    if what in zoo.list(pretrained=True):
        found = figure(zoo.metadata(what)["likelihood"])
        return f"[`{what}`](../../zoo/models/{what}/card.md) {found}"
    head = f"| tfflows, {what} dimensions |"
    text = (ROOT / "benchmarks" / "families.md").read_text(encoding="utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith(head))
    cells = [cell.strip().split(" ")[0] for cell in line.split("|")]
    return f"{what} columns: density {cells[5]} ms, samples {cells[7]} ms"


def replace(path: Path, mark: str, table: str):
    """Put a table between a mark and the next empty line."""
    before, _, after = path.read_text(encoding="utf-8").partition(mark)
    rest = after.partition("\n\n")[2]
    path.write_text(f"{before}{mark}{table}\n{rest}", encoding="utf-8")


def main():
    """Write them all."""
    rows = "".join(row(name) for name in zoo.list(pretrained=True))
    replace(DOCS / "zoo.md", ZOO, rows)
    replace(DOCS / "guides" / "choosing.md", PLANE, plane())
    replace(DOCS / "guides" / "choosing.md", CHOICES, choices())


if __name__ == "__main__":
    main()
