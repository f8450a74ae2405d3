"""The page of a flow of rows: columns by name, a form for one row, a file of many."""

import re

import numpy as np
import pytest
from selenium.webdriver.support.ui import WebDriverWait
from served_flows import COLUMNS

from tfflows.random import counter


def samples_of(page):
    seeds = np.stack([np.zeros(1000, int), np.arange(1000)], axis=1)
    return page.flow.decode(0.7 * counter.normal(seeds, 3)).numpy()


def values_of(page):
    return [float(input.get_attribute("value")) for input in page.find_all(".fields input")]


def rows_of(page):
    """Cells of the table of rows, without its head."""
    rows = page.find_all("#rows-list tbody tr")
    return [[cell.text for cell in row.find_elements("css selector", "td")] for row in rows]


def log_prob_of(page):
    return float(page.find("#typicality-text").text.split("=")[1].split()[0])


def upload(page, path, text):
    path.write_text(text)
    page.find("#file").send_keys(str(path))
    page.wait()


def test_columns_have_names_and_histograms(open_page):
    page = open_page("table")
    captions = [caption.text for caption in page.find_all(".histograms figcaption")]
    assert captions == [label.text for label in page.find_all(".fields label")] == COLUMNS
    assert [cell.text for cell in page.find_all("#rows-list th")] == ["", "log p", *COLUMNS]
    samples = samples_of(page)
    assert values_of(page) == pytest.approx(samples[0], rel=1e-5)
    row = [float(cell) for cell in rows_of(page)[3][1:]]
    expected = [float(page.flow.log_prob(samples[3:4])[0]), *samples[3]]
    assert row == pytest.approx(expected, rel=1e-3)
    for name in ("near", "paths", "path-ends"):
        assert not page.find(f"#{name}").is_displayed()


def test_a_row_of_the_form_is_scored(open_page):
    page = open_page("table")
    for i, value in enumerate((0.5, -1.25, 0.75)):
        page.set(f".fields label:nth-child({i + 1}) input", value)
    assert values_of(page) == [0.5, -1.25, 0.75]
    log_prob = float(page.flow.log_prob(np.array([[0.5, -1.25, 0.75]], "float32"))[0])
    assert log_prob_of(page) == pytest.approx(log_prob, rel=1e-3)
    page.find_all("#rows-list button")[2].click()
    page.wait()
    assert values_of(page) == pytest.approx(samples_of(page)[2], rel=1e-5)


def test_a_file_is_scored(open_page, tmp_path):
    page = open_page("table")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 3)).astype("float32")  # in more than one request
    x[:, 2] = 0.25
    lines = [",".join(map(repr, map(float, row[[1, 0, 2]]))) for row in x]
    upload(page, tmp_path / "mine.csv", "\n".join(["width,height,age", *lines]))
    log_prob = page.flow.log_prob(x).numpy()
    rows = rows_of(page)
    assert [row[0] for row in rows] == [f"Row {i + 1}" for i in np.argsort(log_prob)[:10]]
    lowest = log_prob.argmin()
    assert [float(cell) for cell in rows[0][3:]] == pytest.approx(x[lowest], rel=1e-3)
    summary = page.find("#rows-summary").text
    assert summary.startswith("Mean log p of all 5,000 rows: ")
    assert float(summary.split(": ")[1].split()[0]) == pytest.approx(log_prob.mean(), rel=1e-3)
    held_out = np.array(page.server.log_probs)
    sides = [(held_out[:, None] <= log_prob).sum(0), (held_out[:, None] >= log_prob).sum(0)]
    p_values = np.minimum(1, 2 * (np.min(sides, axis=0) + 1) / (len(held_out) + 1))
    rare = int((p_values < 0.02).sum())
    assert f" {rare:,} of them have p < 0.02" in summary
    page.find_all("#rows-list button")[0].click()
    page.wait()
    assert values_of(page) == pytest.approx(x[lowest], rel=1e-5)
    save_to = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.browser.execute_cdp_cmd("Browser.setDownloadBehavior", save_to)
    page.click("#rows-summary a")
    WebDriverWait(page.browser, 30).until(lambda _: (tmp_path / "scores.csv").is_file())
    head, *lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert head == ",".join([*COLUMNS, "log_prob", "p_value"])
    found = np.array([list(map(float, line.split(","))) for line in lines])
    np.testing.assert_allclose(found[:, :3], x)
    np.testing.assert_allclose(found[:, 3], log_prob, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[:, 4], p_values, atol=0.05)  # next to a held-out example


def test_bars_are_the_files(open_page, tmp_path):
    """All of one column's values are in one bin, its whole height; before, there are no bars."""
    page = open_page("table")

    def bars():
        canvas = page.find_all(".histograms canvas")[2]
        colour = page.browser.execute_script(
            "return getComputedStyle(arguments[0]).getPropertyValue('--line')", canvas
        )
        grey = np.array([int(number) for number in re.findall(r"\d+", colour)])
        is_bar = np.all(page.pixels(canvas) == grey, axis=-1)
        return np.flatnonzero(is_bar.sum(0) > 40)

    assert bars().size == 0
    upload(page, tmp_path / "mine.csv", "1,2,0.25\n2,1,0.25\n0,1,0.25\n")
    width = page.find_all(".histograms canvas")[2].get_property("width") / 40
    assert 1 <= bars().size <= width + 1 and np.ptp(bars()) <= width
    assert page.find_all(".histograms figcaption")[2].text == COLUMNS[2]
    page.expected_messages = ("willReadFrequently",)  # advice, for reading the pixels twice


def test_a_bad_file_is_told(open_page, tmp_path):
    page = open_page("table")
    upload(page, tmp_path / "bad.csv", "height,width,age\n1,2,3\n1,red,3\n")
    assert page.find("#error").text == (
        "Line 3, column width: expected a finite number, but found 'red'."
    )
    page.expected_messages = ("status of 400",)
    assert rows_of(page)[0][0] == "Sample 1"
