"""The page on stepwise self-supervised learning, in a real browser: slid, a loss read."""

import pytest
from sliders import assert_answered_sooner_than_a_figure, press, shown, wait_for_change

SLIDERS = (
    "Dimension d",
    "Initial weights s₀",
    "Learning rate η",
    "Weight decay w",
    "Shared directions",
    "Decay a of γ = j⁻ᵃ",
    "Gap in the middle",
    "Noise",
)
PLACE = "You are at step"


@pytest.fixture(scope="module")
def page(page_of):
    return page_of("stepwise")


def fill(page, field: str, text: str) -> None:
    """Type into a field, and wait for the reading to follow."""
    before = shown(page, "reading")
    page.get_by_label(field).fill(text)
    wait_for_change(page, before, "reading")


def test_every_slider_moves_the_staircase_and_nothing_else(page):
    reading = shown(page, "reading")
    for slider in SLIDERS:
        press(page, slider, "ArrowRight", "staircase")
        press(page, slider, "ArrowLeft", "staircase")
    assert shown(page, "reading") == reading
    # Where the training is does not change the theory.
    spectrum, code = shown(page, "spectrum"), shown(page, "code")
    press(page, PLACE, "ArrowRight", "staircase")
    assert (shown(page, "spectrum"), shown(page, "code")) == (spectrum, code)
    press(page, PLACE, "ArrowLeft", "staircase")


def test_the_sentence_says_when_to_wait_and_when_to_stop(page):
    assert "Wait: direction 3 comes at step 438." in page.inner_text("#sentence")
    press(page, PLACE, "End", "staircase")
    assert "Stop: the embedding is full, and a wider embedding would learn 2 more." in page.inner_text(
        "#sentence"
    )
    press(page, "Weight decay w", "End", "staircase")
    assert "weight decay forbids the others" in page.inner_text("#sentence")
    assert "γ ≤ w/4 = 0.5: directions 2 to 6" in page.inner_text("#remarks")
    assert page.locator("#steps td", has_text="never").count() == 5
    press(page, "Weight decay w", "Home", "staircase")
    press(page, PLACE, "Home", "staircase")
    assert "0 of 6 directions are learned" in page.inner_text("#sentence")


def test_a_slider_is_answered_sooner_than_a_figure_is_drawn(page):
    def move() -> None:
        for slider in (PLACE, *SLIDERS):
            for key in ("ArrowRight", "ArrowLeft"):
                press(page, slider, key, "staircase")
                page.wait_for_timeout(30)

    assert_answered_sooner_than_a_figure(page, move)


def test_a_loss_is_read_as_it_is_typed(page):
    assert page.inner_text("#reading dd >> nth=0") == "47 to 88"
    fill(page, "Batch size, of all devices", "")
    assert page.inner_text("#reading dd >> nth=0") == "44 to 85"
    assert "Without the batch size" in page.inner_text("#reading .warn")
    fill(page, "Loss in your log", "4,000")
    assert page.inner_text("#problem").startswith("The loss is “4,000”; expected a number")
    fill(page, "Loss in your log", "41.9")
    fill(page, "Dimension d of the embedding", "2048")
    fill(page, "Batch size, of all devices", "512")
    assert page.inner_text("#reading dd >> nth=0") == "1958 to 2048"
    assert "--loss 41.9" in page.inner_text("#reading-code")
