"""The tables of the guides are those that the tool makes of what was measured."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("zoo_tables", ROOT / "tools" / "zoo_tables.py")
zoo_tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(zoo_tables)


@pytest.mark.parametrize("table", ["plane", "choices"])
def test_tables_are_written_anew(table):
    page = (ROOT / "docs" / "guides" / "choosing.md").read_text(encoding="utf-8")
    assert getattr(zoo_tables, table)() in page


def test_a_measured_cell_is_that_of_the_benchmark():
    lines = (ROOT / "benchmarks" / "families.md").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith("| tfflows, NSF-C, 6 dimensions"))
    density, samples = (line.split("|")[i].split()[0] for i in (5, 7))
    expected = f"NSF-C, 6 columns: density {density} ms, samples {samples} ms"
    assert zoo_tables.measured("NSF-C, 6") == expected
