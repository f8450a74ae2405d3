"""Write docs/tutorials/*.ipynb, the tutorials as notebooks without outputs."""

from pathlib import Path

import jupytext
import nbformat

TUTORIALS = Path(__file__).parent.parent / "docs" / "tutorials"
INSTALL = "# In a fresh environment (Colab, say), first: %pip install tfflows"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook(page: Path) -> str:
    """The text of a page's notebook: a cell for each block of code, and one for what is between."""
    found = jupytext.reads(page.read_text(encoding="utf-8"), fmt="md")
    found.cells.insert(0, nbformat.v4.new_code_cell(INSTALL))
    for i, cell in enumerate(found.cells):
        cell.id, cell.metadata = f"cell-{i}", {}
    found.metadata = {"kernelspec": KERNEL}
    return nbformat.writes(found) + "\n"


def main():
    for page in sorted(TUTORIALS.glob("*.md")):
        page.with_suffix(".ipynb").write_text(notebook(page), encoding="utf-8")


if __name__ == "__main__":
    main()
