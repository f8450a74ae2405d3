"""The web page of a served flow, as a test sees it."""

import numpy as np
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

_PIXELS = """
const canvas = arguments[0];
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
return [canvas.height, canvas.width, [...data]];
"""
_FROM_ELSEWHERE = """
return performance.getEntriesByType("resource").map((entry) => entry.name)
  .filter((name) => !name.startsWith(location.origin));
"""


class Page:
    """A page that has been opened and has drawn its first samples."""

    def __init__(self, browser, server):
        self.browser, self.server, self.flow = browser, server, server.flow
        self.expected_messages = ()  # of the browser's log
        browser.get_log("browser")
        browser.get(f"http://127.0.0.1:{server.client.port}/")
        self.wait()

    def wait(self):
        """Until the page has nothing to do."""
        script = "return document.body.ariaBusy === 'false'"
        WebDriverWait(self.browser, 60, 0.05).until(lambda driver: driver.execute_script(script))

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector):
        self.find(selector).click()
        self.wait()

    def set(self, selector, value):
        """Give an input a value as a user's hand on it does."""
        script = """
            arguments[0].value = arguments[1];
            for (const name of ["input", "change"]) arguments[0].dispatchEvent(new Event(name));
        """
        self.browser.execute_script(script, self.find(selector), value)
        self.wait()

    def press(self, *keys):
        """Press keys one after the other, wherever the focus is."""
        ActionChains(self.browser).send_keys(*keys).perform()
        self.wait()

    def focused(self):
        return self.browser.switch_to.active_element

    def pixels(self, canvas) -> np.ndarray:
        """Pixels of a canvas, `[height, width, 3]`."""
        height, width, data = self.browser.execute_script(_PIXELS, canvas)
        return np.reshape(data, [height, width, 4])[..., :3]

    def images(self, selector) -> np.ndarray:
        """Pixels of all canvases that a selector finds."""
        return np.stack([self.pixels(canvas) for canvas in self.find_all(selector)])

    def shown(self, x) -> np.ndarray:
        """What the page should show of the flow's continuous images, as colours of 8 bits."""
        most = 2**self.flow.num_bits - 1
        colours = np.clip(np.floor(x), 0, most) * 255 / most
        return np.broadcast_to(np.round(colours), (*np.shape(x)[:-1], 3))

    def check(self):
        """Nothing from elsewhere, nothing in the log, nothing beyond the window's width."""
        assert self.browser.execute_script(_FROM_ELSEWHERE) == []
        messages = [entry["message"] for entry in self.browser.get_log("browser")]
        for expected in self.expected_messages:
            messages = [message for message in messages if expected not in message]
        assert messages == []
        script = "return document.scrollingElement.scrollWidth - innerWidth"
        assert self.browser.execute_script(script) <= 0
        things = self.find_all("input, select, button, canvas:not([aria-hidden])")
        shown = [thing for thing in things if thing.is_displayed()]
        assert all(thing.accessible_name for thing in shown)
