"""The page in headless Chromium: light and dark, on a phone and on a desk, for good models and hostile ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autodist_saved.report_views.page import render
from autodist_saved.saved_models.saved_model import open_model
from tests.report_views.pages import ATTACK, MODELS
from tests.support.browser import Browser

pytestmark = pytest.mark.browser

PHONE, DESK = (360, 740), (1440, 900)
SECTIONS = {
    "usual": ["Facts", "Timeline", "Map of variables", "Tasks", "Sizes", "Signatures", "Meta graphs", "Files"],
    "foreign": ["Export", "Sizes", "Signatures", "Meta graphs", "Files"],
}
SECTIONS["hostile"] = SECTIONS["usual"]

# WCAG 2: the ratio of the luminances of text and what is behind it, for every element that has text of its own.
LOW_CONTRAST = """
const parts = color => color.match(/[\\d.]+/g).map(Number);
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = color => { const [r, g, b] = parts(color).map(channel);
                             return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = element => { const color = getComputedStyle(element).backgroundColor;
                            return parts(color)[3] === 0 ? behind(element.parentElement) : color; };
return [...document.body.querySelectorAll("*")]
  .filter(element => !element.closest("svg") && element.checkVisibility()
                     && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
  .map(element => { const both = [getComputedStyle(element).color, behind(element)].map(luminance);
                    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
                    return [ratio, element.textContent]; })
  .filter(([ratio]) => ratio < 4.5);
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pages = {}
    for name, write in MODELS.items():
        folder = tmp_path_factory.mktemp(name)
        pages[name] = folder / "report.html"
        pages[name].write_bytes(render(open_model(write(folder / "1"))))
    return pages


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("name", MODELS)
def test_it_can_be_read(
    browser: Browser, pages: dict[str, Path], name: str, screen: tuple[int, int], scheme: str
) -> None:
    browser.look_like(*screen, scheme)
    browser.open(pages[name])
    assert browser.run("return document.documentElement.scrollWidth") <= screen[0], "it does not scroll sideways"
    assert browser.run("return [...document.querySelectorAll('h2')].map(one => one.innerText)") == SECTIONS[name]
    assert browser.run("return [...document.querySelectorAll('h2')].every(one => one.checkVisibility())")
    assert browser.run(LOW_CONTRAST) == []
    assert browser.said() == [], "no error, and nothing that the page's own rules had to stop"
    assert browser.asked_for() == [pages[name].as_uri()], "nothing but the page itself"


def test_light_and_dark_differ(browser: Browser, pages: dict[str, Path]) -> None:
    colors = []
    for scheme in ("light", "dark"):
        browser.look_like(*DESK, scheme)
        browser.open(pages["usual"])
        of_body = "getComputedStyle(document.body)"
        colors.append(browser.run(f"return [{of_body}.color, {of_body}.backgroundColor]"))
    light, dark = colors
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_names_that_are_html_are_text(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look_like(*DESK, "light")
    browser.open(pages["hostile"])
    assert browser.run("return document.title").endswith("/ 1 - SavedModel report")
    assert browser.run("return document.querySelectorAll('script, img, iframe, object, style ~ style').length") == 0
    assert ATTACK in browser.run("return document.querySelector('#sizes').innerText")
    assert ATTACK in browser.run("return document.querySelector('#signatures').innerText")
    assert ATTACK in browser.run("return document.querySelector('#facts').innerText")


def test_charts_say_in_words_what_they_show(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look_like(*DESK, "light")
    browser.open(pages["usual"])
    words = browser.run(
        "return [...document.querySelectorAll('svg')].map(one => one.role + ' ' + one.getAttribute('aria-label'))"
    )
    assert all(one.startswith("img ") and len(one) > 10 for one in words)
    assert "img ps:0 held 3 pieces, 11.0 kB" in words
    assert browser.run("return document.documentElement.lang") == "en"
    assert browser.run("return [...document.querySelectorAll('table')].every(one => one.caption.textContent)")
    bars = browser.run("return [...document.querySelectorAll('#map rect')].map(one => one.getBBox().width)")
    assert min(bars) >= 0
    assert max(bars) > 100, "blocks are as wide as their bytes"
