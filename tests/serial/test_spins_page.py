"""The page on donor nuclear spins, in a real browser: slid, and a gate chosen."""

import pytest
from sliders import assert_answered_sooner_than_a_figure, choose, press, shown

DEVICE = (
    "Tunnel coupling",
    "Static magnetic field",
    "Depth of the donor",
    "Field at the donor",
    "Noise while idle",
)
GATES = ("Error of the field",)
NOISE = ("Noise of the field",)
PARTS = {"device": DEVICE, "gates": GATES, "noise": NOISE}


@pytest.fixture(scope="module")
def page(page_of):
    page = page_of("spins")
    # Two pulses are integrated at first.
    page.wait_for_selector("#noise svg.chart", timeout=120_000)
    return page


def test_every_slider_moves_its_part_and_nothing_else(page):
    for part, sliders in PARTS.items():
        others = [one for one in PARTS if one != part]
        before, beside = shown(page, part), shown(page, *others)
        for slider in sliders:
            press(page, slider, "ArrowLeft", part)
            press(page, slider, "ArrowRight", part)
        assert (shown(page, part), shown(page, *others)) == (before, beside)


def test_a_device_near_a_crossing_gets_a_warning(page):
    assert page.locator("#device .warn").count() == 0
    for _ in range(10):
        press(page, "Tunnel coupling", "ArrowLeft", "device")
    assert "tunnel_coupling_GHz=5.5" in page.inner_text("#device-code")
    for _ in range(3):
        press(page, "Field at the donor", "ArrowRight", "device")
    assert "mixed" in page.inner_text("#device .warn")
    for _ in range(3):
        press(page, "Field at the donor", "ArrowLeft", "device")
    for _ in range(10):
        press(page, "Tunnel coupling", "ArrowRight", "device")


def test_the_robust_pulse_brings_the_paths_together_and_the_naive_one_does_not(page):
    assert "the paths end 0.0036 apart" in page.inner_text("#gates-sentence")
    choose(page, "Gate", "naive pulse", "gates")
    assert "the paths end 0.9" in page.inner_text("#gates-sentence")
    assert "naive_x90()" in page.inner_text("#gates-code")
    choose(page, "Gate", "robust pulse", "gates")
    noise = page.inner_text("#noise")
    assert "3.3e-05" in noise
    assert "reaches 0.001 at about 26 V/m" in noise


def test_a_slider_is_answered_sooner_than_a_figure_is_drawn(page):
    def move() -> None:
        for part, sliders in PARTS.items():
            for slider in sliders:
                for key in ("ArrowLeft", "ArrowRight"):
                    press(page, slider, key, part)
                    page.wait_for_timeout(30)

    assert_answered_sooner_than_a_figure(page, move)
