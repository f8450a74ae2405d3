"""Tables in files: what is read of good ones, and what is said of others."""

import sys
import warnings

import numpy as np
import pytest

from tfflows import data


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)


def table(n=40, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype("float32")


def write(path, rows, header=None):
    """A CSV file of rows, lists of numbers or texts, whose float32 numbers are all there."""
    lines = [",".join(f"{value}" for value in row) for row in rows]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n")
    return path


def all_rows(d):
    x = np.concatenate([d.train.x, d.validation.x, d.test.x])
    return x[np.lexsort(x.T)]


@pytest.mark.parametrize("header", [None, "a, b ,c d"])
def test_csv_holds_what_the_array_does(tmp_path, header):
    x = table()
    d = data.load(write(tmp_path / "t.csv", x, header))
    np.save(tmp_path / "same.npy", x)
    np.testing.assert_array_equal(d.test.x, data.load(tmp_path / "same.npy").test.x)
    np.testing.assert_array_equal(all_rows(d), x[np.lexsort(x.T)])
    assert d.column_names == (("a", "b", "c d") if header else None)
    assert (d.name, d.event_shape, d.train.x.dtype, d.train.y) == ("t", (3,), np.float32, None)
    assert "t.csv" in d.description and "32 train" in d.description


def test_csv_as_spreadsheets_write_it(tmp_path):
    rows = "".join(f'"{i}.5",1e3 , -2\r\n\r\n' for i in range(20))
    text = f'\ufeff"height, cm","of ""a""","two\nlines"\r\n{rows}'
    (tmp_path / "t.csv").write_text(text, newline="", encoding="utf-8")
    d = data.load("t", root=tmp_path)
    assert d.column_names == ("height, cm", 'of "a"', "two\nlines")
    np.testing.assert_array_equal(all_rows(d), [[i + 0.5, 1000, -2] for i in range(20)])


def test_one_column(tmp_path):
    assert data.load(write(tmp_path / "t.csv", table(d=1))).event_shape == (1,)


GOOD = "1,2,3\n" * 12
BAD_CSV = {
    "text": (f"a,b,c\n{GOOD}1,red,3\n", "has 'red' in row 14, column 'b': expected a finite"),
    "text without header": (f"{GOOD}1,2,red\n", "has 'red' in row 13, column 3: expected a fin"),
    "first row": ("1,red,3\n2,blue,4\n", "has 'blue' in row 2, column 'red': expected a finite"),
    "missing": (f"a,b,c\n{GOOD}\n1,,3\n", "has no value in row 15, column 'b': expected a finite"),
    "missing first": (f",2,3\n{GOOD}", "has no value in row 1, column 1: expected a finite"),
    "spaces": (f"{GOOD}1,2,  \n", "has no value in row 13, column 3: expected a finite"),
    "nan": (f"{GOOD}1,nan,3\n1,2,inf\n", "has 'nan' in row 13, column 2: expected a finite"),
    "infinite": (f"a,b,c\n{GOOD}1,2,-inf\n", "has '-inf' in row 14, column 'c': expected a fin"),
    "short": (f"{GOOD}1,2\n", "has 2 values in row 13: expected 3, as in its first row"),
    "long": (f"a,b,c\n{GOOD}1,2,3,4\n", "has 4 values in row 14: expected 3, as in its first"),
    "long all": (f"a,b\n{GOOD}", "has 3 values in row 2: expected 2, as in its first row"),
    "semicolons": ("a;b\n1;2\n", "has '1;2' in row 2, column 'a;b': expected .* with commas"),
    "index": (f",b,c\n{GOOD}", "has no name for column 1 in its header.*index=False"),
    "empty": ("", "has no rows of numbers: expected at least 10"),
    "header only": ("a,b,c\n", "has no rows of numbers: expected at least 10"),
    "few": ("1,2,3\n" * 9, "9 training examples, too few"),
    "large": (f"{GOOD}1,2,1e300\n", "1 infinite values in float32"),
}


@pytest.mark.parametrize("kind", BAD_CSV)
def test_bad_csv(kind, tmp_path):
    text, message = BAD_CSV[kind]
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        data.load(tmp_path / "bad.csv")
    assert "bad" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00a\x001", b"1,\0,2\n", b"\x89PNG\r\n\x1a\n\0\0"])
def test_what_is_no_csv(content, tmp_path):
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad.csv' (cannot be read .*CSV file in UTF-8|has )"):
        data.load(tmp_path / "bad.csv")


def test_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    x = table()
    frame = pandas.DataFrame(x, columns=["a", "b", "c"])
    frame.to_parquet(tmp_path / "t.parquet")
    np.save(tmp_path / "same.npy", x)
    d = data.load(tmp_path / "t.parquet")
    np.testing.assert_array_equal(d.test.x, data.load(tmp_path / "same.npy").test.x)
    assert d.column_names == ("a", "b", "c")
    frame.loc[7, "b"] = np.nan
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="has nan in row 8, column 'b': expected a finite"):
        data.load(tmp_path / "t.parquet")
    frame.assign(b=frame.b.astype("Float32"), c="red").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="has values of .* in column 'c': expected numbers"):
        data.load(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_text("no table")
    with pytest.raises(ValueError, match="t.parquet' cannot be read .*: expected a Parquet file"):
        data.load(tmp_path / "t.parquet")


def test_parquet_without_pandas(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").touch()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"needs pandas and pyarrow .*: pip install tfflows\[par"):
        data.load(tmp_path / "t.parquet")


def test_columns_without_a_density_are_named(tmp_path):
    rng = np.random.default_rng(0)
    columns = {
        "u": rng.normal(size=300),
        "one": np.full(300, 2.5),
        "kind": rng.integers(0, 3, 300),
        "half": rng.integers(0, 3, 300) / 2,
        "count": rng.integers(0, 1000, 300),
        "zero": np.zeros(300),
    }
    table, plain = tmp_path / "table.csv", tmp_path / "plain.csv"
    x = np.stack([*columns.values()], axis=1)
    np.savetxt(table, x, delimiter=",", header=",".join(columns), comments="")
    with pytest.warns(UserWarning) as found:
        data.load(table)
    constant, integers = (str(warning.message) for warning in found)
    assert "one value alone in each of the columns 'one', 'zero'" in constant
    assert "at most 20 integers in each of the columns 'kind':" in integers
    assert {warning.filename for warning in found} == {__file__}
    # Without a header columns are numbered, and of a few rows all may have few values.
    np.savetxt(plain, x[:, [0, 1]], delimiter=",")
    with pytest.warns(UserWarning, match="of the columns 2: "):
        data.load(plain)
    np.savetxt(plain, x[:20, [0, 2]], delimiter=",")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.load(plain)
