"""The page on overfitting, in a real browser: slid, measured, judged."""

import pytest
from sliders import assert_answered_sooner_than_a_figure, choose, press, shown

from solvable.overfitting import explore_labels

THEORY = ("Dimension D of the data", "Ridge, in units of K(x, x)", "Training samples n")
VOTES = ("Classes K", "Wrong training labels p", "Neighbours k")
MACHINE = ("Length scale", "Ridge of the model", "Digits to train on")
# Parts of the page, and what moves them; a small ridge shows in the numbers before the curve moves.
PARTS = {"theory": THEORY, "votes": VOTES, "machine": MACHINE}


@pytest.fixture(scope="module")
def page(page_of):
    return page_of("overfitting")


def ways(slider):
    """Return the key that moves a slider away from where it starts, and the one that moves it back."""
    keys = ("ArrowRight", "ArrowLeft")
    return keys[::-1] if slider in ("Length scale", "Digits to train on") else keys


def judged(page, text, shown_then):
    page.get_by_label("n, sensitivity, standard error").fill(text)
    page.wait_for_function("words => document.body.innerText.includes(words)", arg=shown_then)


def test_every_slider_moves_its_own_part_and_no_other(page):
    for part, sliders in PARTS.items():
        others = {other: shown(page, other) for other in PARTS if other != part}
        for slider in sliders:
            press(page, slider, ways(slider)[0], part)
        assert others == {other: shown(page, other) for other in others}
    assert "without a ridge" in page.inner_text("#cost + .legend")


@pytest.mark.parametrize("part", PARTS)
def test_a_slider_is_answered_sooner_than_a_figure_is_drawn(page, part):
    def move() -> None:
        for slider in PARTS[part]:
            away, back = ways(slider)
            for key in (away, away, back, back):
                press(page, slider, key, part)
                page.wait_for_timeout(30)

    assert_answered_sooner_than_a_figure(page, move)


def test_another_kernel_has_another_regime(page):
    choose(page, "Kernel, or eigenvalues", "eigenvalues e^(−c i)", "theory")
    assert page.get_by_role("slider", name="Rate c", exact=True).count() == 1
    # The ridge stays as it was set; without one the exponential is catastrophic.
    press(page, THEORY[1], "Home", "theory")
    assert "More data make it worse" in page.inner_text("#cost-advice")


def test_a_machine_without_a_length_scale_says_so(page):
    choose(page, "Kernel of the model", "ReLU net (its NTK)", "machine")
    assert page.get_by_text("has none", exact=True).count() == 1
    choose(page, "Task on digits", "even or odd", "machine")


def test_measurements_are_judged_and_bad_lines_get_a_sentence(page):
    assert "more data do not average the noise out" in page.inner_text("#verdict")
    judged(page, "100 0.9\n200 0.8 0.1", "Line 1, “100 0.9”, has 2 entries")
    assert page.locator("#measured").count() == 0
    assert "Traceback" not in page.inner_text("body")
    falling = "250 0.26 0.01\n500 0.11 0.01\n1000 0.07 0.01\n2000 0.03 0.01\n4000 0.01 0.01"
    judged(page, falling, "more data average the noise out.")
    assert page.locator("#problem").count() == 0
    before = page.inner_text("#verdict")
    page.get_by_text("Strict: allow").click()
    page.wait_for_function("before => document.querySelector('#verdict').innerText !== before", arg=before)
    page.get_by_label("Share of wrong labels").fill("95 %")
    page.wait_for_selector("#problem")
    assert "at most 1 - 1/K = 0.9" in page.inner_text("#problem")
    page.get_by_label("Share of wrong labels").fill("20 %")
    judged(page, explore_labels.EXAMPLE, "tempered")
