"""Headless Chromium, and pages of tiny flows in it."""

import shutil
import sys
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

sys.path.append(str(Path(__file__).parents[1] / "tests" / "serving"))


@pytest.fixture(scope="session")
def browser():
    """A driver of Chromium with the window of a small laptop; never skipped."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.add_argument("--window-size=1366,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """Function of a flow's name to it served, once each."""
    from served_flows import each_served_once

    with each_served_once(tmp_path_factory) as serve:
        yield serve


@pytest.fixture
def open_page(browser, served):
    """Function of a flow's name to its `Page`; afterwards nothing may have gone wrong on it."""
    from page import Page

    opened = []

    def open_it(name):
        opened.append(Page(browser, served(name)))
        return opened[-1]

    yield open_it
    for page in opened:
        page.check()
