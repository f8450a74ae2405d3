"""Write the tables of docs/ that are made of the entries' metadata."""

from collections import defaultdict
from pathlib import Path

import zoo
from tfflows.data.toy import DENSITIES

DOCS = Path(__file__).parent.parent / "docs"
ZOO = "| entry | data | test figure | beside it |\n| --- | --- | --- | --- |\n"
PLANE = "<!-- table of the plane: written by tools/zoo_tables.py -->\n"


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


def replace(path: Path, mark: str, table: str):
    """Put a table between a mark and the next empty line."""
    before, _, after = path.read_text(encoding="utf-8").partition(mark)
    rest = after.partition("\n\n")[2]
    path.write_text(f"{before}{mark}{table}\n{rest}", encoding="utf-8")


def main():
    """Write both."""
    rows = "".join(row(name) for name in zoo.list(pretrained=True))
    replace(DOCS / "zoo.md", ZOO, rows)
    replace(DOCS / "guides" / "choosing.md", PLANE, plane())


if __name__ == "__main__":
    main()
