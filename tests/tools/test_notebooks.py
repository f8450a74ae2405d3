"""The notebooks are the tutorials, as `tools/notebooks.py` writes them."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

PATH = Path(__file__).parents[2] / "tools" / "notebooks.py"
spec = importlib.util.spec_from_file_location("notebooks", PATH)
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)


@pytest.mark.parametrize("page", sorted(notebooks.TUTORIALS.glob("*.md")), ids=lambda p: p.stem)
def test_a_notebook_is_its_page(page):
    found = page.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert found == notebooks.notebook(page), "Run tools/notebooks.py."
    nbformat.validate(nbformat.reads(found, as_version=4))
    code = "".join(
        cell.source for cell in nbformat.reads(found, 4).cells if cell.cell_type == "code"
    )
    # Of the page, all blocks, and what `test_guides.py` does not run in none of them.
    assert (
        page.read_text(encoding="utf-8").count("```python")
        == found.count('"cell_type": "code"') - 1
    )
    assert "%%" not in code
