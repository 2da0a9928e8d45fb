"""The contract of every page: it is in the gallery, fits its window, uses no network, and raises no errors."""

from typing import Any

import pytest

from solvable.app.gallery import Entry, entries

ENTRIES = entries()
# Code may be wider than its box, which scrolls.
OUTSIDE = """() => [...document.querySelectorAll('body *')].filter(one => one.getClientRects().length
    && !one.closest('pre') && one.getBoundingClientRect().right > innerWidth + 1)
    .map(one => one.outerHTML.slice(0, 80))"""
# Colours come in several notations; a canvas parses them all.
BRIGHTNESS = """() => { const pen = document.createElement('canvas').getContext('2d');
    pen.fillStyle = getComputedStyle(document.body).backgroundColor; pen.fillRect(0, 0, 1, 1);
    return pen.getImageData(0, 0, 1, 1).data[1]; }"""


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_page_fits_its_window_in_light_and_in_dark(page_of: Any, address: str, entry: Entry) -> None:
    page = page_of(entry.name)
    assert page.get_by_role("slider").count() >= 1
    for width, scheme in ((390, "dark"), (1280, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"dark => ({BRIGHTNESS})() < 64 === dark", arg=scheme == "dark")
        assert page.evaluate(OUTSIDE) == []
    assert page.get_by_role("link", name="all pages").evaluate("link => link.href") == address


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_gallery_has_every_page(browser: Any, address: str, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    assert page.evaluate(OUTSIDE) == []
    assert (page.evaluate(BRIGHTNESS) < 64) == (scheme == "dark")
    assert page.locator("a.wing").count() == len(ENTRIES)
    for entry in ENTRIES:
        assert entry.question in page.inner_text("main")
        assert page.get_by_role("link", name=entry.title).get_attribute("href") == f"/{entry.name}/"
    context.close()
