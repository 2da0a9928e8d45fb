"""The page on critical points and flat ground, in a real browser: slid, dragged, searched."""

import pytest
from sliders import assert_answered_sooner_than_a_figure, press, shown, wait_for_change

NETWORK = ("Inputs k", "Hidden units p", "Decay r of the variances")


@pytest.fixture(scope="module")
def page(page_of):
    page = page_of("landscapes")
    page.wait_for_selector("#network svg.chart")
    return page


def wait_for_start(page, x: float, y: float) -> None:
    page.wait_for_function(
        "start => document.getElementById('sentence').innerText.startsWith(start)",
        arg=f"From ({x:g}, {y:g})",
    )


def test_sliders_move_the_start(page):
    assert "found by Levenberg–Marquardt and damped Newton only" in page.inner_text("#sentence")
    network = shown(page, "network")
    press(page, "Start x", "ArrowRight", "toy")
    press(page, "Start y", "ArrowLeft", "toy")
    wait_for_start(page, -0.9, 1.9)
    assert "[-0.9, 1.9]" in page.inner_text("#code")
    assert shown(page, "network") == network


def test_a_slider_is_answered_sooner_than_a_figure_is_drawn(page):
    def move() -> None:
        for slider in ("Start x", "Start y"):
            for key in ("ArrowLeft", "ArrowLeft", "ArrowRight", "ArrowRight"):
                press(page, slider, key, "toy")
                page.wait_for_timeout(30)

    # Newton-MR takes all its steps around (-1, 2).
    assert_answered_sooner_than_a_figure(page, move)

    def change() -> None:
        for slider in NETWORK:
            for key in ("ArrowRight", "ArrowLeft"):
                press(page, slider, key, "network")
                page.wait_for_timeout(30)

    assert_answered_sooner_than_a_figure(page, change)


def test_the_start_follows_the_mouse_and_the_sliders_follow_the_start(page):
    page.locator("#field").scroll_into_view_if_needed()
    box = page.locator("#field .axis").bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + box["width"] * (x + 4) / 8, box["y"] + box["height"] * (4 - y) / 8

    # Where it is pressed, the start follows.
    page.mouse.move(*at(2.0, 1.0))
    page.mouse.down()
    wait_for_start(page, 2, 1)
    assert "no method finds" in page.inner_text("#sentence")
    page.mouse.move(*at(0.0, 0.0), steps=5)
    # Beyond the field the start stays at its edge.
    page.mouse.move(*at(-3.0, 5.0), steps=5)
    page.mouse.up()
    wait_for_start(page, -3, 4)
    assert "all four methods find the critical point" in page.inner_text("#sentence")
    values = [page.get_by_role("slider", name=f"Start {one}").get_attribute("aria-valuenow") for one in "xy"]
    assert values == ["10", "80"]
    # The keyboard goes on from there.
    press(page, "Start x", "ArrowRight", "toy")
    wait_for_start(page, -2.9, 4)


def test_searches_add_up_until_the_network_changes(page):
    assert "42 classes of critical points" in page.inner_text("#network-sentence")
    for starts in (60, 120):
        before = shown(page, "network")
        page.get_by_role("button", name="Search from 60 starts").click()
        wait_for_change(page, before, "network")
        assert f"of {starts} starts reached" in page.inner_text("#network-sentence")
        assert "mismatches with theory: 0" in page.inner_text("#network dl.facts")
    assert page.locator("#network circle.critical").count() >= 20
    press(page, "Hidden units p", "ArrowRight", "network")
    assert page.locator("#network circle.critical").count() == 0
    assert "press the button" in page.inner_text("#network dl.facts")
