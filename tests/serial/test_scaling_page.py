"""The page on learning rates across widths, in a real browser: slid, measured."""

import pytest
from sliders import assert_answered_sooner_than_a_figure, choose, press, shown

SLIDERS = ("Width n", "Layers of weights L", "Inputs d", "Outputs k")
OPTIMIZER, BASE = "Optimizer", "Learning rate tuned at width"


@pytest.fixture(scope="module")
def page(page_of):
    return page_of("scaling")


def test_every_slider_moves_its_own_part(page):
    assert "16 times too large in the hidden layers and the output layer" in page.inner_text("#sentence")
    for slider in SLIDERS:
        press(page, slider, "ArrowRight", "network")
        press(page, slider, "ArrowLeft", "network")
    network = shown(page, "network")
    press(page, "Richness γ", "ArrowRight", "richness")
    assert shown(page, "network") == network
    # The number of layers is the network's.
    press(page, "Layers of weights L", "ArrowRight", "richness")
    assert "with 5 layers of weights" in page.inner_text("#richness")
    press(page, "Layers of weights L", "ArrowLeft", "richness")


def test_the_width_and_the_base_change_the_sentence_and_the_code(page):
    press(page, "Width n", "End", "network")
    assert "used at width 16384" in page.inner_text("#sentence")
    choose(page, BASE, "none: absolute factors", "network")
    assert page.inner_text("#sentence").startswith("At width 16384, with the hidden layers' learning rate")
    assert "narrow" not in page.inner_text("#code")
    choose(page, BASE, "64", "network")
    choose(page, OPTIMIZER, "Muon (orthogonal updates)", "network")
    assert "scaling.muon(model, lr=lr, base=narrow)" in page.inner_text("#code")
    assert "NTK" not in page.inner_text("#network .legend >> nth=0")
    press(page, "Layers of weights L", "Home", "network")
    assert page.locator("#network svg.chart").count() == 3
    choose(page, OPTIMIZER, "AdamW or Adam", "network")
    for _ in range(2):
        press(page, "Layers of weights L", "ArrowRight", "network")


def test_a_slider_is_answered_sooner_than_a_figure_is_drawn(page):
    def move() -> None:
        for slider in SLIDERS:
            for key in ("ArrowLeft", "ArrowRight"):
                press(page, slider, key, "network")
                page.wait_for_timeout(30)

    assert_answered_sooner_than_a_figure(page, move)

    def enrich() -> None:
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft"):
            press(page, "Richness γ", key, "richness")
            page.wait_for_timeout(30)

    assert_answered_sooner_than_a_figure(page, enrich)


def test_exponents_are_measured_and_stay_while_sliders_move(page):
    page.get_by_role("button", name="Measure it").click()
    page.wait_for_selector("#measured table", timeout=60_000)
    assert page.inner_text("#measured p >> nth=0").startswith("AdamW: from width 128 to 512")
    assert page.locator("#measured tbody tr").count() == 3
    measured = shown(page, "measured")
    press(page, "Width n", "Home", "network")
    assert shown(page, "measured") == measured
    choose(page, OPTIMIZER, "Muon (orthogonal updates)", "network")
    page.get_by_role("button", name="Measure it").click()
    page.get_by_text("Muon is not measured").wait_for()
    assert "Traceback" not in page.inner_text("body")
