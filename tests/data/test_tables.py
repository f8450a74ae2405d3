"""The table of protein structures, from a file as UCI has it."""

import numpy as np
import pytest

from tfflows import data

HEADER = "RMSD,F1,F2,F3,F4,F5,F6,F7,F8,F9"


@pytest.fixture
def rows():
    """1,000 rows, of which every tenth is there twice."""
    random = np.random.default_rng(0)
    x = random.normal(size=(1000, 10)) @ random.normal(size=(10, 10)) * 1000 + 5
    x[:, 8] = random.integers(0, 350, 1000)
    return np.concatenate([x, x[::10]])


def write(folder, rows, header=HEADER):
    np.savetxt(folder / "CASP.csv", rows, fmt="%.10g", delimiter=",", header=header, comments="")


def test_protein_is_standardised_without_repeated_rows(tmp_path, rows):
    write(tmp_path, rows)
    table = data.load("protein", root=tmp_path)
    assert (table.name, table.event_shape, table.num_bits) == ("protein", (10,), None)
    assert (len(table.train), len(table.validation), len(table.test)) == (800, 100, 100)
    np.testing.assert_allclose(table.train.x.mean(0), np.zeros(10), atol=1e-6)
    np.testing.assert_allclose(table.train.x.std(0), np.ones(10), rtol=1e-5)
    x = np.concatenate([table.train.x, table.validation.x, table.test.x])
    assert len(np.unique(x[:, 0])) == 1000
    # All columns but F8 are those of the file, up to their scale.
    kept = [i for i in range(10) if i != 8]
    found, expected = (np.corrcoef(a[:, kept], rowvar=False) for a in (x, rows[:1000]))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for name in ("CC BY 4.0", "800 train", "noise"):
        assert name in table.description


def test_the_whole_numbers_of_protein_are_dequantised(tmp_path, rows):
    write(tmp_path, rows)
    table = data.load("protein", root=tmp_path)
    x = np.concatenate([table.train.x, table.validation.x, table.test.x])[:, [0, 8]]
    x, truth = (a[np.argsort(a[:, 0]), 1] for a in (x, rows[:1000, [0, 8]]))
    slope, start = np.polyfit(x, truth, 1)
    noise = slope * x + start - truth
    assert 0.95 < np.ptp(noise) < 1.05 and len(np.unique(x)) == 1000


def test_protein_is_the_same_every_time(tmp_path, rows):
    write(tmp_path, rows)
    first = data.load("protein", root=tmp_path)
    write(tmp_path, rows[::-1])
    second = data.load("protein", root=tmp_path)
    np.testing.assert_array_equal(first.test.x, second.test.x)


def test_a_missing_table_is_refused_with_its_source(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no CASP.csv in .*dataset/265"):
        data.load("protein", root=tmp_path)
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="TFFLOWS_DATA"):
        data.load("protein")


@pytest.mark.parametrize(
    ("header", "change", "message"),
    [
        ("a,b", lambda rows: rows, "begins with 'a,b': expected the columns RMSD,F1"),
        (HEADER, lambda rows: rows[:, :9], "shape .*, 9.: expected .*10 finite numbers"),
        (HEADER, lambda rows: rows[:5], "expected at least 10 rows"),
        (HEADER, lambda rows: np.where(rows == rows[0, 0], np.nan, rows), "finite numbers"),
    ],
)
def test_another_table_is_refused(tmp_path, rows, header, change, message):
    write(tmp_path, change(rows), header)
    with pytest.raises(ValueError, match=message):
        data.load("protein", root=tmp_path)


def test_text_in_the_table_is_refused(tmp_path):
    (tmp_path / "CASP.csv").write_text(HEADER + "\n" + ",".join(["a"] * 10))
    with pytest.raises(ValueError, match="is no table of numbers"):
        data.load("protein", root=tmp_path)
