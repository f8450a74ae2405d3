"""The page of a flow of points: density, samples, and a point that keys and clicks move."""

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tfflows.random import counter

SIZE = 480


def point_of(page):
    return [float(page.find(f"#point-{name}").get_attribute("value")) for name in "xy"]


def log_prob_of(page):
    return float(page.find("#typicality-text").text.split("=")[1].split()[0])


def samples_of(page):
    seeds = np.stack([np.zeros(500, int), np.arange(500)], axis=1)
    return page.flow.decode(0.7 * counter.normal(seeds, 2)).numpy()


def bounds_of(samples):
    """The plane's corners: nearly all samples, with a margin."""
    ordered = np.sort(samples, axis=0)
    low, high = (ordered[int(np.floor(part * 499 + 0.5))] for part in (0.005, 0.995))
    return low - 0.1 * (high - low), high + 0.1 * (high - low)


def test_samples_and_density(open_page):
    page = open_page("points")
    samples = samples_of(page)
    low, high = bounds_of(samples)
    assert point_of(page) == pytest.approx(samples[0], abs=2e-3)
    page.set("#point-x", 50)  # far away, where neither it nor rings hide anything of interest
    colours = page.pixels(page.find(".plane")).astype(float)
    places = (samples - low) / (high - low) * SIZE
    inside = np.all((places > 3) & (places < SIZE - 3), axis=1)
    rows, columns = SIZE - 1 - places[inside, 1].astype(int), places[inside, 0].astype(int)
    assert np.mean(colours[rows, columns].min(-1) > 150) > 0.95  # white dots
    # Elsewhere the colour rises with the density: of dark blue, green and yellow, green does.
    grid = np.random.default_rng(0).uniform(0.02, 0.98, [400, 2])
    log_prob = page.flow.log_prob((low + grid * (high - low)).astype("float32")).numpy()
    rows, columns = (SIZE * (1 - grid[:, 1])).astype(int), (SIZE * grid[:, 0]).astype(int)
    found = colours[rows, columns]
    is_bare = found.min(-1) < 120
    greens, density = found[is_bare, 1], np.exp(log_prob[is_bare])
    assert np.corrcoef(greens, density)[0, 1] > 0.85


def test_keys_move_the_point(open_page):
    page = open_page("points")
    samples = samples_of(page)
    low, high = bounds_of(samples)
    page.browser.execute_script("arguments[0].focus()", page.find(".plane"))
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_UP)
    expected = samples[0] + np.array([1, 2]) * (high - low) / 60
    assert point_of(page) == pytest.approx(expected, abs=2e-3)
    log_prob = page.flow.log_prob(expected[None].astype("float32"))[0]
    assert log_prob_of(page) == pytest.approx(float(log_prob), abs=1e-2)


def test_a_click_takes_the_sample_there(open_page):
    page = open_page("points")
    samples = samples_of(page)
    low, high = bounds_of(samples)
    plane = page.find(".plane")
    width = plane.size["width"]
    x, y = (samples[7] - low) / (high - low) * width - width / 2
    ActionChains(page.browser).move_to_element_with_offset(plane, int(x), int(-y)).click().perform()
    page.wait()
    found = np.abs(samples - point_of(page)).max(1)
    assert found.min() < 2e-3  # one of the samples, that one or one beside it
    assert np.linalg.norm((samples[found.argmin()] - samples[7]) / (high - low)) < 0.02


def test_an_outlier_is_told(open_page):
    page = open_page("points")
    page.set("#point-x", 300)
    text = page.find("#typicality-text").text
    assert "an anomaly" in text or "rare" in text
    assert float(text.split("p = ")[1].split(":")[0]) == pytest.approx(2 / 51, rel=0.05)
    page.set("#point-x", 1e30)
    assert "finite" in page.find("#error").text
    page.expected_messages = ("status of 400",)
