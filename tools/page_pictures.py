"""Pictures of the web page of `tfflows serve` for the README: `python tools/page_pictures.py`.

Needs the extra `browser`, Chromium and its driver. Writes docs/serve_*.png.
"""

from __future__ import annotations

import io
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

DOCS = Path(__file__).parents[1] / "docs"
# The sample that is looked at, and what is done then.
SMILE = """
for (const [i, strength] of [[0, 1.5], [2, 1]]) {
  const slider = document.querySelectorAll("#sliders input")[i];
  slider.value = strength;
  slider.dispatchEvent(new Event("input"));
}
"""
PICTURES = {
    "serve_faces.png": ("glow_celeba", 7, SMILE),
    "serve_mnist.png": ("glow_mnist", 12, ""),
    "serve_moons.png": ("realnvp_moons", None, ""),
}


def draw(driver, entry: str, sample: int | None, script: str) -> Image.Image:
    """The page of an entry as a picture."""
    command = [sys.executable, "-m", "tfflows.cli", "serve", entry, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = next(line for line in server.stdout if "http://" in line)
        driver.get(re.search(r"http://\S+", line).group())
        wait(driver)
        if sample is not None:
            driver.find_elements(By.CSS_SELECTOR, "#draws button")[sample].click()
            wait(driver)
        driver.execute_script(script)
        wait(driver)
        return Image.open(io.BytesIO(driver.get_screenshot_as_png()))
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def wait(driver):
    """Until the page has nothing to do."""
    script = "return document.body.ariaBusy === 'false'"
    WebDriverWait(driver, 300, 0.2).until(lambda driver: driver.execute_script(script))


def main():
    """Draw all `PICTURES`."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1366,980"):
        options.add_argument(f"--{argument}")
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        DOCS.mkdir(exist_ok=True)
        for name, what in PICTURES.items():
            draw(driver, *what).convert("RGB").save(DOCS / name, optimize=True)
            print(DOCS / name)
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
