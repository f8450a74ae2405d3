"""Write the zoo's table in README.md from the entries' metadata: `python tools/readme_table.py`."""

from pathlib import Path

import zoo

README = Path(__file__).parent.parent / "README.md"
HEADER = "| entry | data | test figure | beside it |\n| --- | --- | --- | --- |\n"


def figure(likelihood: dict) -> str:
    """An image's bits/dim or a vector's nats, with the standard error."""
    if likelihood["bits_per_dim"] is None:
        return f"{likelihood['nll']:.3f} ± {likelihood['standard_error']:.3f} nats"
    error = likelihood["bits_per_dim_standard_error"]
    return f"{likelihood['bits_per_dim']:.3f} ± {error:.3f} bits/dim"


def row(name: str) -> str:
    """One line of the table."""
    facts = zoo.metadata(name)
    others = [f"{what.split(',')[0]} {figure(f)}" for what, f in facts["baselines"].items()]
    cells = [
        f"[`{name}`](zoo/models/{name}/card.md)",
        facts["data"]["name"],
        figure(facts["likelihood"]),
        "; ".join(others),
    ]
    return "| " + " | ".join(cells) + " |\n"


def main():
    """Replace the table that starts with HEADER and ends with an empty line."""
    before, _, after = README.read_text(encoding="utf-8").partition(HEADER)
    rest = after.partition("\n\n")[2]
    table = HEADER + "".join(row(name) for name in zoo.list(pretrained=True))
    README.write_text(f"{before}{table}\n{rest}", encoding="utf-8")


if __name__ == "__main__":
    main()
