"""The page of an image flow: what it shows is what the flow computes."""

import numpy as np
import pytest
import scipy.stats
from PIL import Image
from selenium.webdriver.common.keys import Keys
from served_flows import ATTRIBUTES

from tfflows import edit
from tfflows.distributions import Normal
from tfflows.random import counter


def samples_of(flow, seed, temperature, n=100, context=None):
    """What the page should draw, computed by the live flow: pixels' centres."""
    seeds = np.stack([np.full(n, seed), np.arange(n)], axis=1)
    num_dims = int(np.prod(flow.event_shape))
    if isinstance(flow.base_layer, Normal):
        z = counter.normal(seeds, num_dims).numpy()
    else:
        z = scipy.stats.logistic.ppf(counter.uniform(seeds, num_dims))
    z = temperature * z.reshape(n, *flow.transform.latent_shape).astype("float32")
    x = flow.decode(z, context).numpy()
    return np.clip(np.floor(x), 0, 2**flow.num_bits - 1) + 0.5


def assert_same_images(found, expected):
    """Up to a pixel here and there whose value is next to a whole number."""
    assert np.shape(found) == np.shape(expected)
    assert np.mean(np.abs(found - expected) > 1) < 0.005


def test_samples_follow_seed_and_temperature(open_page):
    page = open_page("images")
    x = samples_of(page.flow, 0, 0.7)
    assert np.std(x) > 1
    assert_same_images(page.images("#draws canvas"), page.shown(x))
    page.set("#temperature", 0.3)
    assert page.find("#temperature-value").text == "0.30"
    assert_same_images(page.images("#draws canvas"), page.shown(samples_of(page.flow, 0, 0.3)))
    page.click("#next-seed")
    assert_same_images(page.images("#draws canvas"), page.shown(samples_of(page.flow, 1, 0.3)))


def test_a_sample_is_looked_at(open_page):
    page = open_page("images")
    x = samples_of(page.flow, 0, 0.7)
    page.find_all("#draws button")[37].click()
    page.wait()
    assert_same_images(page.images("#picture canvas"), page.shown(x[37:38]))
    log_prob = float(page.flow.log_prob(x[37:38])[0])
    text = page.find("#typicality-text").text
    assert float(text.split("=")[1].split()[0]) == pytest.approx(log_prob, rel=1e-3)
    held_out = np.array(page.server.log_probs)
    sides = np.sum(held_out <= log_prob), np.sum(held_out >= log_prob)
    p_value = min(1, 2 * (min(sides) + 1) / (len(held_out) + 1))
    assert float(text.split("p = ")[1].split(":")[0]) == pytest.approx(p_value, rel=0.05)
    z = page.flow.encode(x).numpy().reshape(100, -1)
    distances = np.sqrt(((z - z[37]) ** 2).sum(1))
    nearest = np.argsort(distances)[1:8]
    assert_same_images(page.images("#neighbours canvas"), page.shown(x[nearest]))
    shown = [float(caption.text) for caption in page.find_all("#neighbours figcaption")]
    np.testing.assert_allclose(shown, distances[nearest], atol=0.06)
    marked = [button.get_attribute("class") for button in page.find_all("#draws button")]
    assert {i for i, name in enumerate(marked) if "near" in name} == set(nearest)


def test_paths_between_samples_and_uploads(open_page, tmp_path):
    page = open_page("images")
    x = samples_of(page.flow, 0, 0.7)

    def assert_path(a, b):
        path = edit.interpolate(page.flow, a, b, 9).numpy()
        assert_same_images(page.images("#path canvas"), page.shown(path))

    assert_path(x[0], x[1])
    page.find_all("#draws button")[5].click()
    page.wait()
    page.click("#as-end")
    assert_path(x[0], x[5])
    pixels = np.random.default_rng(0).integers(0, 8, [4, 4], "uint8")
    Image.fromarray(pixels << 5).save(tmp_path / "mine.png")
    page.find("#file").send_keys(str(tmp_path / "mine.png"))
    page.wait()
    mine = pixels[..., None] + np.float32(0.5)
    assert_same_images(page.images("#picture canvas"), page.shown(mine[None]))
    page.click("#as-start")
    assert_path(mine, x[5])
    page.click("#next-seed")  # a path from an upload stays, its other end is drawn anew
    assert_path(mine, samples_of(page.flow, 1, 0.7)[1])


def test_a_bad_upload_is_told(open_page, tmp_path):
    page = open_page("images")
    (tmp_path / "text.png").write_text("no image")
    page.find("#file").send_keys(str(tmp_path / "text.png"))
    page.wait()
    assert page.find("#error").is_displayed()
    assert page.find("#error").text.startswith("The file cannot be read as an image")
    page.expected_messages = ("status of 400",)
    page.click("#next-seed")
    assert not page.find("#error").is_displayed()


def test_attributes_move_the_latent(open_page):
    page = open_page("images")
    x = samples_of(page.flow, 0, 0.7)
    sliders = page.find_all("#sliders input")
    assert [slider.accessible_name for slider in sliders] == ["Bright", "Flat One"]
    page.set("#sliders label:nth-child(1) input", 1.5)
    page.set("#sliders label:nth-child(2) input", -1)
    move = 1.5 * np.array(ATTRIBUTES["Bright"]) - np.array(ATTRIBUTES["Flat_One"])
    z = page.flow.encode(x[:1]).numpy()
    edited = page.flow.decode(z + move.reshape(z.shape[1:]).astype("float32")).numpy()
    assert_same_images(page.images("#picture canvas"), page.shown(np.concatenate([x[:1], edited])))
    page.click("#reset")
    assert_same_images(page.images("#picture canvas"), page.shown(x[:1]))


def test_the_keyboard_alone_will_do(open_page):
    page = open_page("images")
    page.browser.execute_script("arguments[0].focus()", page.find("#next-seed"))
    page.press(Keys.TAB)
    assert page.focused().accessible_name == "Sample 1"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert page.browser.execute_script(outline) != "none"
    page.press(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    assert page.focused().accessible_name == "Sample 12"
    page.press(Keys.ENTER)
    pressed = [b.get_attribute("aria-pressed") for b in page.find_all("#draws button")]
    assert pressed.index("true") == 11 and pressed.count("true") == 1
    order = []
    for _ in range(6):  # one key leaves all samples behind
        page.press(Keys.TAB)
        order.append(page.focused().get_attribute("id") or page.focused().accessible_name)
    assert order == ["file", "as-start", "as-end", "Bright", "Flat One", "reset"]


def test_classes(open_page):
    page = open_page("labels")
    context = np.arange(100) % 3
    x = samples_of(page.flow, 0, 0.7, context=context)
    assert_same_images(page.images("#draws canvas"), page.shown(x))
    page.find_all("#draws button")[4].click()
    page.wait()
    assert page.find("#selected-class").get_attribute("value") == "1"
    page.set("#selected-class", "2")
    log_prob = float(page.flow.log_prob(x[4:5], [2])[0])
    text = page.find("#typicality-text").text
    assert float(text.split("=")[1].split()[0]) == pytest.approx(log_prob, rel=1e-3)
    page.set("#class", "2")
    x = samples_of(page.flow, 0, 0.7, context=np.full(100, 2))
    assert_same_images(page.images("#draws canvas"), page.shown(x))
