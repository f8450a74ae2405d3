"""Uploaded tables: read by order or by name, and refused with the place of what is wrong."""

import pytest
from served_flows import COLUMNS

from tfflows.serving import csv_files
from tfflows.serving.csv_files import table_of
from tfflows.serving.errors import RequestError

GOOD = {
    "no names": (b"1,2,3\n4,5,6\n", None),
    "names": (b"a,b,c\n1,2,3\n4,5,6\n", ["a", "b", "c"]),
    "semicolons": (b"a,1;b;c\n1;2;3\n4;5;6", ["a,1", "b", "c"]),
    "tabs": (b"a\tb\tc\n1\t2\t3\n4\t5\t6", ["a", "b", "c"]),
    "quotes": (b'"a, or b",b,c\r\n"1",2,3\r\n4,5,6\r\n', ["a, or b", "b", "c"]),
    "mark and empty lines": (b"\xef\xbb\xbf\na,b,c\n\n1, 2 ,3\n,,\n4e0,5.0,+6\n", ["a", "b", "c"]),
}
BAD = {
    "empty": (b"", "no rows of numbers"),
    "names alone": (b"a,b,c\n", "no rows of numbers"),
    "columns": (b"1,2\n3,4", "has 2 columns, but the flow takes 3"),
    "names of others": (b"a,b\n3,4", "has 2 columns, but the flow takes 3"),
    "ragged": (b"a,b,c\n1,2,3\n4,5\n", "Line 3 has 2 values: expected 3"),
    "text": (b"a,b,c\n1,2,3\n\n4,red,6\n", "Line 4, column b: .* but found 'red'"),
    "missing": (b"1,2,3\n4,,6\n", "Line 2, column 2: expected a finite number, but found nothing"),
    "NaN": (b"1,2,3\n4,5,nan\n", "Line 2, column 3: expected a finite number, but found 'nan'"),
    "infinite": (b"1,2,3\n1e999,5,6\n", "found '1e999'"),
    "bytes": (b"\xff\xfe1,2,3", "not text in UTF-8"),
    "quote": (b'1,2,"3\n', "cannot be read as CSV"),
}


@pytest.mark.parametrize("case", GOOD)
def test_read(case):
    content, names = GOOD[case]
    assert table_of(content, 3) == (names, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    content, sentence = BAD[case]
    with pytest.raises(RequestError, match=sentence) as found:
        table_of(content, 3)
    assert str(found.value).endswith(".")


def test_columns_that_have_names_are_found_by_them():
    content = b"age,id,width,height\n3,77,2,1\n"
    assert table_of(content, 3, COLUMNS) == (COLUMNS, [[1.0, 2.0, 3.0]])
    assert table_of(b"1,2,3", 3, COLUMNS) == (COLUMNS, [[1.0, 2.0, 3.0]])
    for content in (b"age,weight,height\n1,2,3", b"age,age,width,height\n1,2,3,4"):
        with pytest.raises(RequestError, match="but not so (width|age): found age,"):
            table_of(content, 3, COLUMNS)


def test_values_are_limited(monkeypatch):
    monkeypatch.setattr(csv_files, "MAX_VALUES", 8)
    with pytest.raises(RequestError, match="has 3 rows, more than the 2 that") as found:
        table_of(b"1,2,3\n" * 3, 3)
    assert found.value.status == 413


def test_over_http(served):
    client = served("table").client
    assert client.get("/page/models/table/facts")[1]["columns"] == COLUMNS
    assert client.get("/page/models/table/facts")[1]["kind"] == "table"
    answer = client.post("/page/models/table/table", b"width,height,age\n2,1,3\n")
    assert answer == (200, {"columns": COLUMNS, "rows": [[1.0, 2.0, 3.0]]})
    status, answer = client.post("/page/models/table/table", b"1,2")
    assert status == 400 and "2 columns" in answer["error"]
    status, answer = served("points").client.post("/page/models/points/table", b"1,2")
    assert status == 400 and "its x has shape [2]" in answer["error"]
