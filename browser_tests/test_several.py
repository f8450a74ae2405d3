"""One server of several models: links between their pages, and what programs can ask of them."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from served_flows import served_together


@pytest.fixture
def address(served):
    """Of a server of a flow of points and one of rows."""
    models = {name: served(name).model for name in ("points", "table")}
    with served_together(models) as client:
        yield f"http://127.0.0.1:{client.port}/"


def wait_until_idle(browser, selector):
    script = f"return document.querySelector('{selector}').ariaBusy === 'false'"
    WebDriverWait(browser, 60, 0.05).until(lambda driver: driver.execute_script(script))


def test_links_lead_to_each_model(browser, address):
    browser.get(address)
    wait_until_idle(browser, "body")
    assert browser.find_element(By.ID, "name").text == "points"
    links = browser.find_elements(By.CSS_SELECTOR, "#models a")
    assert [link.text for link in links] == ["points", "table"]
    links[1].click()
    WebDriverWait(browser, 60).until(lambda _: browser.title.startswith("table"))
    wait_until_idle(browser, "body")
    assert browser.find_element(By.ID, "name").text == "table"
    assert browser.find_elements(By.CSS_SELECTOR, ".histograms canvas")


def test_requests_of_programs(browser, address):
    browser.get(f"{address}docs")
    wait_until_idle(browser, "#models")
    sections = browser.find_elements(By.CSS_SELECTOR, "#models section")
    assert [section.text.splitlines()[0] for section in sections] == ["points", "table"]
    assert "decode z FP32 [rows, 3] x FP32 [rows, 3]" in " ".join(sections[1].text.split())
    assert f"curl {address}v1/models/table:predict" in sections[1].text
    assert not browser.find_element(By.ID, "error").is_displayed()
    assert [entry["message"] for entry in browser.get_log("browser")] == []
